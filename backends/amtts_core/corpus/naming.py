"""Ids: from a file's stem, safe as a file name on any system, and each given once."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable

_LONGEST = 120  # bytes; with folder and suffix far below every file system's limit
_RESERVED = {"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(1, 10))}


def safe_stem(source: str) -> str:
    """The stem of a path with everything but letters, digits, marks, `-`, `_` and `.` made `_`."""
    stem = source.replace("\\", "/").rstrip("/").rpartition("/")[2]
    stem = stem.rsplit(".", 1)[0] if "." in stem[1:] else stem
    stem = unicodedata.normalize("NFC", stem)
    stem = re.sub(r"[^\w.\-\u0300-\u036f\u135d-\u135f]", "_", stem).strip("._ ") or "clip"
    stem = stem.encode()[:_LONGEST].decode(errors="ignore")
    return f"{stem}_" if stem.split(".")[0].casefold() in _RESERVED else stem


def unique_id(source: str, distinguishing: str, take: Callable[[str], bool]) -> str:
    """An id that nobody has.

    The first clip with a stem has it plain; another one gets a digest of what distinguishes it, so that its id does
    not depend on how many others came before; only exact repetitions are counted.

    Args:
        source: path of the audio.
        distinguishing: everything that tells this clip from others of the same stem.
        take: takes a name (compared without case) and says whether it was free.
    """
    stem = safe_stem(source)
    if take(stem):
        return stem
    digest = hashlib.blake2b(f"{source}\0{distinguishing}".encode(), digest_size=4).hexdigest()
    name, count = f"{stem}-{digest}", 1
    while not take(name):
        count += 1
        name = f"{stem}-{digest}-{count}"
    return name
