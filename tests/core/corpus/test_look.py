"""What a source holds, told before anything is made of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from recordings import add_line, make_corpus, speech, write_wav

from amtts_core.corpus import look as looking
from amtts_core.corpus.look import look_into, table_of
from amtts_core.corpus.settings import PrepareSettings
from amtts_core.errors import AmttsError

SETTINGS = PrepareSettings()


def test_clips_minutes_columns_and_faults(tmp_path: Path) -> None:
    source = make_corpus(tmp_path / "in", 4, seconds=2.0)
    add_line(source, "none.wav|ጽሑፍ")
    look = look_into(source, tmp_path / "out", SETTINGS, shown=2)
    assert (look.importer, look.clips, dict(look.faults)) == ("csv", 4, {"missing-file": 1})
    assert look.seconds == pytest.approx(4 * 2.4 + 0.06, abs=0.01)
    assert look.exact
    assert look.columns is not None
    assert dict(look.columns.roles) == {"audio": 0, "text": 1}
    assert look.rows[0] == ["audio_file", "text"]
    assert [clip.source for clip in look.first] == ["wavs/clip00.wav", "wavs/clip01.wav"]
    assert not (tmp_path / "out").exists()


def test_lengths_of_many_recordings_are_estimated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "MEASURED", 2)
    look = look_into(make_corpus(tmp_path / "in", 4, seconds=2.0), tmp_path / "out", SETTINGS)
    assert not look.exact
    assert look.seconds == pytest.approx(9.6, abs=0.1)


def test_captions_give_the_lengths_of_their_clips(tmp_path: Path) -> None:
    write_wav(tmp_path / "talk.wav", speech(1, seconds=6))
    (tmp_path / "talk.tsv").write_text(
        "start\tend\ttext\n0\t2000\tሰላም ለሁሉም ይሁን\n2500\t5500\tዛሬ ገበያ ሄድኩ\n", "utf-8"
    )
    look = look_into(tmp_path, tmp_path / "out", PrepareSettings(fit="flag"))
    assert look.clips == 2
    assert look.seconds == pytest.approx(5, abs=0.8)


def test_what_was_unpacked_goes_unless_it_is_kept(tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", make_corpus(tmp_path / "in", 3)))
    assert look_into(archive, tmp_path / "out", SETTINGS).clips == 3
    assert not (tmp_path / "out").exists()
    look = look_into(archive, tmp_path / "out", SETTINGS, keep=True)
    assert look.first[0].path.is_file()


def test_a_table_that_cannot_be_told_apart_is_shown(tmp_path: Path) -> None:
    source = make_corpus(tmp_path / "in", 4, header="")
    table = source / "metadata.csv"
    rows = table.read_text(encoding="utf-8").splitlines()
    table.write_text("".join(f"{row}|ሌላ ጽሑፍ {n} ነው\n" for n, row in enumerate(rows)), encoding="utf-8")
    with pytest.raises(AmttsError, match="which one is spoken cannot be told"):
        look_into(source, tmp_path / "out", SETTINGS)
    found = table_of(source, tmp_path / "out")
    assert found is not None
    assert found[0] == table
    assert found[1][0] == ["wavs/clip00.wav", "ሰላም ለሁሉም ይሁን።", "ሌላ ጽሑፍ 0 ነው"]
    look = look_into(source, tmp_path / "out", PrepareSettings(columns={"audio": "1", "text": "3"}))
    assert look.first[0].text == "ሌላ ጽሑፍ 0 ነው"
