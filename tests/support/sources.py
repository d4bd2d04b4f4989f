"""Sources for importers: files without sound where nothing decodes them, and what an importer makes of them."""

from __future__ import annotations

from pathlib import Path

from amtts_core.corpus.importers import Clip, Fault, choose_importer


def make_files(folder: Path, files: dict[str, str | bytes]) -> Path:
    """Writes files; the text `x` stands for a recording that nobody decodes."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def entries(source: Path, importer: str = "") -> list[Clip | Fault]:
    """Everything that the importer finds, none outside of the folder."""
    reading = choose_importer(source, importer).read(source)
    found = list(reading.entries)
    for entry in found:
        if isinstance(entry, Clip):
            assert entry.path.resolve().is_relative_to(reading.root)
            assert entry.path.is_file()
    return found


def clips(source: Path, importer: str = "") -> list[Clip]:
    """What can be decoded."""
    return [entry for entry in entries(source, importer) if isinstance(entry, Clip)]


def rules(source: Path, importer: str = "") -> dict[str, str]:
    """Text or source of each fault -> its rule."""
    return {
        entry.text or entry.source: entry.finding.rule
        for entry in entries(source, importer)
        if isinstance(entry, Fault)
    }
