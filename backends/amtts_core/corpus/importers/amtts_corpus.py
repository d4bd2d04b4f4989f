"""Another corpus that amtts made, or a manifest of its kind: to prepare it again at another rate or in other ways."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from amtts_core.corpus.importers.base import Reading, ReadOptions
from amtts_core.corpus.importers.json_manifest import open_manifest
from amtts_core.corpus.importers.json_rows import first_row
from amtts_core.corpus.importers.nemo import is_own
from amtts_core.errors import AmttsError


class AmttsCorpus:
    """Ids, speakers, normalized texts and the tags of the manifest are taken over."""

    name: ClassVar[str] = "amtts"
    summary: ClassVar[str] = "a corpus folder of amtts, or one of its manifests"

    def recognizes(self, source: Path, options: ReadOptions = ReadOptions()) -> bool:
        """True where the manifest's first row has the fields that amtts writes."""
        return is_own(first_row(_manifest(source)))

    def read(self, source: Path, options: ReadOptions = ReadOptions()) -> Reading:
        """Opens the manifest."""
        manifest = _manifest(source)
        if not manifest.is_file():
            raise AmttsError(
                f"{source} is no corpus of amtts: it holds no manifest.jsonl",
                remedy="Give a folder that `amtts prepare` made",
            )
        return open_manifest(manifest, options)


def _manifest(source: Path) -> Path:
    return source / "manifest.jsonl" if source.is_dir() else source
