"""Files of torch from elsewhere: tensors and plain values are read, nothing in them is run."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from amtts_core.errors import CheckpointError


@contextmanager
def reading_safely(path: Path, *, what: str) -> Iterator[None]:
    """Turns what readers raise on a file that is damaged, foreign or holds code into one line.

    Raises:
        CheckpointError: says `what` the file should be and the reader's first line.
    """
    try:
        yield
    except (
        OSError,
        EOFError,
        RuntimeError,
        ValueError,
        TypeError,
        AttributeError,
        LookupError,  # of torch's reader, over bytes that are no pickle, such as a WAV file
        pickle.UnpicklingError,
        SafetensorError,
    ) as error:
        text = str(error).strip()
        first = (text.splitlines() or [type(error).__name__])[0]
        if isinstance(error, OSError | EOFError) and path.is_file():  # torch's own words are no help
            first = "it is empty" if not path.stat().st_size else "it is damaged or cut short"
        if "weights_only" in text:  # torch's own advice is to run what the file holds
            named = re.search(r"GLOBAL (\S+)", text)
            held = f" ({named[1]})" if named else ""
            first = f"it holds more than tensors and plain values{held}, which is not run"
        raise CheckpointError(f"{what} {path} cannot be read safely: {first}") from None


def load_torch_file(path: Path, *, what: str) -> Any:
    """What `torch.save` wrote, on the CPU.

    Raises:
        CheckpointError: unreadable, or it holds more than tensors and plain values.
    """
    with reading_safely(path, what=what), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about the age of the pickle
        return torch.load(path, map_location="cpu", weights_only=True)
