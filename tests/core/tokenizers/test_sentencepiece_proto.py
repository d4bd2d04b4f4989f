"""Our declaration of SentencePiece's message against SentencePiece's own."""

from __future__ import annotations

import importlib

import pytest
from vocabularies import indextts2_model

from amtts_core.tokenizers.published.sentencepiece_proto import parse_model


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_nothing_of_a_model_is_lost_or_misread(kind: str) -> None:
    theirs = importlib.import_module("sentencepiece.sentencepiece_model_pb2").ModelProto()
    theirs.ParseFromString(indextts2_model(kind))
    ours = parse_model(theirs.SerializeToString())
    assert [(p.piece, p.score, p.type) for p in ours.pieces] == [
        (p.piece, p.score, p.type) for p in theirs.pieces
    ]
    assert ours.trainer_spec.model_type == theirs.trainer_spec.model_type
    assert ours.trainer_spec.vocab_size == theirs.trainer_spec.vocab_size
    again = type(theirs)()
    again.ParseFromString(ours.SerializeToString())
    assert again == theirs, "fields that are not declared pass through"
