"""What a person changed in a corpus while listening: corrected texts, rejected utterances.

The corpus stays as it is. Its edits stand beside it in `edits.jsonl`, a line each in the order in which they were made,
and `amtts merge` applies them to what it writes.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

from amtts_core.errors import AmttsError
from amtts_core.storage.json_lines import json_line

EDITS = "edits.jsonl"
RULE = "by-hand"
"""Rule of a rejection that a person decided."""
_LONGEST = 2000  # characters of a text


@dataclass(frozen=True)
class Edit:
    """What holds for an utterance.

    Attributes:
        id: of the utterance.
        text: instead of the one in the manifest; empty leaves that.
        keep: False rejects it.
    """

    id: str
    text: str = ""
    keep: bool = True

    @property
    def changes(self) -> bool:
        """Whether anything is different."""
        return bool(self.text) or not self.keep


def read_edits(corpus: Path) -> dict[str, Edit]:
    """What holds for the utterances that were edited; of several edits of one the last counts.

    Raises:
        AmttsError: a line of the file cannot be read.
    """
    found: dict[str, Edit] = {}
    path = corpus / EDITS
    if not path.is_file():
        return found
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            before = found.get(str(row["id"]), Edit(str(row["id"])))
            text, keep = row.get("text", before.text), row.get("keep", before.keep)
            if not isinstance(text, str) or not isinstance(keep, bool):
                raise TypeError("text or keep is of another type")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise AmttsError(
                f"{path}, line {number} is no edit ({error})", remedy="Take the line out of the file"
            ) from None
        found[before.id] = replace(before, text=text, keep=keep)
    return {name: edit for name, edit in found.items() if edit.changes}


def add_edit(corpus: Path, identity: str, *, text: str | None = None, keep: bool | None = None) -> None:
    """Adds a line to the edits of a corpus.

    Args:
        corpus: folder made by `amtts prepare` or `amtts merge`.
        identity: of the utterance.
        text: its corrected text; empty goes back to the one in the manifest, None leaves it.
        keep: False rejects the utterance, True keeps it again, None leaves it.

    Raises:
        AmttsError: the text is too long, or the file cannot be written.
    """
    said = None if text is None else " ".join(text.split())
    if said is not None and len(said) > _LONGEST:
        raise AmttsError(f"the text of '{identity}' has {len(said)} characters, at most {_LONGEST} are kept")
    row: dict[str, object] = {"id": identity, "time": round(time.time(), 1)}
    row |= {name: value for name, value in (("text", said), ("keep", keep)) if value is not None}
    try:
        # one write to a file that is opened to append: two that edit at once do not mix their lines
        handle = os.open(corpus / EDITS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(handle, json_line(row).encode())
        finally:
            os.close(handle)
    except OSError as error:
        raise AmttsError(f"cannot write {corpus / EDITS}: {error.strerror}") from None
