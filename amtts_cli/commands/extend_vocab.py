"""`amtts extend-vocab`: add symbols to the vocabulary of a published model without changing an existing one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from amtts_cli import console
from amtts_cli.options import BackendName, Json

_SHOWN = 12  # rows that are listed; the report file holds all


def extend_vocab(
    backend: BackendName,
    checkpoint: Annotated[
        Path,
        typer.Option("--checkpoint", help="Published weights (.safetensors, .pt, .pth), or their folder."),
    ],
    tokenizer: Annotated[
        Path, typer.Option("--tokenizer", help="The tokenizer these weights were trained with.")
    ],
    add: Annotated[
        str,
        typer.Option("--add", help="fidel, cv, uroman, a tokenizer, a .txt file of symbols, or the symbols."),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder to make.")],
    mode: Annotated[
        str,
        typer.Option("--mode", help="extend: add ids. reuse: take ids of tokens that no text can contain."),
    ] = "extend",
    pad_to: Annotated[
        int, typer.Option("--pad-to", min=0, help="Fill up to this many tokens, e.g. 3000; 0 fills nothing.")
    ] = 0,
    init: Annotated[
        str, typer.Option("--init", help="New embeddings: romanized, mean, normal or zero.")
    ] = "romanized",
    lang_tag: Annotated[
        str, typer.Option("--language-tag", help="Language tag to add, e.g. am for [am]; default: none.")
    ] = "",
    old_text: Annotated[
        Path | None,
        typer.Option(
            "--old-text", help="Texts of other languages, a line each, to check besides the built-in."
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the noise in new embeddings.")] = 0,
    json: Json = False,
) -> None:
    """Add symbols to the tokenizer and checkpoint of a published model, together.

    Backends: those that read published weights with a vocabulary (chatterbox, indextts2, vits, and other packages'),
    and any for a checkpoint of amtts. Every size is read from the files; embeddings follow their token, never their
    index. The result is read back before it is put in place: old embeddings have to be equal bit for bit, existing
    text has to keep its ids and its network outputs. OUT/vocab_report.json says where each new embedding comes from.

    Example: amtts extend-vocab --backend chatterbox --checkpoint t3_mtl23ls_v2.safetensors --tokenizer
    grapheme_mtl_merged_expanded_v1.json --add fidel --language-tag am --out amharic
    """
    from amtts_core.finetune.vocab.extend import ExtendRequest, extend_vocabulary
    from amtts_core.finetune.vocab.initialize import Init

    report = extend_vocabulary(
        ExtendRequest(
            backend=backend,
            checkpoint=checkpoint,
            tokenizer=tokenizer,
            add=add,
            out=out,
            mode=mode,
            pad_to=pad_to,
            init=cast(Init, init),
            language=lang_tag.strip("[]"),
            seed=seed,
            old_text=old_text,
        )
    )
    console.result({**report, "out": str(out)}, lines=_lines(report, out))


def _lines(report: dict[str, Any], out: Path) -> list[str]:
    lines = [
        f"{report['backend']}: {report['old_size']} text tokens before, {report['new_size']} after: "
        + ", ".join(f"{report[word]} {word}" for word in ("kept", "moved", "new", "dropped"))
    ]
    for name, shapes in report["tensors"].items():
        lines.append(f"  {name}: {shapes['old']} -> {shapes['new']}")
    origins = Counter(row["init"] for row in report["rows"])
    if origins:
        lines.append("new rows: " + ", ".join(f"{count} {init}" for init, count in origins.most_common()))
    for row in report["rows"][:_SHOWN]:
        made_of = f" from {' '.join(map(repr, row['parts']))}" if row["parts"] else ""
        lines.append(f"  {row['token']} {row['id']}: {row['init']}{made_of}")
    if len(report["rows"]) > _SHOWN:
        lines.append(f"  and {len(report['rows']) - _SHOWN} more")
    if report["left_out"]:
        reason = next(iter(report["left_out"].values()))
        lines.append(f"left out: {len(report['left_out'])} symbols, e.g. because {reason}")
    unknown = report["ethiopic_letters_still_unknown"]
    lines.append(
        f"Ethiopic letters it still cannot write: {len(unknown)}: {' '.join(unknown[:_SHOWN])}"
        if unknown
        else "every Ethiopic letter can be written"
    )
    old_text = report["old_text"]
    lines.append(
        f"old text: same ids; {old_text['sequences']} texts through the {old_text['compared_through']}, "
        f"largest difference {old_text['max_abs_diff']:g}"
        + (f" ({old_text['why_not_the_network']})" if old_text["why_not_the_network"] else "")
    )
    return [*lines, f"{out}: written, with vocab_report.json"]
