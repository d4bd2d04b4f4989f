"""Which errors mean that memory ran out, on a GPU or on a CPU."""

from __future__ import annotations

import errno

import torch
from accelerate.utils.memory import should_reduce_batch_size

MESSAGES = (
    "DefaultCPUAllocator",  # torch on a CPU
    "could not create a primitive",  # oneDNN, with a memory descriptor that it cannot allocate
    "could not create a memory",
    "std::bad_alloc",
)
"""Parts of the messages of other errors than `torch.OutOfMemoryError`."""


def is_out_of_memory(error: BaseException) -> bool:
    """True where an error says that memory ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if not isinstance(error, RuntimeError):
        return False
    return should_reduce_batch_size(error) or any(part in str(error) for part in MESSAGES)
