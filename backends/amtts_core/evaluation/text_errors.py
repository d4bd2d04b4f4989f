"""Character and word errors of a hypothesis against a text, by jiwer, in several ways of writing both.

A recognizer cannot hear spelling: homophones (ሰ ሠ), punctuation and, in Amharic speech, many word boundaries are not
in the sound. So errors are counted over letters without spaces first (`cer`), and in the stricter ways beside it.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from amtts_core.text.ethiopic import decompose, order_of

Operation = Literal["hit", "substitute", "insert", "delete"]
_LENGTH_MARKS = dict.fromkeys((0x135D, 0x135E, 0x135F))
RUN_ON = 4
"""Letters recognized in a row after the last letter of the text that count as running on."""
EARLY_STOP = 4
"""Letters missing in a row at the end of the text that count as an early stop."""


@dataclass(frozen=True)
class Writing:
    """A way of writing texts before they are compared.

    Attributes:
        fold: homophones and rounded letters as one letter per sound.
        punctuation: keep it.
        spaces: keep one between words.
    """

    fold: bool = True
    punctuation: bool = False
    spaces: bool = False

    def __call__(self, text: str, *, language: str = "am") -> str:
        """The text in this way."""
        text = unicodedata.normalize("NFC", text).translate(_LENGTH_MARKS)
        if self.fold:
            text = folded(text, language=language)
        if not self.punctuation:
            text = "".join(c if c.isalnum() or unicodedata.category(c) == "Mn" else " " for c in text)
        return ("" if not self.spaces else " ").join(text.split())


LETTERS = Writing()
"""Letters alone, homophones folded: what a recognizer can hear."""
LETTERS_AS_WRITTEN = Writing(fold=False)
WORDS = Writing(spaces=True)
WITH_SPACES = Writing(spaces=True)
AS_WRITTEN = Writing(fold=False, punctuation=True, spaces=True)


def folded(text: str, *, language: str = "am") -> str:
    """One letter per sound, by the language pack's table."""
    from amtts_core.text.language import get_language

    return text.translate(get_language(language).homophones)


@dataclass(frozen=True)
class Counts:
    """Edit operations of one utterance in one way of writing; `length` is that of the reference."""

    length: int
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def errors(self) -> int:
        """All operations."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors over the reference's length; for an empty reference the number of errors."""
        return self.errors / max(1, self.length)


@dataclass(frozen=True)
class Edit:
    """One stretch of the alignment of reference and hypothesis, indices into both."""

    kind: Operation
    ref_start: int
    ref_end: int
    hyp_start: int
    hyp_end: int


@dataclass(frozen=True)
class TextErrors:
    """What is wrong with a hypothesis.

    Attributes:
        cer: letters, homophones folded, no spaces, no punctuation.
        cer_as_written: letters as written, homophones apart.
        cer_with_spaces: folded, with spaces.
        cer_strict: as written, with spaces and punctuation.
        wer: words, folded, with the recognizer's own spaces.
        words_wrong: words of which a letter is wrong, whatever the recognizer's spaces; out of `words`.
        first_word_wrong: the first of them is wrong.
        run_on: letters recognized after the last letter of the text.
        lead_in: letters recognized before its first letter.
        early_stop: letters missing at its end.
        longest_gap: most letters missing in a row before its end (skipped words).
        confusions: (letter, recognized letter) -> count; an empty string stands for nothing.
        wrong: indices of the wrong words.
    """

    cer: Counts
    cer_as_written: Counts
    cer_with_spaces: Counts
    cer_strict: Counts
    wer: Counts
    words: int
    words_wrong: int
    first_word_wrong: bool
    run_on: int
    lead_in: int
    early_stop: int
    longest_gap: int
    confusions: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: tuple[int, ...] = ()


def text_errors(reference: str, hypothesis: str, *, language: str = "am") -> TextErrors:
    """Errors of a hypothesis. The reference is normalized text with at least one letter.

    Raises:
        ValueError: the reference holds no letter.
    """
    ref = LETTERS(reference, language=language)
    hyp = LETTERS(hypothesis, language=language)
    if not ref:
        raise ValueError(f"reference {reference!r} holds no letter")
    edits = letter_edits(ref, hyp)
    wrong = _wrong_words(WORDS(reference, language=language).split(), edits)
    return TextErrors(
        cer=_counts(edits, len(ref)),
        cer_as_written=_characters(reference, hypothesis, LETTERS_AS_WRITTEN, language),
        cer_with_spaces=_characters(reference, hypothesis, WITH_SPACES, language),
        cer_strict=_characters(reference, hypothesis, AS_WRITTEN, language),
        wer=_words(reference, hypothesis, language),
        words=len(WORDS(reference, language=language).split()),
        words_wrong=len(wrong),
        first_word_wrong=0 in wrong,
        run_on=_at_end(edits, "insert", len(ref)),
        lead_in=sum(e.hyp_end - e.hyp_start for e in edits if e.kind == "insert" and e.ref_start == 0),
        early_stop=_at_end(edits, "delete", len(ref)),
        longest_gap=max(
            (e.ref_end - e.ref_start for e in edits if e.kind == "delete" and e.ref_end < len(ref)), default=0
        ),
        confusions=_confusions(edits, ref, hyp),
        wrong=tuple(sorted(wrong)),
    )


def letter_edits(reference: str, hypothesis: str) -> list[Edit]:
    """The alignment of two strings, hits included."""
    import jiwer

    if not hypothesis:
        return [Edit("delete", 0, len(reference), 0, 0)]
    output = jiwer.process_characters(reference, hypothesis)
    kinds: dict[str, Operation] = {
        "equal": "hit",
        "substitute": "substitute",
        "insert": "insert",
        "delete": "delete",
    }
    return [
        Edit(
            kinds[chunk.type], chunk.ref_start_idx, chunk.ref_end_idx, chunk.hyp_start_idx, chunk.hyp_end_idx
        )
        for chunk in output.alignments[0]
    ]


def _counts(edits: Sequence[Edit], length: int) -> Counts:
    def of(kind: Operation) -> int:
        return sum(max(e.ref_end - e.ref_start, e.hyp_end - e.hyp_start) for e in edits if e.kind == kind)

    return Counts(length, of("substitute"), of("delete"), of("insert"))


def _characters(reference: str, hypothesis: str, writing: Writing, language: str) -> Counts:
    ref = writing(reference, language=language)
    return _counts(letter_edits(ref, writing(hypothesis, language=language)), len(ref))


def _words(reference: str, hypothesis: str, language: str) -> Counts:
    import jiwer

    ref, hyp = WORDS(reference, language=language), WORDS(hypothesis, language=language)
    if not hyp:
        return Counts(len(ref.split()), deletions=len(ref.split()))
    found = jiwer.process_words(ref, hyp)
    return Counts(len(ref.split()), found.substitutions, found.deletions, found.insertions)


def _wrong_words(words: Sequence[str], edits: Sequence[Edit]) -> set[int]:
    """Indices of words with an error inside, or with an insertion at an edge that they share with nobody else."""
    owner = [number for number, word in enumerate(words) for _ in word]
    wrong: set[int] = set()
    for edit in edits:
        if edit.kind in ("substitute", "delete"):
            wrong.update(owner[edit.ref_start : edit.ref_end])
        elif edit.kind == "insert" and 0 < edit.ref_start < len(owner):
            before, after = owner[edit.ref_start - 1], owner[edit.ref_start]
            if before == after:
                wrong.add(before)
    return wrong


def _at_end(edits: Sequence[Edit], kind: Operation, length: int) -> int:
    """Letters of the last edit where it is of this kind and at the end of the reference."""
    last = edits[-1] if edits else None
    if last is None or last.kind != kind or last.ref_end != length:
        return 0
    return max(last.ref_end - last.ref_start, last.hyp_end - last.hyp_start)


def _confusions(edits: Sequence[Edit], ref: str, hyp: str) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for edit in edits:
        if edit.kind == "substitute":
            found.update(
                zip(ref[edit.ref_start : edit.ref_end], hyp[edit.hyp_start : edit.hyp_end], strict=True)
            )
        elif edit.kind == "delete":
            found.update((letter, "") for letter in ref[edit.ref_start : edit.ref_end])
        elif edit.kind == "insert":
            found.update(("", letter) for letter in hyp[edit.hyp_start : edit.hyp_end])
    return found


def consonant_confusions(confusions: Counter[tuple[str, str]]) -> Counter[tuple[str, str]]:
    """Confusions of letters by their consonants alone: (sixth order, sixth order); equal ones are vowels' business."""
    found: Counter[tuple[str, str]] = Counter()
    for (said, heard), count in confusions.items():
        if said and heard and order_of(said) and order_of(heard):
            first, second = decompose(said)[0], decompose(heard)[0]
            if first != second:
                found[first, second] += count
    return found


EJECTIVES = {"ጥ": "ት", "ቅ": "ክ", "ጭ": "ች", "ጽ": "ስ", "ጵ": "ፕ"}
"""Ejective consonants and their plain partners, each by its sixth order letter; homophones folded."""


def ejective_confusions(confusions: Counter[tuple[str, str]]) -> dict[str, int]:
    """How often an ejective was recognized as its plain partner, and the other way round."""
    rows = consonant_confusions(confusions)
    return {
        "ejective as plain": sum(rows[e, p] for e, p in EJECTIVES.items()),
        "plain as ejective": sum(rows[p, e] for e, p in EJECTIVES.items()),
    }
