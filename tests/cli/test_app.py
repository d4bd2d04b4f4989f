"""The frame of the program: quick help without heavy imports, one line per mistake, honest exit codes."""

from __future__ import annotations

import ast
import inspect
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

import amtts_cli.commands
from amtts_cli import console
from amtts_cli.app import COMMANDS, app
from amtts_cli.help import subject_of

HEAVY = (
    "torch",
    "numpy",
    "scipy",
    "transformers",
    "accelerate",
    "soundfile",
    "sentencepiece",
    "safetensors",
    "yaml",
)
"""What help and completion must not load. (pydantic is typer's own.)"""


@pytest.fixture
def heavy_modules(tmp_path: Path):
    """Runs `amtts` and returns its exit code, its output and which heavy modules it loaded."""
    script = tmp_path / "run_amtts.py"
    script.write_text(
        "import sys\n"
        "from amtts_cli.app import main\n"
        "try:\n"
        "    main(sys.argv[2:] or None)\n"
        "finally:\n"
        "    open(sys.argv[1], 'w').write('\\n'.join(sys.modules))\n"
    )

    def run(*arguments: str, env: dict[str, str] | None = None) -> tuple[int, str, set[str]]:
        loaded = tmp_path / "loaded.txt"
        done = subprocess.run(
            [sys.executable, str(script), str(loaded), *arguments],
            capture_output=True,
            text=True,
            encoding="utf-8",
            env={**os.environ, **(env or {})},
            check=False,
        )
        return done.returncode, done.stdout, set(loaded.read_text().split()) & set(HEAVY)

    return run


@pytest.mark.parametrize(
    "command", [(), *((name,) for name in COMMANDS)], ids=lambda words: "-".join(words) or "top"
)
def test_help_works_and_loads_nothing_heavy(heavy_modules, command: tuple[str, ...]) -> None:
    code, output, loaded = heavy_modules(*command, "--help")
    assert code == 0
    assert f"Usage: amtts {command[0] if command else '[OPTIONS]'}" in output
    assert not loaded


def test_completion_offers_commands_and_loads_nothing_heavy(heavy_modules) -> None:
    env = {"_AMTTS_COMPLETE": "complete_bash", "COMP_WORDS": "amtts tr", "COMP_CWORD": "1"}
    code, output, loaded = heavy_modules(env=env)
    assert code == 0
    assert output.split() == ["train"]
    assert not loaded


def test_help_is_quick(amtts) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert amtts("--help").returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert cpu < 1.5, "generous, for busy machines; benchmarks/bench_help.py measures it"


def test_help_names_every_command_with_its_purpose() -> None:
    root = typer.main.get_command(app)
    assert list(root.commands) == list(COMMANDS)  # type: ignore[attr-defined]
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        assert command.help, f"{name} has no help"
        for parameter in command.params:
            assert getattr(parameter, "help", ""), f"amtts {name}: {parameter.opts} has no help"


def test_no_command_returns_an_exit_code() -> None:
    """Typer ignores what a command returns: `return 1` would exit with 0."""
    folder = Path(inspect.getfile(amtts_cli.commands)).parent
    for command in app.registered_commands:
        assert command.callback is not None
        assert inspect.signature(command.callback).return_annotation in (None, "None"), command.name
    for path in folder.glob("*.py"):
        for function in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(function, ast.FunctionDef) and function.name == path.stem:
                returns = [node for node in ast.walk(function) if isinstance(node, ast.Return) and node.value]
                nested = [
                    node
                    for inner in ast.walk(function)
                    if isinstance(inner, ast.FunctionDef) and inner is not function
                    for node in ast.walk(inner)
                ]
                assert all(node in nested for node in returns), f"{path.name} returns a value"


def test_version(amtts) -> None:
    done = amtts("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("amtts 0.")


def test_without_arguments_the_help_comes_and_counts_as_a_mistake(amtts) -> None:
    done = amtts()
    assert "Usage: amtts" in done.stdout + done.stderr
    assert done.returncode == 2


MISTAKES = {
    "unknown command": (["trian"], "trian"),
    "unknown option": (["backends", "--nope"], "--nope"),
    "unknown backend": (["config", "--backend", "chaterbox-mel"], "did you mean 'chatterbox-mel'?"),
    "unknown preset": (
        ["config", "--backend", "chatterbox-mel", "--preset", "huge"],
        'preset: unknown "huge"',
    ),
    "nothing asked": (["config"], "needs either --backend NAME or --check FILE"),
    "both asked": (
        ["config", "--backend", "x", "--check", "y"],
        "needs either --backend NAME or --check FILE",
    ),
    "missing file": (["config", "--check", "none.yaml"], "config file none.yaml: No such file or directory"),
    "folder for a file": (["config", "--check", "."], "config file .: Is a directory"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_exits_2_without_a_traceback(amtts, tmp_path: Path, mistake: str) -> None:
    arguments, expected = MISTAKES[mistake]
    done = amtts(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    if not mistake.startswith("unknown command") and not mistake.startswith("unknown option"):
        assert len(done.stderr.splitlines()) == 1, "one line"
        assert done.stderr.startswith("error: ")


def test_an_error_line_is_not_taken_for_markup(amtts, tmp_path: Path) -> None:
    done = amtts("config", "--check", "[bold]:smile:.yaml", cwd=tmp_path)
    assert "[bold]:smile:.yaml" in done.stderr


def test_a_bug_keeps_its_traceback(tmp_path: Path) -> None:
    code = (
        "import amtts_core.contract.registry as r\n"
        "def broken(): raise RuntimeError('a bug')\n"
        "r.list_backends = broken\n"
        "from amtts_cli.app import main\n"
        "main(['backends'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "RuntimeError: a bug" in done.stderr


def test_ctrl_c_exits_130_with_one_line() -> None:
    code = (
        "import amtts_core.contract.registry as r\n"
        "def interrupted(): raise KeyboardInterrupt\n"
        "r.list_backends = interrupted\n"
        "from amtts_cli.app import main\n"
        "main(['backends'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr.splitlines() == ["error: interrupted"]


def test_config_prints_yaml_that_checks(amtts, tmp_path: Path) -> None:
    printed = amtts("config", "--backend", "chatterbox-mel")
    assert printed.returncode == 0
    (tmp_path / "run.yaml").write_text(printed.stdout, encoding="utf-8")
    checked = amtts("config", "--check", "run.yaml", cwd=tmp_path)
    assert checked.returncode == 0
    assert checked.stdout.startswith("run.yaml: ok (chatterbox-mel, ")
    as_json = amtts("config", "--check", "run.yaml", "--json", cwd=tmp_path)
    assert json.loads(as_json.stdout)["ok"] is True


def test_config_check_tells_all_faults_at_once(amtts, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(
        "backend: chatterbox-mel\ntraning: {}\ntraining:\n  max_step: 5\n  precision: int4\ndata: {batch_seconds: -1}\n"
    )
    done = amtts("config", "--check", "run.yaml", "--json", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: run.yaml: 4 errors: ")
    for expected in (
        "did you mean 'training'?",
        "did you mean 'max_steps'?",
        "'bf16'",
        "greater than 0, got -1",
    ):
        assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("flag", [[], ["--json"]])
def test_backends_lists_ours_theirs_and_the_broken(amtts, make_package, flag: list[str]) -> None:
    site = make_package(
        "somebody-elses",
        backends={"theirs": "their_plugin:Backend", "broken": "their_broken_plugin:Backend"},
        modules={
            "their_plugin": (
                "from amtts_core.settings import Settings\n"
                "from amtts_core.contract.backend import Backend as Base, BackendSpec\n"
                "class Backend(Base):\n"
                "    spec = BackendSpec(name='theirs', summary='[x] theirs', sample_rate=8000,\n"
                "                       learns_from='mel', config=Settings, presets={'only': {}})\n"
                "    def build_network(self): ...\n"
                "    features = collate = learner = synthesize = build_network\n"
            ),
            "their_broken_plugin": "raise ImportError('libnothing.so.1: cannot open shared object file')\n",
        },
    )
    done = amtts("backends", *flag, env={"PYTHONPATH": str(site)})
    assert done.returncode == 0
    reason = "ImportError: libnothing.so.1: cannot open shared object file"
    if not flag:
        lines = done.stdout.splitlines()
        assert next(line for line in lines if "chatterbox-mel" in line).split()[1] == "mel"
        assert "[x] theirs" in next(line for line in lines if line.split()[:1] == ["theirs"])
        assert reason in next(line for line in lines if line.split()[:1] == ["broken"])
        return
    rows = {row["name"]: row for row in json.loads(done.stdout)["backends"]}
    assert rows["chatterbox-mel"]["ok"] is True
    assert rows["theirs"]["ok"] is True
    assert rows["theirs"]["from"] == "somebody-elses"
    assert rows["broken"] == {
        "name": "broken",
        "from": "somebody-elses",
        "target": "their_broken_plugin:Backend",
        "ok": False,
        "problem": reason,
    }


def test_a_broken_backend_chosen_by_name_is_one_line(amtts, make_package) -> None:
    site = make_package("nobodys", backends={"nobodys": "nowhere:Backend"}, modules={})
    done = amtts("config", "--backend", "nobodys", env={"PYTHONPATH": str(site)})
    assert done.returncode == 2
    assert "No module named 'nowhere'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_no_color_leaves_no_escape_codes(amtts) -> None:
    forced = {"FORCE_COLOR": "1", "TERM": "xterm"}
    assert "\x1b[" in amtts("config", "--backend", "nope", env=forced).stderr
    done = amtts("config", "--backend", "nope", env=forced | {"NO_COLOR": "1"})
    assert "\x1b[3" not in done.stderr, "no color"
    assert "\x1b[" not in amtts("config", "--backend", "nope").stderr, "no terminal, no color"


def test_a_stream_without_ethiopic_gets_escapes(amtts) -> None:
    done = amtts("config", "--backend", "ሰላም", env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 2
    assert "\\u1230" in done.stderr
    assert "Traceback" not in done.stderr


def test_only_the_console_module_prints() -> None:
    root = Path(inspect.getfile(console)).parent
    for path in root.rglob("*.py"):
        names = {
            node.id
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Name)
        }
        assert "print" not in names, path


def test_results_are_one_json_object_or_lines(capsys: pytest.CaptureFixture[str]) -> None:
    console.use_json(True)
    console.result({"text": "ሰላም", "path": Path("a.wav")}, lines=["not shown"])
    console.use_json(False)
    console.result({"text": "not shown"}, lines=["one", "two"])
    first, *rest = capsys.readouterr().out.splitlines()
    assert json.loads(first) == {"text": "ሰላም", "path": "a.wav"}
    assert "ሰላም" in first, "readable, not escaped"
    assert rest == ["one", "two"]


def every_command():
    """(name, command) of all, groups' own included."""
    root = typer.main.get_command(app)
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        yield name, command
        for inner, within in getattr(command, "commands", {}).items():
            yield f"{name} {inner}", within


def test_every_option_stands_under_a_subject() -> None:
    for name, command in every_command():
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert subject_of(parameter), (
                    f"amtts {name}: add {parameter.opts} to PANELS of amtts_cli/help.py"
                )


def test_help_has_subjects_whole_sentences_and_plain_types(amtts) -> None:
    top = amtts("--help", env={"COLUMNS": "80"}).stdout
    assert "..." not in top.split("Commands:")[1], "no sentence is cut"
    assert max(map(len, top.splitlines())) <= 80
    shown = amtts("train", "--help", env={"COLUMNS": "80"}).stdout
    for heading in ("Data:", "Model:", "Training:", "Output:", "Settings and machine:"):
        assert f"\n{heading}\n" in shown
    assert "--max-steps NUMBER" in shown
    assert "[1 or more]" in shown
    assert "range" not in shown
    assert "x>=" not in shown
    assert "9223372036854775807" not in shown
    shown = amtts("prepare", "--help", env={"COLUMNS": "80"}).stdout
    assert "source... PATH" in shown
    assert "<list" not in shown
    data = shown.split("\nData:\n")[1].split("\nOutput:\n")[0]
    assert "--from TEXT" in data
    assert "--speaker TEXT" in data


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("train --backend v", {"vits", "vocoder"}),
        ("train --backend vits --preset ", {"small", "mms", "tiny"}),
        ("train --set training.max_s", {"training.max_steps="}),
        ("train --backend vits --set model.noise_scale_", {"model.noise_scale_duration="}),
        ("prepare --from lj", {"ljspeech"}),
        ("export --format sh", {"sherpa-onnx"}),
        ("synthesize --format fl", {"flac"}),
        ("synthesize --vocoder gr", {"griffin-lim"}),
        ("encode-codes --codec da", {"dac"}),
        ("evaluate --recognizer ct", {"ctc"}),
    ],
)
def test_values_are_completed_without_heavy_imports(heavy_modules, words: str, offered: set[str]) -> None:
    given = ["amtts", *words.split(" ")]
    env = {
        "_AMTTS_COMPLETE": "complete_bash",
        "COMP_WORDS": f"amtts {words}",
        "COMP_CWORD": str(len(given) - 1),
    }
    code, output, loaded = heavy_modules(env=env)
    assert code == 0
    assert set(output.split()) == offered
    assert not loaded
