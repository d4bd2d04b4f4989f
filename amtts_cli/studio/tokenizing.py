"""What the Tokenizer tab does: the command that trains one, how it covers the letters, two of them on a text."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from amtts_cli.studio.workspace import Workspace
from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.corpus.manifest import read_manifest
from amtts_core.errors import AmttsError
from amtts_core.text.amharic.letter_table import fidel_table
from amtts_core.tokenizers.published.open import open_any_tokenizer
from amtts_core.tokenizers.registry import check_kind

KINDS = ("fidel", "unigram", "bpe", "char")
BACKENDS = ("chatterbox", "indextts2", "vits")
ORDERS = 7
RARE = 5
"""A letter that occurs less often is rare."""
_LONGEST = 2000  # characters that are compared


@dataclass(frozen=True)
class Letter:
    """A letter of the table.

    Attributes:
        letter: itself.
        count: how often it occurs in a dataset; None where none is given.
        known: the tokenizer can write it.
    """

    letter: str
    count: int | None
    known: bool


@dataclass(frozen=True)
class Encoded:
    """A text in the symbols of a tokenizer.

    Attributes:
        name: of the tokenizer's folder.
        kind: of the tokenizer.
        size: symbols that it has.
        pieces: of the text.
        unknown: how many of them stand for something that it cannot write.
        words: of the text.
    """

    name: str
    kind: str
    size: int
    pieces: tuple[str, ...]
    unknown: int
    words: int


def tokenize_command(
    workspace: Workspace,
    corpus: str,
    *,
    kind: str = "fidel",
    size: float = 0,
    backend: str = "",
    byte_fallback: bool = False,
    replace: bool = False,
) -> list[str]:
    """Arguments of `amtts` that train a tokenizer on a dataset.

    Raises:
        AmttsError: there is no such dataset or kind.
    """
    folder = workspace.existing(corpus, what="dataset")
    check_kind(kind)
    words = ["tokenize", "--data", workspace.name(folder), f"--kind={kind}"]
    if size and kind in ("unigram", "bpe"):
        words.append(f"--vocab-size={int(size)}")
    if backend:
        words.append(f"--backend={backend}")
    if byte_fallback and kind in ("unigram", "bpe"):
        words.append("--byte-fallback")
    return [*words, "--force"] if replace else words


def opened(workspace: Workspace, name: str) -> TextTokenizer:
    """The tokenizer in a folder of the workspace.

    Raises:
        AmttsError: there is none, or it is damaged.
    """
    return open_any_tokenizer(workspace.existing(name, what="tokenizer"))


def coverage(tokenizer: TextTokenizer, corpus: Path | None) -> list[Letter]:
    """The 33 x 7 letters, row by row: how often a dataset has them, and whether a tokenizer can write them.

    Raises:
        AmttsError: the dataset cannot be read.
    """
    seen: Counter[str] = Counter()
    if corpus is not None:
        for utterance in read_manifest(corpus / "train.jsonl"):
            seen.update(utterance.spoken_text())
    return [
        Letter(
            letter,
            seen[letter] if corpus is not None else None,
            tokenizer.unk_id not in tokenizer.encode(letter),
        )
        for letter in fidel_table()
    ]


def encode(tokenizer: TextTokenizer, name: str, text: str) -> Encoded:
    """A text as a tokenizer cuts it.

    Raises:
        AmttsError: it is empty or too long.
    """
    if not text.strip():
        raise AmttsError("there is no text to compare on", remedy="Write a sentence")
    if len(text) > _LONGEST:
        raise AmttsError(f"the text has {len(text)} characters, at most {_LONGEST} are compared")
    said = " ".join(text.split())
    ids, symbols = tokenizer.encode(said), tokenizer.symbols()
    return Encoded(
        name,
        tokenizer.kind,
        tokenizer.vocab_size,
        tuple(symbols[number] for number in ids),
        ids.count(tokenizer.unk_id),
        len(said.split()),
    )
