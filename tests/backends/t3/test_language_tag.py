"""The language tag: it stands before the text in training, in speaking, and in what stock Chatterbox is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command_line import call
from extended import extended, train_from
from tiny_voice import make_corpus

from amtts_chatterbox.t3 import backend as t3
from amtts_chatterbox.t3.inference import Utterance
from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.corpus.manifest import read_manifest
from amtts_core.synthesis.engine import Synthesizer


def test_the_tag_stands_before_every_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = make_corpus(tmp_path / "corpus", train_items=4, val_items=1)
    start = extended(tmp_path, "chatterbox", language="am")
    read: list[list[int]] = []
    collate = t3.ChatterboxT3Backend.collate

    def watched(self: t3.ChatterboxT3Backend, examples: Any) -> Any:
        batch = collate(self, examples)
        pairs = zip(batch["tokens"].tolist(), batch["token_lengths"].tolist(), strict=True)
        read.extend(row[:length] for row, length in pairs)
        return batch

    monkeypatch.setattr(t3.ChatterboxT3Backend, "collate", watched)
    train_from(corpus, tmp_path / "run", start, "chatterbox", training={"max_steps": 1})
    tokenizer = read_checkpoint(tmp_path / "run").tokenizer()
    assert tokenizer is not None
    tag = tokenizer.symbols().index("[am]")
    assert len(read) >= 4
    assert all(row[:2] == [tokenizer.bos_id, tag] and tag not in row[2:] for row in read)

    spoken: list[Utterance] = []
    prompts_of = t3.prompts_of

    def watched_prompts(network: Any, utterances: list[Utterance], sampling: Any) -> Any:
        spoken.extend(utterances)
        return prompts_of(network, utterances, sampling, max_frames=4)

    monkeypatch.setattr(t3, "prompts_of", watched_prompts)
    voice = Synthesizer.from_checkpoint(tmp_path / "run")
    learnt = [utterance.text for utterance in read_manifest(corpus / "train.jsonl")]
    voice.speak("\n".join(learnt[:2]))
    assert len(spoken) == 2
    assert all(list(item.text[:2]) == [tokenizer.bos_id, tag] for item in spoken)
    assert (
        call(
            "export", "--checkpoint", tmp_path / "run", "--format", "chatterbox", "--out", tmp_path / "x"
        ).code
        == 0
    )
    assert "[am]" in (tmp_path / "x" / "README.md").read_text(encoding="utf-8")
