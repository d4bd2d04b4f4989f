"""`amtts config`: a commented configuration to start from, and a check of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from amtts_cli import console
from amtts_cli.options import Json
from amtts_core.errors import AmttsError


def config(
    backend: Annotated[str, typer.Option("--backend", help="Backend whose defaults to print.")] = "",
    preset: Annotated[str, typer.Option("--preset", help="Named size; default: the backend's first.")] = "",
    check: Annotated[Path | None, typer.Option("--check", help="YAML file to check.")] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of the settings, for editors.")
    ] = False,
    json: Json = False,
) -> None:
    """Print a commented default configuration, check a file, or print the schema of one.

    Example: amtts config --backend chatterbox-mel > run.yaml

    Example: amtts config --backend chatterbox-mel --schema > amtts.schema.json
    """
    from amtts_core.config.run_config import resolve_config
    from amtts_core.config.yaml_files import commented_yaml, read_config_file

    if schema and not check:
        from json import dumps

        from amtts_core.config.run_config import config_schema

        console.out(dumps(config_schema(backend), ensure_ascii=False, indent=1))
        return
    if bool(backend) == bool(check) or schema:
        raise AmttsError("`amtts config` needs either --backend NAME or --check FILE")
    if check is not None:
        resolved, _ = resolve_config(read_config_file(check), source=str(check))
        console.result(
            {"ok": True, "config": resolved.model_dump(mode="json")},
            lines=[f"{check}: ok ({resolved.backend}, preset {resolved.preset})"],
        )
        return
    resolved, chosen = resolve_config({"backend": backend, "preset": preset})
    console.result(resolved.model_dump(mode="json"), lines=[commented_yaml(resolved, chosen).rstrip("\n")])
