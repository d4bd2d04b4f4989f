"""docs/tutorials/chatterbox-amharic.md word by word, on small weights in the published layout."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from command_line import call
from tiny_s3 import chatterbox_folder, write_voice

from amtts_core.audio.io import read_audio
from amtts_core.checkpoints.checkpoint import read_checkpoint

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/tutorials/chatterbox-amharic.md"
SENTENCES = (
    *("ሰላም ለዓለም።", "እንዴት ናችሁ?", "ዛሬ ጥሩ ቀን ነው።", "ልጆቹ ወደ ትምህርት ቤት ሄዱ።", "ቡና እንጠጣ።", "መጽሐፉን አነበብኩ።"),
    *("ዝናብ ይዘንባል።", "መንገዱ ረጅም ነው።", "እናቴ ምግብ ሠራች።", "ውሃ እፈልጋለሁ።", "ነገ እንገናኝ።", "ስሜ አልማዝ ነው።"),
)
SMALL: dict[str, list[str]] = {
    "train": [
        *("--max-steps", "2", "--set", "training.validate_every=2", "--set", "training.precision=fp32"),
        *("--set", "training.accumulate=1", "--set", "data.max_excluded=0.5"),
    ],
    "synthesize": ["--set", "model.sampling.max_tokens=30", "--set", "model.sampling.retries=0"],
}
"""What small weights need besides: the page's commands train for hours."""


def commands() -> list[list[str]]:
    """Every command of the page."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines() if line.strip()]


def recordings(folder: Path) -> None:
    """A folder of wavs with a table, as people have them."""
    (folder / "wavs").mkdir(parents=True)
    rows = []
    for number in range(12):
        name = f"clip{number:02d}"
        write_voice(folder / "wavs" / f"{name}.wav", seconds=1.6 + 0.1 * number, pitch=120 + 3 * number)
        rows.append(f"{name}|{SENTENCES[number]}\n")
    (folder / "metadata.csv").write_text("".join(rows), encoding="utf-8")


@pytest.mark.slow
def test_the_tutorial_runs_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chatterbox_folder(tmp_path / "chatterbox")
    recordings(tmp_path / "recordings")
    write_voice(tmp_path / "speaker.wav", seconds=6)
    (tmp_path / "old-languages.txt").write_text("hello there.\nin the end.\n", encoding="utf-8")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    asked = commands()
    assert {line[1] for line in asked} >= {
        *("adopt", "extend-vocab", "prepare", "encode-codes", "train", "validate-e2e"),
        *("synthesize", "voice", "convert", "export"),
    }
    for line in asked:
        assert line[0] == "amtts"
        done = call(*line[1:], *SMALL.get(line[1], []))
        allowed = (0, 1) if line[1] == "validate-e2e" else (0,)  # two steps teach it nothing
        assert done.code in allowed, f"{shlex.join(line)}: {done.err}"
    for name in ("english", "speech", "morning"):
        assert len(read_audio(Path(f"{name}.wav"), sample_rate=24000)) > 2400
    assert read_checkpoint(Path("run")).info.training_type == "lora+new-tokens"
    assert read_checkpoint(Path("run-full")).info.training_type == "full"
    assert len(list(Path("converted").glob("*.wav"))) == 12
    assert (Path("stock") / "t3_mtl23ls_v2.safetensors").is_file()
    assert Path("tuned.wav").read_bytes() != Path("speech.wav").read_bytes()


def test_the_page_names_files_that_are_there() -> None:
    for target in re.findall(r"\]\((\.\.?/[^)#]+)", PAGE.read_text(encoding="utf-8")):
        assert (PAGE.parent / target).exists(), target
