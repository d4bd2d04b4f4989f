"""Values that the shell offers.

Nothing here imports torch: names come from entry points and from a list that `make docs` writes.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

_FIXED: dict[str, tuple[str, ...]] = {
    "--executor": ("local", "ray"),
    "--timestamps": ("srt", "vtt", "json"),
    "--device": ("cpu", "cuda"),
    "--language": ("am",),
}
_GROUPS = {
    "--backend": "amtts.backends",
    "--codec": "amtts.codecs",
    "--vocoder": "amtts.vocoders",
    "--recognizer": "amtts.recognizers",
    "--guard": "amtts.recognizers",
}
_FOLDERS = ("--checkpoint", "--from")


def complete_values(command: str, parameter: Any) -> None:
    """Gives an option of a command the values that the shell offers for it, where they are known."""
    offer = _offer(command, parameter)
    if offer is not None and getattr(parameter, "_custom_shell_complete", None) is None:
        parameter._custom_shell_complete = lambda context, param, word: _items(offer(context, word), word)


def _items(values: Iterable[str], word: str) -> list[Any]:
    from typer.core import CompletionItem

    return [CompletionItem(value) for value in values if value.startswith(word)]


def _offer(command: str, parameter: Any) -> Callable[[Any, str], Iterable[str]] | None:
    """What makes the values of an option: (context, word typed so far) -> values."""
    for option in parameter.opts:
        if option == "--from" and command == "prepare":
            return lambda context, word: _known()["importers"]
        if option in _FIXED:
            return functools.partial(_fixed, _FIXED[option])
        if option == "--encoding":
            return lambda context, word: _known()["encodings"]
        if option == "--format":
            if command == "export":
                return lambda context, word: ["voice", *_known()["exports"], "peft"]
            return lambda context, word: _known()["audio"]
        if option in _GROUPS:
            return functools.partial(_registered, _GROUPS[option])
        if option == "--preset":
            return lambda context, word: _of_backend("presets", context)
        if option == "--set":
            return lambda context, word: _keys(command, context)
        if option in _FOLDERS:
            return lambda context, word: [*_paths(word, folders=True), "base"]
    return None


def _fixed(known: Sequence[str], context: Any, word: str) -> Sequence[str]:
    return known


def _registered(group: str, context: Any, word: str) -> list[str]:
    """Names registered as entry points, and files; nothing is imported."""
    from importlib.metadata import entry_points

    return [*sorted({point.name for point in entry_points(group=group)}), *(_paths(word) if word else [])]


@functools.cache
def _known() -> dict[str, Any]:
    """Written by `make docs` from the code."""
    found: dict[str, Any] = json.loads(
        (Path(__file__).parent / "known_values.json").read_text(encoding="utf-8")
    )
    return found


def _of_backend(what: str, context: Any) -> list[str]:
    """Values of the backend that is named on the line, else of all."""
    table: dict[str, list[str]] = _known()[what]
    named = context.params.get("backend") or ""
    chosen = [table[named]] if named in table else list(table.values())
    return list(dict.fromkeys(value for values in chosen for value in values))


def _keys(command: str, context: Any) -> list[str]:
    """Settings as `training.max_steps=`."""
    if command in ("prepare", "normalize"):
        return [f"{key}=" for key in _known()["settings of prepare"]]
    return [f"{key}=" for key in [*_known()["settings"], *_of_backend("settings of models", context)]]


def _paths(word: str, *, folders: bool = False) -> list[str]:
    """Files and folders that begin as typed; with `folders`, folders alone, each with a stroke behind it."""
    start = Path(word)
    parent = start if word.endswith("/") else start.parent
    try:
        found = sorted(parent.iterdir())
    except OSError:
        return []
    shown = [f"{path}/" if path.is_dir() else str(path) for path in found if not path.name.startswith(".")]
    return [path for path in shown if path.endswith("/") or not folders]
