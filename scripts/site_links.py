"""Hook of the documentation's site: links to files of the repository lead to a copy beside the pages.

On GitHub `../backends/README.md` is a file of the repository; a site holds what is under docs/ only. Files that pages
name are added to the site under `repository/`: Markdown as pages, everything else as it is. The search lists these
copies, the design notes and the log after the pages for users.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
COPIES = "repository"
BACKGROUND = (f"{COPIES}/", "design/", "log.md")
"""Pages that the search lists after the others."""
FONT = ROOT / "amtts_cli/studio/assets/NotoSansEthiopic-subset.woff2"
"""Ethiopic letters for browsers without such a font; docs/assets/site.css names it."""
_CELL = re.compile(r"<td.*?</td>", re.DOTALL)
_LINK = re.compile(r"\[([^\]]*)\]\((?![a-z]+:|#)([^)#\s]+)((?:#[^)\s]*)?)\)")


def _target(page: Path, link: str) -> Path | None:
    """The repository's file that a link of a page means; None where there is none."""
    target = (page.parent / link).resolve()
    if target.is_dir():
        target = target / "README.md"
    return target if ROOT in target.parents and target.is_file() else None


def _on_site(file: Path) -> str:
    """Where the site has a file of the repository."""
    if DOCS in file.parents:
        return file.relative_to(DOCS).as_posix()
    return f"{COPIES}/{file.relative_to(ROOT).as_posix()}"


def on_files(files: Files, config: Any) -> Files:
    """Adds the font, the files outside docs/ that pages name, and those that these name in turn."""
    files.append(File.generated(config, f"assets/{FONT.name}", abs_src_path=str(FONT)))
    waiting = [Path(file.abs_src_path) for file in files if file.src_uri.endswith(".md")]
    seen = set(waiting)
    while waiting:
        page = waiting.pop()
        for _, link, _ in _LINK.findall(page.read_text(encoding="utf-8")):
            found = _target(page, link)
            if found is None or found in seen or DOCS in found.parents:
                continue
            seen.add(found)
            files.append(File.generated(config, _on_site(found), abs_src_path=str(found)))
            if found.suffix == ".md":
                waiting.append(found)
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """Turns links to files of the repository into links between pages of the site (a folder's name stays as text), and
    gives background pages less weight in the search."""
    if page.file.src_uri.startswith(BACKGROUND):
        page.meta.setdefault("search", {"boost": 0.3})
    source = Path(page.file.abs_src_path)
    here = posixpath.dirname(page.file.src_uri)

    def moved(match: re.Match[str]) -> str:
        label, link, anchor = match.groups()
        found = _target(source, link)
        if found is None:
            return label if (source.parent / link).exists() else match.group(0)
        return f"[{label}]({posixpath.relpath(_on_site(found), here or '.')}{anchor})"

    return _LINK.sub(moved, markdown)


def on_page_content(html: str, *, page: Any, config: Any, files: Files) -> str:
    """Shows `\\|` of table cells as `|`, as GitHub does."""
    return _CELL.sub(lambda cell: cell[0].replace(r"\|", "|"), html)
