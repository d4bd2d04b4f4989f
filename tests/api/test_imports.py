"""What speaking loads: a cold start is mostly imports, so none that speech does not need may come back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tiny_voice import write_untrained

UNNEEDED = (
    "accelerate",
    "huggingface_hub",
    "matplotlib",
    "onnxruntime",
    "pandas",
    "peft",
    "scipy",
    "swift_f0",
    "tensorboard",
    "torch._dynamo",
    "torch._inductor",
    "torch.onnx",
    "transformers",
    "typer",
)
SPEAK = """
import sys, amtts
voice = amtts.load(sys.argv[1])
if voice.backend in ("chatterbox-mel", "vits"):  # the others go on for long where nothing was learned
    assert len(voice.speak("ሰላም።").samples)
try:
    assert len(next(iter(voice.stream("ሰላም።"))))
except amtts.AmttsError as fault:  # a GPT that was never trained has no lengths; everything is loaded by then
    assert "never trained" in str(fault) and voice.backend == "indextts2"
print(*sys.modules)
"""


@pytest.mark.parametrize("backend", ["chatterbox-mel", "vits", "chatterbox", "chatterbox-turbo", "indextts2"])
def test_speaking_imports_nothing_it_does_not_need(backend: str, tmp_path: Path) -> None:
    write_untrained(backend, tmp_path / "voice")
    done = subprocess.run(
        [sys.executable, "-c", SPEAK, str(tmp_path / "voice")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "torch" in loaded
    assert not loaded & set(UNNEEDED)
