"""EPUB: its chapters in reading order, by the standard library (a zip of XHTML)."""

from __future__ import annotations

import posixpath
import zipfile
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

from amtts_core.errors import AmttsError
from amtts_core.synthesis.batch.prose import html_text
from amtts_core.synthesis.batch.rows import Row

LARGEST = 64 << 20
"""Bytes that one file of a book may unpack to."""
_CONTAINER = "{urn:oasis:names:tc:opendocument:xmlns:container}"
_OPF = "{http://www.idpf.org/2007/opf}"


def read_epub(path: Path) -> list[Row]:
    """A row a chapter with text.

    Raises:
        AmttsError: no EPUB, or protected.
    """
    try:
        with zipfile.ZipFile(path) as book:
            if "META-INF/encryption.xml" in book.namelist() and b"rights" in _read(
                book, "META-INF/encryption.xml"
            ):
                raise AmttsError(f"{path} is protected, so its text cannot be read")
            return [
                Row(id=f"{number:03d}", text=text, place=f"chapter {number} ({name})")
                for number, (name, text) in enumerate(_chapters(book), 1)
            ]
    except OSError as error:
        raise AmttsError(f"text file {path}: {error.strerror or error}") from None
    except (zipfile.BadZipFile, KeyError, ElementTree.ParseError, StopIteration, AttributeError) as error:
        raise AmttsError(f"{path} is no EPUB that can be read ({type(error).__name__}: {error})") from None


def _chapters(book: zipfile.ZipFile) -> list[tuple[str, str]]:
    container = ElementTree.fromstring(_read(book, "META-INF/container.xml"))
    root = next(container.iter(f"{_CONTAINER}rootfile")).attrib["full-path"]
    package = ElementTree.fromstring(_read(book, root))
    files = {item.attrib["id"]: item.attrib["href"] for item in package.iter(f"{_OPF}item")}
    out: list[tuple[str, str]] = []
    for reference in package.iter(f"{_OPF}itemref"):
        if reference.attrib.get("linear") == "no":
            continue
        name = posixpath.normpath(
            posixpath.join(posixpath.dirname(root), unquote(files[reference.attrib["idref"]]))
        )
        text = html_text(_read(book, name).decode("utf-8", errors="replace"))
        if any(character.isalnum() for character in text):
            out.append((posixpath.basename(name), text))
    return out


def _read(book: zipfile.ZipFile, name: str) -> bytes:
    if book.getinfo(name).file_size > LARGEST:
        raise AmttsError(f"{name} of the book unpacks to more than {LARGEST >> 20} MiB")
    return book.read(name)
