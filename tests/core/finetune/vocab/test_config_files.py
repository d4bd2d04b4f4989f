"""Config files beside published weights: only the declared keys are compared and replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from amtts_core.errors import AmttsError
from amtts_core.finetune.vocab.config_files import check_sizes, config_files, write_resized

KEYS = ("size", "text.size")
YAML = "text:   # of letters\n  size: 28 # tokens\n  name: a\nspeech: {size: 28}\n"


def test_a_key_of_another_section_stays(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(YAML, encoding="utf-8")
    files = config_files(tmp_path / "weights.pt")
    check_sizes(files, KEYS, 28)
    (tmp_path / "new").mkdir()
    write_resized(files[0], tmp_path / "new", KEYS, 386)
    assert (tmp_path / "new" / "config.yaml").read_text() == YAML.replace("28 #", "386 #")
    with pytest.raises(
        AmttsError, match="config.yaml says size 386, the weights beside it have 28 text tokens"
    ):
        check_sizes([tmp_path / "new" / "config.yaml"], KEYS, 28)


def test_a_key_that_holds_no_number_stays(tmp_path: Path) -> None:
    text = "text:\n  size: all\nsize: [1, 2]\n"
    (tmp_path / "config.yml").write_text(text, encoding="utf-8")
    files = config_files(tmp_path / "weights.pt")
    check_sizes(files, KEYS, 28)
    (tmp_path / "new").mkdir()
    write_resized(files[0], tmp_path / "new", KEYS, 30)
    assert (tmp_path / "new" / "config.yml").read_text() == text
