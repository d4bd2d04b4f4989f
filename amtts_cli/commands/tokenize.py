"""`amtts tokenize`: a vocabulary for a corpus, and a report on how well it fits."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amtts_cli import console
from amtts_cli.options import Json
from amtts_core.errors import AmttsError

if TYPE_CHECKING:
    from amtts_core.contract.tokenizer import TextTokenizer
    from amtts_core.contract.tokenizer_format import TokenizerFormat
    from amtts_core.corpus.coverage import TextStatistics, TokenizerReport
    from amtts_core.corpus.manifest import Utterance

_SHOWN = 40  # letters, pieces or characters that a line lists; the report file holds all


def tokenize(
    data: Annotated[
        Path | None, typer.Option("--data", help="Corpus folder made by `amtts prepare`: train, val, test.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write; default: tokenizer, beside the manifest.")
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option("--manifest", help="Training texts; default: DATA/train.jsonl.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", help="fidel, unigram, bpe or char; default: fidel.")
    ] = None,
    backend: Annotated[
        str,
        typer.Option(
            "--backend", help="Train in the format and with the special ids of this backend's weights."
        ),
    ] = "",
    vocab_size: Annotated[
        int | None,
        typer.Option("--vocab-size", help="Exact number of pieces, 100-20000; default: up to 1000."),
    ] = None,
    byte_fallback: Annotated[
        bool, typer.Option("--byte-fallback", help="Write unknown characters as bytes; adds 256 pieces.")
    ] = False,
    tokenizer: Annotated[
        Path | None,
        typer.Option("--tokenizer", help="Encode with this one, of any known format, and train none."),
    ] = None,
    encoded: Annotated[
        Path | None,
        typer.Option("--encoded", help="Also write each utterance's token ids here, a JSON line each."),
    ] = None,
    max_unk: Annotated[
        float, typer.Option("--max-unk", min=0, max=1, help="Fail above this share of unknown tokens.")
    ] = 0.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Draws the sample of a very large corpus.")] = 0,
    force: Annotated[
        bool, typer.Option("--force", help="Replace another tokenizer that stands in --out.")
    ] = False,
    json: Json = False,
) -> None:
    """Train a tokenizer on a corpus, or encode one with a tokenizer that exists; report how well it fits.

    `fidel` writes each letter as a consonant and a vowel and learns nothing; it suits small corpora. The others are
    SentencePiece models with every Ethiopic letter forced in. --backend indextts2 and --backend chatterbox write the
    files that their published weights expect. Above --max-unk nothing is written.

    Example: amtts tokenize --data demo/corpus --kind unigram --vocab-size 600
    """
    from amtts_core.corpus.coverage import measure
    from amtts_core.tokenizers.factory import train_tokenizer
    from amtts_core.tokenizers.folder import check_target, install_tokenizer
    from amtts_core.tokenizers.published.open import open_any_tokenizer
    from amtts_core.tokenizers.registry import check_kind

    if manifest is None:
        if data is None:
            raise AmttsError(
                "`amtts tokenize` needs a corpus",
                remedy="Name its folder with --data DIR, or a manifest with --manifest FILE",
            )
        if data.is_file():
            raise AmttsError(
                f"{data} is a file; expected a corpus folder", remedy=f"Give it as --manifest {data}"
            )
        manifest = data / "train.jsonl"
    target = out or manifest.parent / "tokenizer"
    if tokenizer is None:
        check_kind(kind or "fidel")
        format = _format(backend) if backend else None
        check_target(target, force=force)
        text = train_tokenizer(
            kind or "fidel",
            (utterance.spoken_text() for utterance in _read(manifest)),
            vocab_size=vocab_size,
            byte_fallback=byte_fallback,
            seed=seed,
            format=format,
        )
    else:
        _refuse_training_options(
            out=out,
            kind=kind,
            backend=backend or None,
            vocab_size=vocab_size,
            byte_fallback=byte_fallback,
            force=force,
        )
        text = open_any_tokenizer(tokenizer)
    report = measure(text, _read(manifest), held_out=_held_out(data))
    _check_text(report, manifest)
    values = report.to_json() | {"manifest": str(manifest), "max_unk": max_unk}
    if report.unk_ratio > max_unk:
        _show(report, {**values, "ok": False, "outcome": "nothing written"}, tokenizer or target)
        raise _too_many_unknown(report, max_unk)
    if encoded is not None:
        _write_encoded(encoded, text, _read(manifest), _held_out(data))
    outcome = "measured" if tokenizer else install_tokenizer(text, target, values, force=force)
    _show(report, {**values, "ok": True, "outcome": outcome}, tokenizer or target)


def _format(backend: str) -> TokenizerFormat | None:
    """The file format of a backend's published tokenizers; None where it has none."""
    from amtts_core.contract.registry import get_backend

    spec = get_backend(backend).spec
    if spec.text is None:
        raise AmttsError(
            f"backend '{backend}' learns without text and has no tokenizer", remedy="Leave --backend out"
        )
    return spec.published.tokenizer if spec.published else None


def _write_encoded(
    path: Path, tokenizer: TextTokenizer, train: Iterator[Utterance], held_out: Iterator[Utterance]
) -> None:
    from amtts_core.storage.json_lines import write_jsonl

    rows = (
        {"id": utterance.id, "tokens": tokenizer.encode(utterance.spoken_text())}
        for utterance in itertools.chain(train, held_out)
    )
    write_jsonl(path, rows)


def _read(manifest: Path) -> Iterator[Utterance]:
    from amtts_core.corpus.manifest import read_manifest

    return read_manifest(manifest)


def _held_out(data: Path | None) -> Iterator[Utterance]:
    for name in ("val.jsonl", "test.jsonl"):
        if data is not None and (data / name).is_file():
            yield from _read(data / name)


def _refuse_training_options(**given: object) -> None:
    typed = [f"--{name.replace('_', '-')}" for name, value in given.items() if value not in (None, False)]
    if typed:
        raise AmttsError(
            f"--tokenizer encodes with a tokenizer that exists and goes with no {', '.join(typed)}",
            remedy="Leave --tokenizer out to train a new one",
        )


def _check_text(report: TokenizerReport, manifest: Path) -> None:
    if not report.train.utterances:
        from amtts_core.corpus.manifest import empty_manifest

        raise empty_manifest(manifest)
    if not report.train.tokens:
        raise AmttsError(
            f"manifest {manifest} holds no text ({report.train.utterances} utterances)",
            remedy="Look into the ledger that `amtts prepare` left: rejected.jsonl",
        )
    if not report.ethiopic_text:
        raise AmttsError(
            f"manifest {manifest}: not one Ethiopic letter in {report.train.characters} characters of text",
            remedy="Check the texts' encoding, or give another language to `amtts prepare --language`",
        )


def _too_many_unknown(report: TokenizerReport, max_unk: float) -> AmttsError:
    return AmttsError(
        f"{report.unk_ratio:.4%} of the tokens are unknown, more than --max-unk {max_unk:g} allows: "
        f"{_characters(report)}",
        remedy="Normalise the text with `amtts prepare`, add --byte-fallback, or raise --max-unk",
    )


def _characters(report: TokenizerReport) -> str:
    found = report.unknown_characters.most_common()
    shown = ", ".join(f"{character!r} U+{ord(character):04X} ({count})" for character, count in found[:10])
    return shown + (f" and {len(found) - 10} more" if len(found) > 10 else "")


def _some(items: tuple[str, ...]) -> str:
    return " ".join(items[:_SHOWN]) + (f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else "")


def _show(report: TokenizerReport, values: dict[str, Any], folder: Path) -> None:
    total = values["letters"]
    lines = [
        f"{report.kind} tokenizer with {report.vocab_size} symbols, sha256 {report.fingerprint[:12]}",
        f"train: {_statistics(report.train)}",
        f"held-out: {_statistics(report.held_out) if report.held_out.utterances else 'no val.jsonl, no test.jsonl'}",
        f"letters: {report.letters_seen} of {total} seen, themselves or as a homophone",
    ]
    if report.letters_never_seen:
        lines.append(f"  never seen: {_some(report.letters_never_seen)}")
    if report.pieces_never_used:
        unused = tuple(repr(piece) if piece.isspace() else piece for piece in report.pieces_never_used)
        lines.append(f"pieces never used: {len(unused)}: {_some(unused)}")
    if report.unknown_characters:
        lines.append(f"unknown characters: {_characters(report)}")
    lines.append(f"{folder}: {values['outcome']}")
    console.result({**values, "out": str(folder)}, lines=lines)


def _statistics(counts: TextStatistics) -> str:
    return (
        f"{counts.utterances} utterances, {counts.seconds / 60:.1f} min, UNK {counts.unk_ratio:.3%}, "
        f"{counts.tokens_per_second:.1f} tokens per second, {counts.tokens_per_word:.2f} per word"
    )
