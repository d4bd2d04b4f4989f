from pathlib import Path

import pytest

from amtts_core.storage.atomic import replace_text


def test_a_text_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "ሀ.json"
    replace_text(path, "አንድ")
    replace_text(path, "ሁለት")
    assert path.read_text(encoding="utf-8") == "ሁለት"
    with pytest.raises(UnicodeEncodeError):
        replace_text(path, "half\ud800")
    assert path.read_text(encoding="utf-8") == "ሁለት"
    replace_text(path, "half\ud800", errors="backslashreplace")
    assert path.read_text(encoding="utf-8") == "half\\ud800"
    assert list(tmp_path.iterdir()) == [path]


def test_the_first_failure_is_the_one_that_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        replace_text(tmp_path / "folder", "text")
    with pytest.raises(FileNotFoundError):
        replace_text(tmp_path / "none" / "file", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
