"""A voice at another rate than 16 kHz: hears, speaks, is stored and exported at that rate."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_voice import fidel_tokenizer, make_corpus, tiny_config
from transformers import VitsConfig

from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.data.dataset import load_dataset
from amtts_core.errors import AmttsError
from amtts_core.run.options import RunOptions
from amtts_core.run.run import train
from amtts_core.synthesis.engine import Synthesizer
from amtts_vits.backend import VitsBackend

RATE = 22050


def test_a_run_at_another_rate_hears_speaks_and_is_exported_at_it(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus", train_items=3, val_items=1)
    config, kind = tiny_config(
        "vits", model={"mel": {"sample_rate": RATE, "fmax": 11025.0}}, training={"max_steps": 1}
    )
    train(config, kind, RunOptions(data=corpus, run=tmp_path / "run", jobs=1))
    checkpoint = read_checkpoint(tmp_path / "run")
    assert checkpoint.info.sample_rate == RATE
    backend = checkpoint.load_backend()
    heard = load_dataset(backend, corpus / "train.jsonl", corpus / "features")
    for number, utterance in enumerate(heard.utterances):
        samples = len(heard.example(number).features["waveform"])
        assert samples == pytest.approx(utterance.duration * RATE, rel=0.01)
    assert Synthesizer.from_checkpoint(tmp_path / "run").speak("ሰላም").sample_rate == RATE
    backend.export(tmp_path / "hf", format="hf")
    assert VitsConfig.from_pretrained(tmp_path / "hf").sampling_rate == RATE


@pytest.mark.parametrize("rate", [4000, 96000])
def test_impossible_rates_are_refused(rate: int) -> None:
    with pytest.raises(AmttsError, match="sample_rate must be 8000 to 48000"):
        tiny_config("vits", model={"mel": {"sample_rate": rate, "fmax": 1000.0}})


def test_every_rate_has_features_of_its_own() -> None:
    keys = set()
    for rate in (16000, RATE):
        config, _ = tiny_config("vits", model={"mel": {"sample_rate": rate}})
        settings = config.model_config_of(VitsBackend.spec)
        assert VitsBackend.spec.rate_of(settings) == rate
        keys.add(VitsBackend(settings, tokenizer=fidel_tokenizer()).feature_key())
    assert len(keys) == 2
