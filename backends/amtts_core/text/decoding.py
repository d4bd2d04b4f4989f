"""Bytes to text: byte order mark, UTF-8, UTF-16; refuses what was decoded wrongly before it came here."""

from __future__ import annotations

import codecs
import re

from amtts_core.errors import AmttsError

_MOJIBAKE = re.compile("[áâ][\u0080-\u009f\u02c6\u2030\u0160\u2039\u0152\u017d\u2020\u2021\u00a0-\u00bf]")
_REMEDY = "Save the file as UTF-8 and try again"


def decode_text(data: bytes, *, source: str) -> str:
    """The text of a file: UTF-8 with or without byte order mark, or UTF-16.

    Never falls back to a one-byte code page: Ethiopic text read that way becomes rubbish without an error.

    Raises:
        AmttsError: the bytes are no such text, or the text is Ethiopic that was decoded with a wrong code page.
    """
    text = _decode(data, source)
    damaged = len(_MOJIBAKE.findall(text))
    if damaged >= 3 and damaged * 6 > len(text.split()):
        raise AmttsError(
            f"{source}: the text is Ethiopic that was saved with a wrong encoding ({damaged} damaged letters, "
            f"such as {_MOJIBAKE.search(text)[0]!r})",  # type: ignore[index]
            remedy="Fetch the original file again and save it as UTF-8",
        )
    return text


def _decode(data: bytes, source: str) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif data.startswith(codecs.BOM_UTF8):
        encoding = "utf-8-sig"
    elif b"\0" in data[:4096]:
        encoding = _guess_utf16(data)
    else:
        encoding = "utf-8"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as fault:
        raise AmttsError(
            f"{source}: byte {fault.start} ({data[fault.start]:#04x}) is not valid {encoding.upper()}",
            remedy=_REMEDY,
        ) from fault
    if "\0" in text:
        raise AmttsError(f"{source}: this is no text file (it holds zero bytes)", remedy=_REMEDY)
    return text


def _guess_utf16(data: bytes) -> str:
    """Byte order of UTF-16 without a mark: spaces and line ends carry their zero byte on one side."""
    sample = data[:4096]
    return "utf-16-le" if sample[1::2].count(0) >= sample[0::2].count(0) else "utf-16-be"
