"""Tokenizers in the formats of Chatterbox and IndexTTS2 carry a voice from training to speech."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_voice import make_corpus, train_tiny

from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.contract.registry import get_backend
from amtts_core.contract.types import SynthesisRequest
from amtts_core.corpus.manifest import read_manifest
from amtts_core.errors import AmttsError
from amtts_core.finetune.vocab.extend import ExtendRequest, extend_vocabulary
from amtts_core.tokenizers.factory import train_tokenizer


@pytest.mark.parametrize(
    ("backend", "kind"), [("chatterbox", "unigram"), ("chatterbox", "fidel"), ("indextts2", "bpe")]
)
def test_it_trains_and_speaks(tmp_path: Path, backend: str, kind: str) -> None:
    corpus = make_corpus(tmp_path / "corpus", train_items=4, val_items=1)
    texts = [utterance.spoken_text() for utterance in read_manifest(corpus / "train.jsonl")]
    published = get_backend(backend).spec.published
    shutil.rmtree(corpus / "tokenizer")
    train_tokenizer(kind, texts, format=published.tokenizer).save(corpus / "tokenizer")
    training = {"max_steps": 2, "validate_every": 2, "save_every": 2}
    train_tiny(corpus, tmp_path / "run", backend=backend, training=training)
    voice = read_checkpoint(tmp_path / "run").load_backend()
    tokenizer = voice.text_tokenizer
    assert tokenizer is not None
    assert (tokenizer.bos_id, tokenizer.eos_id) == {"chatterbox": (255, 0), "indextts2": (0, 1)}[backend]
    for rows in voice.text_tensors():
        assert len(voice.network.state_dict()[rows.tensor]) == tokenizer.vocab_size + rows.num_extra_rows
    wave = voice.synthesize([SynthesisRequest(tokens=tokenizer.encode("ሰላም ለዓለም።"), seed=1)])[0]
    assert len(wave) > 0
    assert np.isfinite(wave).all()
    folder = read_checkpoint(tmp_path / "run").folder
    request = ExtendRequest(
        backend=backend, checkpoint=folder, tokenizer=folder / "tokenizer", add="ŋ", out=tmp_path / "more"
    )
    if kind == "unigram" and backend == "chatterbox":
        with pytest.raises(AmttsError, match="cannot grow"):
            extend_vocabulary(request)
        return
    report = extend_vocabulary(request)
    assert report["new"] == 1
    assert report["old_text"]["compared_through"] == "network"
    assert report["old_text"]["max_abs_diff"] < 1e-4
