"""A voice that predicts no mels is refused with the backends that do."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from amtts_core.contract.registry import get_backend
from amtts_core.data import predicted_mels
from amtts_core.errors import AmttsError


def test_the_refusal_names_the_backends_that_predict_mels(monkeypatch: pytest.MonkeyPatch) -> None:
    voice = SimpleNamespace(load_backend=lambda: SimpleNamespace(spec=get_backend("vits").spec))
    monkeypatch.setattr(predicted_mels, "read_checkpoint", lambda path: voice)
    reader = cast(Any, SimpleNamespace(spec=get_backend("vocoder").spec))
    with pytest.raises(
        AmttsError, match="backend 'vits' predicts no mels. Name a checkpoint of chatterbox-mel$"
    ):
        predicted_mels.with_predicted_mels(cast(Any, None), reader, Path("run"))
