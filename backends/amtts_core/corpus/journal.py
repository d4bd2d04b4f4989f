"""What is done already, on disk: one row a clip, in SQLite, so that a kill at any point loses at most a second.

Also remembers, within one run, which ids, audio and sentences are taken; a set in memory would grow with the corpus.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from amtts_core.errors import AmttsError

NAME = "journal.sqlite"
_COMMIT_EVERY = 0.5  # seconds
_SCHEMA = """
CREATE TABLE IF NOT EXISTS clips (
    id TEXT PRIMARY KEY, fingerprint TEXT, outcome TEXT, kept INTEGER, run INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS taken (kind TEXT, key TEXT, id TEXT, PRIMARY KEY (kind, key)) WITHOUT ROWID;
DELETE FROM taken;
"""


@dataclass(frozen=True)
class Entry:
    """A clip's row: the fingerprint it was done under and its outcome as JSON."""

    fingerprint: str
    outcome: str


class Journal:
    """The journal of one output folder; held by one process at a time.

    Args:
        folder: the output folder.
        name: of the file; a shard has its own.

    Raises:
        AmttsError: another process holds it, or it cannot be read or written.
    """

    def __init__(self, folder: Path, name: str = NAME) -> None:
        self.path = folder / name
        try:
            self._db = sqlite3.connect(self.path, isolation_level=None, timeout=0.5)
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute("PRAGMA temp_store=MEMORY")
            self._db.executescript(_SCHEMA)
            self._run = 1 + (self._db.execute("SELECT max(run) FROM clips").fetchone()[0] or 0)
            self._db.execute("BEGIN")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise AmttsError(
                    f"another `amtts prepare` is at work in {folder}",
                    remedy="Wait for it, or choose another --out",
                ) from None
            raise AmttsError(f"cannot write {self.path}: {error}") from None
        except sqlite3.DatabaseError as error:
            raise AmttsError(
                f"{self.path} is damaged ({error})", remedy=f"Delete it and run again: rm {self.path}"
            ) from None
        self._committed = time.monotonic()

    def _run_sql(self, statement: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        """Executes a statement.

        Raises:
            AmttsError: the disk is full, or the journal cannot be read or written any more.
        """
        try:
            return self._db.execute(statement, values)
        except sqlite3.OperationalError as error:
            raise AmttsError(
                f"cannot write {self.path}: {error}",
                remedy="Free space and run the same command again: what is done is kept",
            ) from None
        except sqlite3.DatabaseError as error:
            raise AmttsError(
                f"{self.path} is damaged ({error})", remedy=f"Delete it and run again: rm {self.path}"
            ) from None

    def entry(self, identity: str) -> Entry | None:
        """What is known of a clip."""
        row = self._run_sql("SELECT fingerprint, outcome FROM clips WHERE id = ?", (identity,)).fetchone()
        return Entry(*row) if row else None

    def forget(self, identity: str) -> None:
        """Makes a clip's row useless, durably, before its audio is written anew."""
        self._run_sql("UPDATE clips SET fingerprint = '' WHERE id = ?", (identity,))
        self.commit()

    def forget_all(self) -> None:
        """Makes every row useless; the files they name are still known."""
        self._run_sql("UPDATE clips SET fingerprint = ''")
        self.commit()

    def record(self, identity: str, fingerprint: str, outcome: str, *, kept: bool) -> None:
        """Stores a clip's outcome; it is on disk within a second."""
        self._run_sql(
            "INSERT OR REPLACE INTO clips VALUES (?, ?, ?, ?, ?)",
            (identity, fingerprint, outcome, kept, self._run),
        )
        if time.monotonic() - self._committed > _COMMIT_EVERY:
            self.commit()

    def reject(self, identity: str) -> None:
        """Marks a clip that was recorded as kept: its audio does not belong to the corpus after all."""
        self._run_sql("UPDATE clips SET kept = 0 WHERE id = ?", (identity,))

    def owner(self, kind: str, key: str) -> str | None:
        """The id of the clip that took `key` in this run."""
        row = self._run_sql("SELECT id FROM taken WHERE kind = ? AND key = ?", (kind, key)).fetchone()
        return str(row[0]) if row else None

    def claim(self, kind: str, key: str, identity: str) -> bool:
        """Takes `key` for a clip in this run; False where it is taken already."""
        cursor = self._run_sql("INSERT OR IGNORE INTO taken VALUES (?, ?, ?)", (kind, key, identity))
        return cursor.rowcount == 1

    def superfluous(self) -> Iterator[str]:
        """Ids whose audio no longer belongs to the corpus: rejected in this run, or not in the source any more."""
        rows = self._run_sql("SELECT id FROM clips WHERE kept = 0 OR run < ?", (self._run,))
        yield from (str(identity) for (identity,) in rows)

    def drop_stale(self) -> None:
        """Deletes the rows of clips that this run did not meet."""
        self._run_sql("DELETE FROM clips WHERE run < ?", (self._run,))
        self.commit()

    def commit(self) -> None:
        """Makes everything so far durable."""
        self._run_sql("COMMIT")
        self._run_sql("BEGIN")
        self._committed = time.monotonic()

    def close(self) -> None:
        """Commits and lets go of the folder.

        Raises:
            AmttsError: the disk is full.
        """
        try:
            self._run_sql("DELETE FROM taken")
            self._run_sql("COMMIT")
        finally:
            with contextlib.suppress(sqlite3.Error):
                self._db.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
            return
        with contextlib.suppress(AmttsError):  # the first error is the one to report
            self.close()
