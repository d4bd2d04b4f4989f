"""Folders of the Hugging Face Hub's cache: `datasets--owner--name` with a folder for each version that was fetched."""

from __future__ import annotations

from pathlib import Path


def current_snapshot(source: Path) -> Path:
    """The version of a cached repository that `refs/main` names, or the newest; other sources as they are."""
    snapshots = source / "snapshots"
    if not source.name.startswith(("datasets--", "models--")) or not snapshots.is_dir():
        return source
    versions = [path for path in snapshots.iterdir() if path.is_dir()]
    if len(versions) < 2:
        return source
    named = source / "refs" / "main"
    if named.is_file() and (chosen := snapshots / named.read_text(errors="replace").strip()) in versions:
        return chosen
    return max(versions, key=lambda path: (path.stat().st_mtime_ns, path.name))
