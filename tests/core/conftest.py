"""A tiny corpus for every test of training, and ways to look at a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_voice import make_corpus


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve utterances to train, three to validate, with a tokenizer; tests leave it as it is."""
    return make_corpus(tmp_path_factory.mktemp("training") / "corpus")
