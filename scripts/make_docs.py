"""Writes docs/commands.md, docs/config.md and what the shell completes from the code. `--check` tells what is stale."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import typer.main
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from amtts_cli.app import COMMANDS, app
from amtts_core.audio.save import ENCODINGS, FORMATS
from amtts_core.config.run_config import RunConfig
from amtts_core.contract.registry import list_backends
from amtts_core.corpus.importers import IMPORTERS
from amtts_core.corpus.settings import PrepareSettings

DOCS = Path(__file__).resolve().parent.parent / "docs"
KNOWN = DOCS.parent / "amtts_cli" / "known_values.json"
NOTE = "<!-- Written by `make docs`; edit the code instead. -->"


def commands_page() -> str:
    """The help of every command, as `amtts COMMAND --help` prints it."""
    root: Any = typer.main.get_command(app)
    top = root.context_class(root, info_name="amtts", terminal_width=100, **root.context_settings)
    parts = [
        "# Commands",
        NOTE,
        "Exit codes and `--json`: [cli.md](cli.md).",
        _block("amtts --help", root, top),
    ]
    for name in COMMANDS:
        command = root.get_command(top, name)
        context = command.context_class(command, info_name=name, parent=top, terminal_width=100)
        parts += [f"## amtts {name}", _block(f"amtts {name} --help", command, context)]
        for inner, within in getattr(command, "commands", {}).items():
            context_of = within.context_class(within, info_name=inner, parent=context, terminal_width=100)
            parts += [f"### amtts {name} {inner}", _block(f"amtts {name} {inner} --help", within, context_of)]
    return "\n\n".join(parts) + "\n"


def _block(title: str, command: Any, context: Any) -> str:
    text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    return f"```text\n$ {title}\n{text}\n```"


def config_page() -> str:
    """Every setting of the core and of the backends that come with amtts."""
    parts = [
        "# Settings",
        NOTE,
        "`amtts config --backend NAME` prints these with their values for one backend, as YAML to start from; "
        "`amtts config --check FILE` checks a file. `amtts train` takes the file with `--config FILE` and single "
        "keys with `--set training.max_steps=100`.",
        *_section("The run", "", RunConfig),
    ]
    parts += _backends()
    parts += [
        *_section("Preparing a corpus", "", PrepareSettings),
        "`amtts prepare` takes those without an option of their own with `--set KEY=VALUE`.",
    ]
    return "\n\n".join(parts) + "\n"


def _backends() -> list[str]:
    parts: list[str] = []
    for entry in list_backends():
        if entry.distribution != "amtts":
            continue
        if entry.spec is None:
            raise SystemExit(f"error: backend {entry.name} cannot be used: {entry.problem}")
        spec = entry.spec
        parts += _section(f"model, for {spec.name}", "model.", spec.config)
        parts.append("Presets (the first is the default):")
        parts.append("\n".join(f"- `{name}`: {_values(values)}" for name, values in spec.presets.items()))
        if spec.training_defaults:
            parts.append(f"Its own training defaults: {_values(spec.training_defaults)}")
    return parts


def _section(title: str, prefix: str, section: type[BaseModel]) -> list[str]:
    """Heading, meaning and table of a section, and then of the sections in it."""
    parts = [f"## {title}", (section.__doc__ or "").splitlines()[0], _settings(section)]
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            parts += _section(prefix + name, f"{prefix}{name}.", field.annotation)
    return parts


def _settings(section: type[BaseModel]) -> str:
    rows = ["| key | values | default | meaning |", "|---|---|---|---|"]
    for name, field in section.model_fields.items():
        rows.append(
            f"| `{name}` | {_kind(field.annotation)} | {_default(field)} | {field.description or ''} |"
        )
    return "\n".join(rows)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "see below"
    return "empty" if value in ("", (), [], {}) else f"`{json.dumps(value, ensure_ascii=False)}`"


def _kind(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(_kind(part) for part in get_args(annotation) if part is not type(None))
    if origin in (tuple, list):
        return f"list of {_kind(get_args(annotation)[0])}"
    if origin is dict:
        return "section"
    names = {int: "whole number", float: "number", str: "text", bool: "`true`, `false`"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _values(values: Mapping[str, Any]) -> str:
    return ", ".join(f"`{key}={value}`" for key, value in _flat(values)) or "the defaults above"


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def known_values() -> str:
    """What `amtts_cli.completion` offers and could not find out without loading torch."""
    specs = {
        entry.name: entry.spec for entry in list_backends() if entry.spec and entry.distribution == "amtts"
    }
    found = {
        "importers": sorted(IMPORTERS),
        "audio": [ending[1:] for ending in FORMATS],
        "encodings": list(ENCODINGS),
        "exports": sorted({name for spec in specs.values() if spec.export for name in spec.export.formats}),
        "presets": {name: list(spec.presets) for name, spec in specs.items()},
        "settings": list(_keys(RunConfig, "")),
        "settings of prepare": list(_keys(PrepareSettings, "")),
        "settings of models": {name: list(_keys(spec.config, "model.")) for name, spec in specs.items()},
    }
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def _keys(section: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys(field.annotation, f"{prefix}{name}.")
        elif prefix + name not in ("backend", "preset", "model"):
            yield prefix + name


def main() -> int:
    """Writes the pages, or with `--check` names the stale ones and returns 1."""
    stale = []
    pages = {DOCS / "commands.md": commands_page(), DOCS / "config.md": config_page(), KNOWN: known_values()}
    for path, page in pages.items():
        name = path.name
        if path.is_file() and path.read_text(encoding="utf-8") == page:
            continue
        stale.append(name)
        if "--check" not in sys.argv[1:]:
            path.write_text(page, encoding="utf-8")
    if "--check" in sys.argv[1:]:
        if stale:
            print(f"stale: {', '.join(stale)}; write them with: make docs", file=sys.stderr)
        return int(bool(stale))
    print(f"written: {', '.join(stale)}" if stale else "nothing changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
