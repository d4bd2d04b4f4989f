"""A folder for sherpa-onnx (k2-fsa): `model.onnx` with its metadata, and `tokens.txt`.

sherpa-onnx ends the process over a token of two code points, a repeated one or `<unk>`, so none is written. It adds a
start and an end id unless `use_eos_bos=0` says otherwise.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from amtts_core.contract.tokenizer import TextTokenizer
from amtts_vits.export.characters import character_table
from amtts_vits.export.onnx_model import INPUTS, ids_of, write_model, write_tokens
from amtts_vits.export.sherpa_check import check_with_sherpa


def write_sherpa(
    model: Any,
    tokenizer: TextTokenizer,
    folder: Path,
    speakers: Sequence[str],
    untrained: Collection[int] | None = None,
) -> None:
    """Writes the folder; `tokens.txt` holds a line a character and further lines for other spellings of it.

    Where sherpa-onnx is installed, it speaks what was written.
    """
    table = character_table(tokenizer, what="sherpa-onnx", untrained=untrained)
    several = model.config.num_speakers > 1
    metadata = {
        "model_type": "vits",
        "comment": "amtts",
        "language": "Amharic",
        "frontend": "characters",
        "add_blank": 1,
        "blank_id": 0,
        "use_eos_bos": 0,
        "bos_id": 0,
        "eos_id": 0,
        "n_speakers": model.config.num_speakers if several else 0,
        "sample_rate": model.config.sampling_rate,
    }
    network = write_model(model, folder / "model.onnx", names=INPUTS, metadata=metadata, table=table)
    write_tokens(table, folder / "tokens.txt")
    check_with_sherpa(network, ids_of(table), folder)
