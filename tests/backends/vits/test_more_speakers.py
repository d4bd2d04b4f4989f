"""A voice of one speaker that is to learn others."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from tiny_voice import fidel_tokenizer, make_corpus, tiny_config, train_tiny

from amtts_core.contract.types import SynthesisRequest
from amtts_core.finetune.init_weights import open_init_weights
from amtts_core.run.options import RunOptions
from amtts_core.run.run import train


def test_every_speaker_begins_as_the_single_voice_and_learns(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "one", train_items=4, val_items=1)
    train_tiny(corpus, tmp_path / "single", backend="vits", training={"max_steps": 1})
    start = open_init_weights(tmp_path / "single")
    config, kind = tiny_config("vits")
    tokenizer = fidel_tokenizer()
    spoken = {}
    for speakers in ((), ("abebe", "sara")):
        backend = kind(config.model_config_of(kind.spec), tokenizer=tokenizer, speakers=speakers)
        start.fill(backend)
        backend.network.eval()
        for number, speaker in enumerate(speakers or ("",)):
            request = SynthesisRequest(tokens=tokenizer.encode("ሰላም"), seed=3, speaker=number)
            (spoken[speaker],) = backend.synthesize([request])
    assert np.abs(spoken["abebe"] - spoken[""]).max() < 1e-5
    assert np.abs(spoken["sara"] - spoken[""]).max() < 1e-5
    two = make_corpus(tmp_path / "two", train_items=4, val_items=1, speakers=("abebe", "sara"))
    more, _ = tiny_config("vits", training={"max_steps": 2})
    train(more, kind, RunOptions(data=two, run=tmp_path / "grown", init=start, jobs=1))
    grown = open_init_weights(tmp_path / "grown")
    assert json.loads((grown.source / "checkpoint.json").read_text())["speakers"] == ["abebe", "sara"]
    pair = kind(config.model_config_of(kind.spec), tokenizer=tokenizer, speakers=("abebe", "sara"))
    grown.fill(pair)
    pair.network.eval()
    for number, name in enumerate(("abebe", "sara")):
        one = kind(config.model_config_of(kind.spec), tokenizer=tokenizer, speakers=(name,))
        grown.fill(one)
        one.network.eval()
        assert one.speakers.num_embeddings == 0
        request = SynthesisRequest(tokens=tokenizer.encode("ሰላም"), seed=3)
        (alone,) = one.synthesize([request])
        (among,) = pair.synthesize([replace(request, speaker=number)])
        assert np.abs(alone - among).max() < 1e-5, "one speaker of two speaks as before"
