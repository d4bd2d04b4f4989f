"""The Typer app. Command modules import only typer at their top; torch and the core come in when one runs.

Exit codes: 0 done; 1 a check did not hold (validate-e2e); 2 the user's mistake, in one line; 130, 143 and 129
interrupted by Ctrl-C, SIGTERM and SIGHUP. A bug keeps its traceback and exits with 1.
"""

from __future__ import annotations

import importlib
import os
import sys

import typer

from amtts_cli import console
from amtts_cli.help import Command, Group

COMMANDS = (
    "new",
    "prepare",
    "report",
    "merge",
    "split",
    "normalize",
    "tokenize",
    "extend-vocab",
    "adopt",
    "encode-codes",
    "train",
    "synthesize",
    "serve",
    "studio",
    "evaluate",
    "align",
    "voice",
    "convert",
    "export",
    "push",
    "info",
    "validate-e2e",
    "config",
    "backends",
    "doctor",
    "feedback",
)
"""In the order of a user's work; groups of commands last, as the help shows them.

`commands/validate_e2e.py` holds `def validate_e2e`, and so on."""

INTERRUPTED = 130
FORMER = {"lang": "language", "lang-tag": "language-tag"}
"""Former name of an option -> its name, so that commands written for 0.1 go on working."""

app = typer.Typer(
    name="amtts",
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": lambda name: FORMER.get(name, name),
    },
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        console.out(f"amtts {version('amtts')}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
    ),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Log more to standard error."),
) -> None:
    """Make machines speak Amharic: data, vocabulary, training and synthesis."""
    console.route_logs(verbose)


for _name in COMMANDS:
    _function = _name.replace("-", "_")
    _command = getattr(importlib.import_module(f"amtts_cli.commands.{_function}"), _function)
    if isinstance(_command, typer.Typer):  # a group of commands
        app.add_typer(_command, name=_name)
    else:
        app.command(_name, cls=Command)(_command)


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the `amtts` program."""
    from amtts_core.errors import AmttsError

    # Read by OpenMP when torch is loaded. Threads that wait by spinning starve each other as soon as anything else
    # runs on the machine: a training step took 2.5 times as long beside one other process.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Read by torch when it allocates: large tensors in huge pages. On a virtual machine whose memory is in small pieces
    # a copy of 64 MB ran at 1 GB/s without and at 9 GB/s with them.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    console.escape_unprintable()
    try:
        app(args=arguments, prog_name="amtts")
    except AmttsError as fault:
        console.error(str(fault))
        sys.exit(fault.exit_code)
    except SystemExit as leaving:
        if leaving.code == INTERRUPTED:  # typer turns Ctrl-C into a silent exit
            console.error("interrupted")
        raise
