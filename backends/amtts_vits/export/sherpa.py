"""A folder for sherpa-onnx (k2-fsa): `model.onnx` with its metadata, and `tokens.txt`.

sherpa-onnx ends the process over a token of two code points, a repeated one or `<unk>`, so none is written. It adds a
start and an end id unless `use_eos_bos=0` says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from amtts_core.contract.tokenizer import TextTokenizer
from amtts_vits.export.characters import character_table
from amtts_vits.export.onnx_model import INPUTS, write_model
from amtts_vits.export.sherpa_check import check_with_sherpa

BLANK = "_"


def write_sherpa(model: Any, tokenizer: TextTokenizer, folder: Path, speakers: Sequence[str]) -> None:
    """Writes the folder; `tokens.txt` holds a line a character and further lines for other spellings of it.

    Where sherpa-onnx is installed, it speaks what was written.
    """
    table = character_table(tokenizer, what="sherpa-onnx")
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
    write_model(model, folder / "model.onnx", names=INPUTS, metadata=metadata)
    blank = BLANK if BLANK not in table else "\ue000"
    lines = [f"{sign} {row}" for sign, row in sorted({**table, blank: 0}.items(), key=lambda item: item[1])]
    (folder / "tokens.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    check_with_sherpa(model, table, folder)
