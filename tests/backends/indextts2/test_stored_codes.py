"""Codes from `amtts encode-codes` teach what codes from the audio teach."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_codecs import write_pth
from tiny_voice import make_corpus, tiny_backend

from amtts_core.contract.codec_registry import open_codec
from amtts_core.corpus.manifest import read_manifest
from amtts_core.data.dataset import load_dataset
from amtts_core.errors import AmttsError
from amtts_core.run.encode_codes import encode_manifest
from amtts_core.storage.json_lines import write_jsonl


def test_stored_codes_make_the_same_batches(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus", train_items=4, val_items=1)
    backend, manifest = tiny_backend("indextts2"), corpus / "train.jsonl"
    encode_manifest(manifest, backend.open_codec(), tmp_path / "codes")
    heard = load_dataset(backend, manifest, tmp_path / "cache")
    stored = load_dataset(backend, manifest, tmp_path / "none", codes=tmp_path / "codes")
    assert stored.frames() == heard.frames()
    ours, theirs = stored.batch(range(4)), heard.batch(range(4))
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        assert (
            torch.equal(values, theirs[name]) if isinstance(values, torch.Tensor) else values == theirs[name]
        )
    assert not (tmp_path / "none").exists()


def test_codes_of_audio_that_was_prepared_anew_are_told(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus", train_items=4, val_items=1)
    backend, manifest = tiny_backend("indextts2"), corpus / "train.jsonl"
    encode_manifest(manifest, backend.open_codec(), tmp_path / "codes")
    rows = list(read_manifest(manifest))
    rows[2] = rows[2].model_copy(update={"duration": rows[2].duration - 0.1})
    write_jsonl(manifest, rows)
    found = load_dataset(backend, manifest, tmp_path / "none", codes=tmp_path / "codes", max_excluded=0.5)
    assert [row.id for row in found.excluded] == [rows[2].id]
    assert f"the manifest says 0+{rows[2].duration:g} s" in found.excluded[0].reason


def test_codes_of_other_weights_are_refused_with_both_ids(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus", train_items=2, val_items=1)
    backend, manifest = tiny_backend("indextts2"), corpus / "train.jsonl"
    own = backend.open_codec()
    write_pth(tmp_path / "other.pth", seed=1)
    other = open_codec("dac", tmp_path / "other.pth", num_codebooks=own.num_codebooks)
    encode_manifest(manifest, other, tmp_path / "codes")
    with pytest.raises(AmttsError) as refused:
        load_dataset(backend, manifest, tmp_path / "none", codes=tmp_path / "codes")
    assert other.weights_hash[:12] in refused.value.message
    assert own.weights_hash[:12] in refused.value.message
