"""`amtts normalize`: text as people write it to text as people read it, and which rules did it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from amtts_cli import console
from amtts_cli.guesses import listed, warn_of_guesses
from amtts_cli.options import Assignments, Json, Lexicon

if TYPE_CHECKING:
    from amtts_core.text.normalizer import NormalizerSettings


class Target(StrEnum):
    """What the normalized text is turned into."""

    IPA = "ipa"
    ROMAN = "roman"


def normalize(
    text: Annotated[list[str] | None, typer.Argument(help="Texts; none reads standard input.")] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show every rule that changed something.")
    ] = False,
    language: Annotated[str, typer.Option("--language", help="Language of the text: am or ti.")] = "am",
    fold_homophones: Annotated[
        bool, typer.Option(help="One letter per sound; off for checkpoints that keep the letters apart.")
    ] = True,
    lexicon: Lexicon = None,
    to: Annotated[Target | None, typer.Option("--to", help="Also write IPA or reversible ASCII.")] = None,
    assignments: Assignments = None,
    json: Json = False,
) -> None:
    """Normalize texts: one a line in, one a line out.

    Counted on standard error: Latin words and abbreviations that no list knows and that were read by guess; emoji,
    tags and marks that were left out; characters outside the language's symbols, which are kept. A text that begins
    with a minus sign comes after two of them.

    Example: amtts normalize --explain -- "-5 ዲግሪ"
    """
    from amtts_core.text.normalizer import Normalizer

    settings = _settings(language, fold_homophones, lexicon, to, assignments or [])
    normalizer = Normalizer(settings)
    finish = _finisher(language, to)
    total: Counter[str] = Counter()
    guessed: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    rows: list[dict[str, object]] = []
    for line in text if text else _standard_input():
        reading = normalizer.read(line)
        normalized = reading.text
        fired = normalizer.explain(line) if explain else []
        total.update(left := normalizer.leftovers(normalized))
        guessed.update(rough := reading.guesses)
        left_out.update(dropped := reading.dropped)
        if json:
            row: dict[str, object] = {"text": line, "normalized": normalized, "leftovers": dict(left)}
            row |= {"guesses": dict(rough), "left_out": dict(dropped)}
            if to:
                row[to.value] = finish(normalized)
            if explain:
                row["rules"] = [vars(rule) for rule in fired]
            rows.append(row)
            continue
        for rule in fired:
            console.log(f"{rule.stage}/{rule.rule}: {rule.before} -> {rule.after}")
        console.out(finish(normalized))
    if json:
        counts = {"leftovers": dict(total), "guesses": dict(guessed), "left_out": dict(left_out)}
        console.result({"texts": rows, **counts})
        return
    warn_of_guesses(guessed)
    if left_out:
        console.warn(f"left out, as no text: {listed(left_out)}")
    if total:
        console.warn(f"characters outside the symbols of {language!r}: {_listed(total)}")


def _settings(
    language: str, fold_homophones: bool, lexicon: Path | None, to: Target | None, assignments: list[str]
) -> NormalizerSettings:
    """The settings that the options ask for; every fault of `--set` in one error."""
    from amtts_core.errors import AmttsError, nearest
    from amtts_core.text.lexicon import read_lexicon
    from amtts_core.text.settings import NormalizerSettings, read_settings

    values: dict[str, object] = {"language": language, "fold_homophones": fold_homophones}
    values["lexicon"] = read_lexicon(lexicon) if lexicon else {}
    values["strip_gemination_marks"] = to is not Target.IPA
    for assignment in assignments:
        name, sign, value = assignment.partition("=")
        if not sign or name not in NormalizerSettings.model_fields or name == "lexicon":
            hint = nearest(name, NormalizerSettings.model_fields)
            raise AmttsError(
                f"--set {assignment!r} names no switch of the normalizer{hint}",
                remedy=f"Write --set NAME=VALUE with one of: {', '.join(NormalizerSettings.model_fields)}",
            )
        values[name] = value
    return read_settings(values)


def _finisher(language: str, to: Target | None) -> Callable[[str], str]:
    """What is done to a normalized text before it is printed."""
    from amtts_core.errors import AmttsError
    from amtts_core.text.language import get_language

    pack = get_language(language)
    if to is None:
        return str
    function = pack.to_ipa if to is Target.IPA else pack.romanize
    if function is None:
        raise AmttsError(f"language {language!r} has no --to {to.value}", remedy="Leave --to away")
    return function


def _standard_input() -> Iterator[str]:
    """Lines of standard input, UTF-8 or UTF-16; a bad line is named by its number."""
    from amtts_core.errors import AmttsError
    from amtts_core.text.normalizer import decode_text

    if sys.stdin.isatty():
        raise AmttsError("no text given", remedy="Write it as an argument or pipe it in")
    stream = sys.stdin.buffer
    start = stream.peek(2)[:2] if hasattr(stream, "peek") else b""
    if start in (b"\xff\xfe", b"\xfe\xff"):
        yield from decode_text(stream.read(), source="standard input").splitlines()
        return
    for number, line in enumerate(stream, start=1):
        yield decode_text(line, source=f"standard input, line {number}").rstrip("\r\n")


def _listed(counts: Counter[str]) -> str:
    shown = [f"{char!r} (U+{ord(char):04X}) {count}" for char, count in counts.most_common(20)]
    rest = len(counts) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest > 0 else "")
