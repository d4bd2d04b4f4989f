"""IndexTTS2's tokenizer: its special ids are checked wherever a file is opened."""

from __future__ import annotations

from pathlib import Path

import pytest
from vocabularies import indextts2_model, sentencepiece_bytes

from amtts_core.errors import AmttsError
from amtts_core.tokenizers.published.additions import read_addition
from amtts_core.tokenizers.published.open import open_any_tokenizer
from amtts_indextts2.tokenizer import FORMAT


def test_a_model_with_other_special_ids_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bpe.model"
    file.write_bytes(sentencepiece_bytes([("A", -1.0)], specials=("<unk>", "<s>", "</s>")))
    message = (
        r"bpe\.model is not one of IndexTTS2: its start, stop and unknown ids are \(1, 2, 0\), .* \(0, 1, 2\)"
    )
    with pytest.raises(AmttsError, match=message):
        FORMAT.open(file)
    with pytest.raises(AmttsError, match=message):
        open_any_tokenizer(file, prefer=FORMAT)
    with pytest.raises(AmttsError, match=message):
        FORMAT.extend(file, read_addition("fidel"), reuse=False, pad_to=0, language="")
    assert open_any_tokenizer(file).vocab_size == 4  # of no backend in particular
    file.write_bytes(indextts2_model())
    assert FORMAT.open(file).bos_id == 0
