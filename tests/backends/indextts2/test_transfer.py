"""Official speech tables in the codes of another codec: what is transferred, to the bit, and what starts random."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from extended import published
from tiny_codecs import write_pth
from tiny_voice import CODEC, ExampleList, fidel_tokenizer, make_corpus, tiny_config
from vocabularies import write_gpt

from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.errors import CheckpointError
from amtts_core.finetune.init_weights import open_init_weights
from amtts_core.run.options import RunOptions
from amtts_core.run.run import train
from amtts_core.speech_lm.backend import INITIAL_DEVIATION
from amtts_core.speech_lm.codebooks import DelayedCodebooks
from amtts_indextts2.backend import IndexTTS2Backend
from amtts_indextts2.transfer import PUBLISHED, resampled_rows

START, STOP, POSITIONS = 16, 17, 43
DAC = {"kind": "dac", "num_codebooks": 3, "cardinality": 16}
MEL = {"kind": "semantic", "num_codes": 1026, "start": 1024, "stop": 1025}


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the official format: 18 codes, 43 position rows, 16 channels."""
    return write_gpt(tmp_path_factory.mktemp("official"), fidel_tokenizer().vocab_size, code_positions=40)


@pytest.fixture(scope="module")
def dac(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("codec") / "dac.pth"
    write_pth(path)
    return {"codec": "dac", "codec_weights": str(path), "head": DAC}


def begun(official: Path, settings: dict[str, Any]) -> tuple[IndexTTS2Backend, dict[str, torch.Tensor]]:
    """A backend with these settings that has begun with the file, and the file's tensors."""
    start = PUBLISHED.open_weights(official)
    config, kind = tiny_config("indextts2", model={**start.model, **settings})
    backend = kind(config.model_config_of(kind.spec), tokenizer=fidel_tokenizer())
    assert isinstance(backend, IndexTTS2Backend)
    start.load_into(backend)
    return backend, torch.load(official, weights_only=True)


def test_delayed_codes_begin_and_end_as_published(
    official: Path, dac: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    backend, tensors = begun(official, dac)
    speech = backend.network.speech
    assert isinstance(speech, DelayedCodebooks)
    row = speech.embed(speech.start()[None])[0, 0]
    positions = tensors["mel_pos_embedding.emb.weight"]
    assert torch.equal(row, tensors["mel_embedding.weight"][START] + positions[0])
    assert torch.equal(speech.positions.weight, positions), "50 codes a second as published"
    assert torch.equal(speech.head.weight[16], tensors["mel_head.weight"][STOP])
    assert torch.equal(speech.head.bias[16], tensors["mel_head.bias"][STOP])
    padding = torch.zeros(3 * 18, dtype=torch.bool)
    padding[[17, 35, 53]] = True
    spread = float(tensors["mel_embedding.weight"].std()) / 3**0.5
    assert float(speech.embedding.weight[~padding].std().detach()) == pytest.approx(spread, rel=0.1)
    fresh = torch.ones(3 * 17, dtype=torch.bool)
    fresh[16] = False
    assert float(speech.head.weight[fresh].std().detach()) == pytest.approx(INITIAL_DEVIATION, rel=0.2)
    told = [record.message for record in caplog.records if "transferred" in record.message]
    assert len(told) == 1
    for part in (
        "embedding before the first code",
        "end of speech",
        "43 position rows",
        "random: the embeddings of 3 x 16",
    ):
        assert part in told[0]
    wanted = backend.network.prefix(torch.zeros(1, 4, 16), wanted=torch.tensor([30]))
    assert torch.equal(wanted[0, 4:], positions[[15, 30]])


def test_rows_of_a_codebook_begin_as_its_entries_at_the_published_size(
    official: Path, dac: dict[str, Any]
) -> None:
    backend, tensors = begun(official, {**dac, "codec_start": True})
    backend.initialize(ExampleList([]))
    spread = float(tensors["mel_embedding.weight"].std()) / 3**0.5
    for embedding, head in backend.network.speech.codebook_tables():
        assert float(embedding[:16].std().detach()) == pytest.approx(spread, rel=1e-3)
        assert float(head[:16].std().detach()) == pytest.approx(INITIAL_DEVIATION, rel=1e-3)
    embedding = backend.network.speech.embedding.weight
    assert torch.equal(embedding[17], tensors["mel_embedding.weight"][START])


def test_a_single_codebook_keeps_start_and_stop_and_the_time_of_a_row(official: Path) -> None:
    settings = {"codec": "mel-codes", "codec_weights": str(CODEC), "head": MEL, "max_mel_tokens": 60}
    backend, tensors = begun(official, settings)
    rate = backend.speech_codec().frame_rate
    assert rate == pytest.approx(31.25)
    speech, positions = backend.network.speech, tensors["mel_pos_embedding.emb.weight"]
    for ours, theirs in ((1024, START), (1025, STOP)):
        assert torch.equal(speech.embedding.weight[ours], tensors["mel_embedding.weight"][theirs])
        assert torch.equal(speech.head.weight[ours], tensors["mel_head.weight"][theirs])
        assert torch.equal(speech.head.bias[ours], tensors["mel_head.bias"][theirs])
    assert torch.equal(speech.positions.weight[0], positions[0])
    torch.testing.assert_close(speech.positions.weight[5], positions[8])  # 5 / 31.25 s = 8 / 50 s
    torch.testing.assert_close(speech.positions.weight[1], 0.4 * positions[1] + 0.6 * positions[2])
    spread = float(speech.positions.weight[28:].std().detach())  # 27 / 31.25 s is beyond the table
    assert spread == pytest.approx(float(positions.std()), rel=0.2)


def test_the_published_codes_are_transferred_whole(official: Path, tmp_path: Path) -> None:
    """Also where the published ids are not the last two."""
    write_pth(tmp_path / "dac.pth")
    settings: dict[str, Any] = {
        "codec": "dac",
        "codec_weights": str(tmp_path / "dac.pth"),
        "head": {"kind": "semantic", "num_codes": 18, "start": 16, "stop": 17},
    }
    backend, tensors = begun(official, settings)
    for name, theirs in (("embedding.weight", "mel_embedding.weight"), ("head.bias", "mel_head.bias")):
        assert torch.equal(backend.network.speech.get_parameter(name), tensors[theirs])
    (tmp_path / "other").mkdir()
    file = tmp_path / "other" / "gpt.pth"
    torch.save(tensors, file)
    (tmp_path / "other" / "config.json").write_text(
        json.dumps({"gpt": {"start_mel_token": 3, "stop_mel_token": 2}}), encoding="utf-8"
    )
    backend, _ = begun(file, settings)
    assert torch.equal(backend.network.speech.embedding.weight[16], tensors["mel_embedding.weight"][3])
    assert torch.equal(backend.network.speech.head.weight[17], tensors["mel_head.weight"][2])
    (tmp_path / "other" / "config.json").write_text('{"gpt": {"start_mel_token": 99}}', encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"start_mel_token 99 .* two ids below 18"):
        PUBLISHED.open_weights(file)


def test_positions_of_uneven_rates_lie_between_rows() -> None:
    rows = torch.arange(51, dtype=torch.float32)[:, None].repeat(1, 4)  # a row's values are its number
    table, known = resampled_rows(rows, 90, 44100 / 512)
    assert known == 87  # 86 / 86.13 s is the last before the table's 1 s
    torch.testing.assert_close(table[:known, 0], torch.arange(87) * (50 * 512 / 44100), rtol=1e-5, atol=1e-4)
    same, known = resampled_rows(rows, 51, 50.0)
    assert known == 51
    assert torch.equal(same, rows)
    assert resampled_rows(rows, 26, 25.0)[1] == 26


def test_other_sizes_are_told_and_a_run_trains(
    official: Path, dac: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(
        CheckpointError, match=r"have model_dim 16, the settings say 32\. Leave model\.model_dim out"
    ):
        begun(official, {**dac, "model_dim": 32, "heads": 2})
    corpus = make_corpus(tmp_path / "corpus", train_items=3, val_items=1)
    start = open_init_weights(official, backend="indextts2", tokenizer=corpus / "tokenizer")
    with caplog.at_level(logging.WARNING):
        config, kind = tiny_config(
            "indextts2",
            model={**start.model, **dac, "max_mel_tokens": 60, "max_text_tokens": 30},
            training={"max_steps": 1, "optim": {"learning_rate": 1e-9}},
        )
        train(config, kind, RunOptions(data=corpus, run=tmp_path / "run", init=start, jobs=1))
    weights = read_checkpoint(tmp_path / "run").weights()
    published = torch.load(official, weights_only=True)["mel_pos_embedding.emb.weight"]
    torch.testing.assert_close(weights["speech.positions.weight"][:POSITIONS], published, atol=1e-6, rtol=0)
    assert "position rows after 0.9 s" in caplog.text


def test_published_weights_are_read_with_their_own_tokenizer(
    dac: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint, tokenizer = published(tmp_path / "old", "indextts2")
    corpus = make_corpus(tmp_path / "corpus", train_items=2, val_items=1)
    start = open_init_weights(checkpoint, backend="indextts2", tokenizer=tokenizer)
    config, kind = tiny_config("indextts2", model={**start.model, **dac}, training={"max_steps": 1})
    train(
        config, kind, RunOptions(data=corpus, run=tmp_path / "run", tokenizer=tokenizer, init=start, jobs=1)
    )
    assert read_checkpoint(tmp_path / "run").info.vocab_size == start.tokenizer.vocab_size
    assert "unknown to the tokenizer" in caplog.text
