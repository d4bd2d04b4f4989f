"""What a file is by its first bytes, whatever it is called."""

from __future__ import annotations

from typing import Literal

HEAD = 4096
"""Bytes that are looked at."""

Kind = Literal["wav", "ogg", "flac", "mp3", "sndfile", "media", "text", "other"]

_SNDFILE = (b"RF64", b"riff", b"FORM", b".snd", b"dns.", b"caff", b"NIST", b"wvpk", b"2BIT", b"Crea")
_MEDIA = {
    b"\x1a\x45\xdf\xa3": "WebM or Matroska",
    b"\x30\x26\xb2\x75": "WMA or WMV",
    b"FLV\x01": "FLV",
    b"#!AM": "AMR",
    b"\x00\x00\x01\xba": "MPEG",
    b"\x00\x00\x01\xb3": "MPEG",
    b"MAC ": "Monkey's Audio",
    b"TTA1": "TTA",
}
_OTHER = {
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a zip archive",
    b"PK\x05\x06": "an empty zip archive",
    b"\x1f\x8b": "a gzip file",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard file",
    b"\xff\xd8\xff": "a JPEG picture",
    b"\x89PNG": "a PNG picture",
    b"GIF8": "a GIF picture",
    b"\xd0\xcf\x11\xe0": "an old Office document",
    b"SQLite": "an SQLite database",
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"\x93NUMPY": "a NumPy array",
    b"MThd": "a MIDI file",
    b"bplist": "a property list",
}
_POINTERS = {
    b"version https://git-lfs": "is a Git LFS pointer and not the file itself; fetch it with: git lfs pull",
    b"/annex/objects/": "is a git-annex pointer and not the file itself; fetch it with: git annex get",
}


def kind_of(head: bytes) -> tuple[Kind, str]:
    """Kind of a file and its name for people.

    Args:
        head: the first bytes of the file; 64 are enough for most.
    """
    magic = head[:4]
    if magic in (b"RIFF", b"RIFX"):
        return ("media", "AVI") if head[8:12] == b"AVI " else ("wav", "WAV")
    if magic == b"OggS":
        return "ogg", "Ogg"
    if magic == b"fLaC":
        return "flac", "FLAC"
    if magic in _SNDFILE:
        return "sndfile", "audio"
    if magic in _MEDIA:
        return "media", _MEDIA[magic]
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "media", "MP4 or M4A"
    if magic[:3] == b"ID3" or _is_mpeg_audio(head):
        return "mp3", "MP3"
    if magic[:2] in (b"\xff\xf1", b"\xff\xf9"):
        return "media", "AAC"
    if magic[:1] == b"\x47" and head[188:189] == b"\x47":
        return "media", "MPEG-TS"
    for start, name in _OTHER.items():
        if head.startswith(start):
            return "other", name
    if head[257:262] == b"ustar":
        return "other", "a tar archive"
    return _text_kind(head)


def pointer(head: bytes) -> str:
    """What is to be done about a file that only stands for another one; empty where it does not."""
    for start, description in _POINTERS.items():
        if head.startswith(start):
            return description
    return ""


def _is_mpeg_audio(head: bytes) -> bool:
    """True for a frame header of MPEG audio: sync, a known layer, bit rate and sample rate."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    return version != 1 and layer != 0 and head[2] >> 4 not in (0, 15) and head[2] >> 2 & 3 != 3


def _text_kind(head: bytes) -> tuple[Kind, str]:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:200].lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "text", "a web page"
    if start.startswith(b"<?xml"):
        return "text", "an XML document"
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        if len(head) < HEAD or error.start < len(head) - 4:
            return "other", "no known kind of file"
    if head and b"\0" not in head:
        return "text", "text"
    return "other", "no known kind of file"
