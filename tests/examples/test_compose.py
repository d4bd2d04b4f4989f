"""compose_sentences.py: as many sentences as asked for, speakable, all syllables, the same every time."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

CORPUS = Path(__file__).resolve().parents[2] / "examples" / "corpus"


def compose(out: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(CORPUS / "compose_sentences.py"), "--out", str(out), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60)


def test_sentences_are_many_different_and_speakable(tmp_path: Path) -> None:
    assert compose(tmp_path / "one.txt").returncode == 0
    sentences = (tmp_path / "one.txt").read_text(encoding="utf-8").splitlines()
    assert len(set(sentences)) == len(sentences) == 2600
    code = "import corpus_text, pathlib, sys; print(len(corpus_text.read_sentences(pathlib.Path(sys.argv[1]), None)))"
    spoken = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "one.txt")], cwd=CORPUS, capture_output=True, text=True
    )
    assert spoken.stdout.split()[-1] == "2600", spoken
    letters = Counter("".join(sentences))
    rows = "ሀለሐመሠረሰሸቀበተቸነኘአከወዐዘዠየደጀገጠጨጸፀፈፐ"
    rare = [chr(ord(row) + order) for row in rows for order in range(7) if not letters[chr(ord(row) + order)]]
    assert not rare
    words = Counter(len(sentence.split()) for sentence in sentences)
    assert 0.03 < words[1] / 2600 < 0.07
    assert max(words) <= 11


def test_a_seed_decides_and_mistakes_are_told(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert compose(tmp_path / name, "--count", 20, "--seed", seed).returncode == 0
    texts = [(tmp_path / name).read_text(encoding="utf-8") for name in "abc"]
    assert texts[0] == texts[1] != texts[2]
    (tmp_path / "short").write_text("ሰላም ለዓለም።", encoding="utf-8")
    for arguments in (("--count", 0), ("--text", tmp_path / "missing.txt"), ("--text", tmp_path / "short")):
        refused = compose(tmp_path / "never.txt", *arguments)
        assert refused.returncode == 2
        assert refused.stderr.startswith("error: ")
        assert refused.stderr.count("\n") == 1
        assert not (tmp_path / "never.txt").exists()
