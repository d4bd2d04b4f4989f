"""`amtts validate-e2e`: one run that tells whether a set-up can work, or whether the maths equals stored numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amtts_cli import console
from amtts_cli.options import Assignments, ConfigFile, Json
from amtts_core.contract.reference_check import ReferenceCheck
from amtts_core.errors import AmttsError

LABELS = {"ok": "ok", "skipped": "skipped", "failed": "FAILED"}
if TYPE_CHECKING:
    from amtts_core.preflight.end_to_end import Setup


def validate_e2e(
    data: Annotated[
        Path | None, typer.Option("--data", help="Corpus folder made by `amtts prepare`.")
    ] = None,
    backend: Annotated[
        str, typer.Option("--backend", help="Backend name; not needed with --checkpoint.")
    ] = "",
    checkpoint: Annotated[Path | None, typer.Option("--checkpoint", help="Check this trained voice.")] = None,
    preset: Annotated[str, typer.Option("--preset", help="Named size of a fresh network.")] = "",
    config: ConfigFile = None,
    tokenizer: Annotated[Path | None, typer.Option("--tokenizer", help="Default: DATA/tokenizer.")] = None,
    text: Annotated[str, typer.Option("--text", help="Sentence to speak.")] = "ሰላም ለዓለም።",
    max_unk: Annotated[
        float, typer.Option("--max-unk", min=0, max=1, help="Allowed share of unknown tokens.")
    ] = 0,
    overfit_steps: Annotated[
        int, typer.Option("--overfit-steps", min=5, help="Steps on one small batch.")
    ] = 60,
    reference: Annotated[
        Path | None, typer.Option("--reference", help="Bundle of stored numbers to compare with.")
    ] = None,
    old_text: Annotated[
        Path | None,
        typer.Option("--old-text", help="Texts of the old languages, a line each: what did they lose?"),
    ] = None,
    old_tokenizer: Annotated[
        Path | None, typer.Option("--old-tokenizer", help="The tokenizer before Amharic was added.")
    ] = None,
    old_checkpoint: Annotated[
        Path | None, typer.Option("--old-checkpoint", help="The weights before, to compare scores with.")
    ] = None,
    old_data: Annotated[
        Path | None,
        typer.Option("--old-data", help="Prepared corpus of the old languages: is their speech still known?"),
    ] = None,
    max_rise: Annotated[
        float | None, typer.Option("--max-rise", min=0, help="Fail above this rise, nats per token.")
    ] = None,
    assignments: Assignments = None,
    json: Json = False,
) -> None:
    """Check manifest, audio, text, loss, gradients, checkpoint and speech. Exit code 1 if anything fails.

    Example: amtts validate-e2e --data data --checkpoint run
    """
    if reference is not None:
        _compare(backend, reference)
        return
    if old_text or old_tokenizer or old_checkpoint or old_data or max_rise is not None:
        if not (old_text and old_tokenizer and checkpoint):
            raise AmttsError(
                "old languages are checked with --checkpoint, --old-text and --old-tokenizer together"
            )
        _old_languages(checkpoint, old_text, old_tokenizer, old_checkpoint, old_data, max_rise)
        return
    if data is None:
        raise AmttsError("`amtts validate-e2e` needs --data DIR (or --reference DIR)")
    from amtts_core.preflight.end_to_end import run_checks

    if checkpoint is not None:
        ignored = {"--preset": preset, "--config": config, "--tokenizer": tokenizer, "--set": assignments}
        given = [option for option, value in ignored.items() if value]
        if given:
            raise AmttsError(
                f"{', '.join(given)} and --checkpoint exclude each other: a checkpoint has its own settings"
            )
        setup = _trained(data, checkpoint, backend)
    else:
        setup = _fresh(data, backend, preset, config, tokenizer, assignments or [])
    setup.text, setup.max_unk, setup.overfit_steps = text, max_unk, overfit_steps
    checks = run_checks(
        setup, on_check=lambda check: console.log(f"{LABELS[check.status]:<7} {check.name}: {check.detail}")
    )
    ok = all(check.ok for check in checks)
    console.result(
        {"backend": setup.backend.spec.name, "ok": ok, "checks": [check.__dict__ for check in checks]}
    )
    if not json:
        console.table("", ("check", "", "found"), [(c.name, LABELS[c.status], c.detail) for c in checks])
    if not ok:
        raise typer.Exit(1)


def _manifest(data: Path) -> Path:
    if not (data / "train.jsonl").is_file():
        raise AmttsError(
            f"{data} is not a prepared corpus: train.jsonl is missing",
            remedy="Make one with: amtts prepare SOURCE --out DIR",
        )
    return data / "train.jsonl"


def _trained(data: Path, checkpoint: Path, backend: str) -> Setup:
    from amtts_core.checkpoints.checkpoint import read_checkpoint
    from amtts_core.config.run_config import resolve_config
    from amtts_core.preflight.end_to_end import Setup

    manifest, found = _manifest(data), read_checkpoint(checkpoint)
    if backend and backend != found.info.backend:
        raise AmttsError(
            f"checkpoint {found.folder} is of backend '{found.info.backend}', not '{backend}'",
            remedy="Leave --backend out",
        )
    resolved, _ = resolve_config({"backend": found.info.backend, "model": found.info.backend_config})
    return Setup(
        found.load_backend(), resolved, manifest, data / "features", found.normalizer(), trained=True
    )


def _fresh(
    data: Path, backend: str, preset: str, config: Path | None, tokenizer: Path | None, assignments: list[str]
) -> Setup:
    import torch

    from amtts_core.config.run_config import resolve_config
    from amtts_core.config.yaml_files import parse_assignments, read_config_file
    from amtts_core.contract.speakers import SpeakerTable
    from amtts_core.corpus.corpus import corpus_normalizer, corpus_speakers
    from amtts_core.finetune.speakers import speaker_table
    from amtts_core.preflight.end_to_end import Setup
    from amtts_core.tokenizers.factory import load_tokenizer

    manifest = _manifest(data)
    overrides = parse_assignments(assignments)
    overrides |= {key: value for key, value in (("backend", backend), ("preset", preset)) if value}
    values = read_config_file(config) if config else {}
    resolved, chosen = resolve_config(values, overrides=overrides, source=str(config or "options"))
    torch.manual_seed(resolved.training.seed)
    text = load_tokenizer(tokenizer or data / "tokenizer") if chosen.spec.text else None
    settings = resolved.model_config_of(chosen.spec)
    speakers = corpus_speakers(manifest, bad_lines=[])  # the first check tells of bad lines
    table = speaker_table(speakers, chosen.spec, SpeakerTable())
    built = chosen(settings, tokenizer=text, speakers=table)
    return Setup(built, resolved, manifest, data / "features", corpus_normalizer(data), trained=False)


def _old_languages(
    checkpoint: Path,
    old_text: Path,
    old_tokenizer: Path,
    old_checkpoint: Path | None,
    old_data: Path | None,
    max_rise: float | None,
) -> None:
    from amtts_core.forgetting.old_text import compare_old_texts

    found = compare_old_texts(
        checkpoint,
        old_text=old_text,
        old_tokenizer=old_tokenizer,
        old_checkpoint=old_checkpoint,
        old_data=old_data,
    )
    if max_rise is not None and found.scores is None and found.speech is None:
        raise AmttsError("--max-rise needs --old-checkpoint and a backend that predicts text")
    lines = [f"old text: {found.texts} lines, {len(found.other_ids)} cut otherwise than before"]
    lines += [
        f"  {text!r}: {old} before, {new} now" for text, (old, new) in list(found.other_ids.items())[:5]
    ]
    values: dict[str, Any] = {"texts": found.texts, "other_ids": len(found.other_ids)}
    if found.after is None:
        lines.append("this backend predicts no text: only ids were compared")
    rises = []
    for what, after, scores, note in (
        ("text", found.after, found.scores, "give --old-checkpoint to compare"),
        ("speech", found.speech_after, found.speech, found.speech_note),
    ):
        if after is None:
            continue
        prefix = "" if what == "text" else "speech_"
        values[f"{prefix}after"] = after
        if scores is None:
            lines.append(f"{what} score, nats per token: {after:.4f} ({note})")
            continue
        rises.append(scores.rise)
        values |= {f"{prefix}before": scores.before, f"{prefix}rise": scores.rise}
        values[f"{prefix}worst"] = scores.worst[0]
        lines.append(
            f"{what} score, nats per token: {scores.before:.4f} before, {scores.after:.4f} after "
            f"({scores.rise:+.4f}; worst line {scores.worst[1] + 1}: {scores.worst[0]:+.4f})"
        )
    ok = not found.other_ids and not (max_rise is not None and not all(rise <= max_rise for rise in rises))
    console.result({**values, "ok": ok}, lines=lines)
    if not ok:
        raise typer.Exit(1)


def _codec_checks(name: str, reference: Path) -> list[ReferenceCheck]:
    from amtts_core.contract.codec_registry import get_codec

    codec = get_codec(name)
    if not codec.has_reference_checks:
        raise AmttsError(f"codec '{name}' defines no reference bundle, so {reference} cannot be compared")
    return codec.reference_checks(reference)


def _backend_checks(name: str, reference: Path) -> list[ReferenceCheck]:
    from amtts_core.contract.registry import get_backend

    kind = get_backend(name)
    declared = kind.spec.reference_checks
    if declared is None:
        raise AmttsError(f"backend '{name}' defines no reference bundle, so {reference} cannot be compared")
    return declared.of(kind).reference_checks(reference)


def _compare(backend: str, reference: Path) -> None:
    from amtts_core.contract.codec_registry import codec_names
    from amtts_core.contract.registry import backend_names

    if not backend:
        raise AmttsError("--reference needs --backend NAME, the name of a backend or of a codec")
    if not reference.is_dir():
        raise AmttsError(f"reference bundle {reference} is not a folder")
    is_codec = backend in codec_names() and backend not in backend_names()
    checks = _codec_checks(backend, reference) if is_codec else _backend_checks(backend, reference)
    ok = all(check.ok for check in checks)
    rows = [{**check.__dict__, "ok": check.ok} for check in checks]
    console.result({"backend": backend, "ok": ok, "checks": rows})
    if not console.wants_json():
        console.table(
            "",
            ("check", "", "max |difference|", "tolerance"),
            [
                (c.name, "ok" if c.ok else "FAILED", f"{c.max_abs_diff:.2e}", f"{c.tolerance:.0e}")
                for c in checks
            ],
        )
    if not ok:
        raise typer.Exit(1)
