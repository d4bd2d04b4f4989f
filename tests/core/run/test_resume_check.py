"""What `--resume --force` overrides, what it says about it, and what it cannot override."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_voice import CODEC, fidel_tokenizer, train_tiny

from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.contract.registry import backend_names, get_backend
from amtts_core.corpus.manifest import read_manifest
from amtts_core.errors import CheckpointError
from amtts_core.run.folder import stored_config
from amtts_core.run.resume_check import check_contract
from amtts_core.storage.json_lines import read_json_lines, write_jsonl
from amtts_core.tokenizers.fidel import FidelTokenizer


@pytest.fixture
def started(corpus: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A corpus of its own and a run of two steps on it, in the middle of its first epoch."""
    data = Path(shutil.copytree(corpus, tmp_path / "corpus"))
    train_tiny(data, tmp_path / "run", training={"max_steps": 2})
    return data, tmp_path / "run"


def fewer_rows(data: Path) -> None:
    write_jsonl(data / "train.jsonl", list(read_manifest(data / "train.jsonl"))[:-1])


def other_tokenizer(data: Path) -> None:
    FidelTokenizer([*fidel_tokenizer().symbols(), "ʕ"]).save(data / "tokenizer")


def other_speaker(data: Path) -> None:
    rows = list(read_manifest(data / "train.jsonl"))
    write_jsonl(data / "train.jsonl", [row.model_copy(update={"speaker": "sara"}) for row in rows])


def test_other_data_are_learnt_on_with_force(
    started: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    data, run = started
    fewer_rows(data)
    with pytest.raises(CheckpointError, match=r"data changed: 1 utterances removed \(u011\).*--force"):
        train_tiny(data, run, resume=True)
    train_tiny(data, run, resume=True, force=True, training={"max_steps": 7})
    assert "--force: the training data changed: 1 utterances removed (u011)" in caplog.text
    assert "other data: epoch 0 begins again" in caplog.text
    rows = [row for row in list(read_json_lines(run / "seen_utterances.jsonl"))[2:] if row["epoch"] == 0]
    seen = [name for row in rows for name in row["ids"]]  # type: ignore[attr-defined]
    assert sorted(seen) == sorted(row.id for row in read_manifest(data / "train.jsonl"))
    assert train_tiny(data, run, resume=True).outcome.step == 7, "from now on these are its data"


def test_a_setting_that_does_not_change_what_weights_mean_is_forced(
    started: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    data, run = started
    with pytest.raises(CheckpointError, match=r"backend_config.dropout was 0.0, is now 0.3.*--force"):
        train_tiny(data, run, resume=True, model={"dropout": 0.3})
    train_tiny(data, run, resume=True, force=True, model={"dropout": 0.3})
    assert "--force: backend_config.dropout was 0.0, is now 0.3" in caplog.text


@pytest.mark.parametrize(
    ("change", "field"), [(other_tokenizer, "tokenizer_hash"), (other_speaker, "speakers")]
)
def test_what_rows_of_the_network_stand_for_cannot_be_forced(
    started: tuple[Path, Path], change: Callable[[Path], None], field: str
) -> None:
    data, run = started
    change(data)
    fewer_rows(data)
    with pytest.raises(CheckpointError, match=rf"{field} was .*\(--force cannot override this\)"):
        train_tiny(data, run, resume=True, force=True)


def test_the_network_cannot_be_forced(started: tuple[Path, Path]) -> None:
    data, run = started
    with pytest.raises(CheckpointError, match=r"backend_config.mel.fmax was .*--force cannot"):
        train_tiny(data, run, resume=True, force=True, model={"mel": {"fmax": 7600.0}, "dropout": 0.2})


def test_another_backend_is_told_before_its_settings_are_read(started: tuple[Path, Path]) -> None:
    with pytest.raises(CheckpointError, match="backend was 'chatterbox-mel', is now 'vits'.*Leave --backend"):
        stored_config(started[1], {"backend": "vits"})


def test_the_remedy_fits_what_differs(started: tuple[Path, Path]) -> None:
    data, run = started
    with pytest.raises(CheckpointError, match=r"was 80.*is now 64. Leave that setting as it was"):
        train_tiny(data, run, resume=True, model={"mel": {"n_mels": 64}})
    other_tokenizer(data)
    with pytest.raises(CheckpointError, match=r"tokenizer_hash .*Use the tokenizer it was started with"):
        train_tiny(data, run, resume=True)


def test_settings_that_a_resumed_run_changes_are_told(
    started: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    data, run = started
    train_tiny(data, run, resume=True, training={"max_steps": 3, "optim": {"clip_norm": 0.5}})
    told = [record.message for record in caplog.records if " is now " in record.message]
    assert told == ["training.optim.clip_norm was 1.0, is now 0.5"]


def test_a_run_that_is_over_says_so(started: tuple[Path, Path], caplog: pytest.LogCaptureFixture) -> None:
    data, run = started
    assert train_tiny(data, run, resume=True, training={"max_steps": 2}).outcome.step == 2
    assert "run already finished (step 2 of 2)" in caplog.text


def test_every_backend_names_settings_that_it_has() -> None:
    for backend in backend_names():
        spec = get_backend(backend).spec
        for name in spec.mutable_settings:
            section = spec.default_config().model_dump()
            for part in name.split("."):
                assert part in section, f"{backend}: {name}"
                section = section[part]


def test_a_checkpoint_says_whose_codes_it_has_learnt_and_goes_on_with_no_others(
    corpus: Path, tmp_path: Path
) -> None:
    train_tiny(corpus, tmp_path / "run", backend="chatterbox", training={"max_steps": 1})
    stored = read_checkpoint(tmp_path / "run")
    assert stored.info.codec.startswith("mel-codes:")
    other = stored.info.model_copy(update={"codec": "mel-codes:0123456789ab (1 x 1024)"})
    with pytest.raises(CheckpointError, match=r"codec was .*mel-codes:.* is now .*0123456789ab"):
        check_contract(stored.info, other, stored.folder, force=True)
    unsaid = stored.info.model_copy(update={"codec": ""})
    assert check_contract(unsaid, other, stored.folder) == [], "an earlier amtts did not write it"


def test_a_codec_that_moved_is_the_same_codec(
    corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    codec = Path(shutil.copytree(CODEC, tmp_path / "codec"))
    model = {"codec_weights": str(codec)}
    train_tiny(corpus, tmp_path / "run", backend="chatterbox", model=model, training={"max_steps": 1})
    codec.rename(tmp_path / "moved")
    model = {"codec_weights": str(tmp_path / "moved")}
    train_tiny(
        corpus, tmp_path / "run", backend="chatterbox", model=model, resume=True, training={"max_steps": 2}
    )
    assert "the same codec, by its hash" in caplog.text
    stored = read_checkpoint(tmp_path / "run", prefer="latest").info
    assert stored.backend_config["codec_weights"] == str(tmp_path / "moved")
