"""How make_corpus.py stores speech: Ogg Vorbis or FLAC, the same bytes for the same samples, with tags."""

from __future__ import annotations

import io
import zlib

import numpy
import soundfile

OGG_QUALITY = 0.4
REVERSED_BITS = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


def ogg_checksum(page: bytes) -> int:
    """Computes the CRC of an Ogg page, whose own checksum field must be zero."""
    crc = zlib.crc32(page.translate(REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2)


def fix_serial(ogg: bytes) -> bytes:
    """Gives an Ogg stream the serial number 1; libsndfile draws it by chance at each writing."""
    pages, start = [], 0
    while start < len(ogg):
        segments = ogg[start + 26]
        size = 27 + segments + sum(ogg[start + 27 : start + 27 + segments])
        page = bytearray(ogg[start : start + size])
        page[14:18], page[22:26] = (1).to_bytes(4, "little"), bytes(4)
        page[22:26] = ogg_checksum(bytes(page)).to_bytes(4, "little")
        pages.append(bytes(page))
        start += size
    return b"".join(pages)


def encode(samples: bytes, rate: int, tags: dict[str, str], kind: str) -> bytes:
    """Encodes 16-bit mono samples as Ogg Vorbis or FLAC, with tags."""
    buffer = io.BytesIO()
    subtype, level = ("VORBIS", 1 - OGG_QUALITY) if kind == "ogg" else ("PCM_16", None)
    with soundfile.SoundFile(
        buffer, "w", rate, 1, format=kind.upper(), subtype=subtype, compression_level=level
    ) as sound:
        for name, value in tags.items():
            setattr(sound, name, value)
        sound.write(numpy.frombuffer(samples, dtype="<i2"))
    return fix_serial(buffer.getvalue()) if kind == "ogg" else buffer.getvalue()
