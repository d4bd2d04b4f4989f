"""Markdown and HTML as a person reads them aloud: paragraphs, headings and entries of lists, nothing of the marks."""

from __future__ import annotations

from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any

_SKIPPED = frozenset(("script", "style", "head", "template", "noscript", "svg", "math", "nav", "rt", "rp"))
_BLOCK_NAMES = (
    "p div li ul ol dl dt dd tr table h1 h2 h3 h4 h5 h6 blockquote section article header footer figure "
    "figcaption main aside pre hr body address form fieldset"
)
_BLOCKS = frozenset(_BLOCK_NAMES.split())


def markdown_text(text: str) -> str:
    """The prose of a Markdown text, paragraphs with blank lines between; code and pictures are left out."""
    from markdown_it import MarkdownIt

    blocks: list[str] = []
    body = text.removeprefix("\ufeff")
    if body.startswith("---\n") and "\n---" in body[4:]:  # front matter
        body = body[4:].partition("\n---")[2].partition("\n")[2]
    for token in MarkdownIt("commonmark").enable("table").parse(body):
        if token.type == "inline":
            blocks.append(_inline(token.children or []))
        elif token.type == "html_block":
            blocks.append(html_text(token.content))
    return "\n\n".join(block for block in blocks if block.strip())


def _inline(children: Sequence[Any]) -> str:
    out = ""
    for child in children:
        if child.type in ("text", "code_inline"):
            out += child.content
        elif child.type in ("softbreak", "hardbreak"):
            out += " "
    return " ".join(out.split())


def html_text(text: str) -> str:
    """The prose of an HTML page, paragraphs with blank lines between; scripts, styles and the head are left out."""
    reader = _Html()
    reader.feed(text)
    reader.close()
    return "\n\n".join(reader.blocks())


class _Html(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._blocks: list[str] = [""]
        self._skipping = 0

    def blocks(self) -> list[str]:
        return [flat for block in self._blocks if (flat := " ".join(block.split()))]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SKIPPED:
            self._skipping += 1
        elif tag in _BLOCKS:
            self._blocks.append("")
        elif tag in ("br", "td", "th"):
            self._blocks[-1] += " "

    def handle_endtag(self, tag: str) -> None:
        if tag in _SKIPPED:
            self._skipping = max(0, self._skipping - 1)
        elif tag in _BLOCKS:
            self._blocks.append("")

    def handle_data(self, data: str) -> None:
        if not self._skipping:
            self._blocks[-1] += data
