"""`amtts backends`: what is installed, and why something that is installed cannot be used."""

from __future__ import annotations

from amtts_cli import console
from amtts_cli.options import Json


def backends(json: Json = False) -> None:
    """List the installed backends, third-party ones included."""
    from amtts_core.contract.registry import BackendEntry, list_backends

    def row(entry: BackendEntry) -> dict[str, object]:
        out: dict[str, object] = {"name": entry.name, "from": entry.distribution, "target": entry.target}
        if entry.spec is None:
            return out | {"ok": False, "problem": entry.problem}
        spec = entry.spec
        return out | {
            "ok": True,
            "summary": spec.summary,
            "sample_rate": spec.default_sample_rate(),
            "learns_from": spec.learns_from,
            "presets": list(spec.presets),
            "tokenizers": list(spec.text.tokenizers) if spec.text else [],
            "weights_license": spec.weights_license,
        }

    def cells(entry: BackendEntry) -> tuple[object, ...]:
        if entry.spec is None:
            return (entry.name, "-", "-", "-", entry.distribution, f"cannot be used: {entry.problem}")
        spec = entry.spec
        presets = ", ".join(spec.presets)
        return (
            entry.name,
            spec.learns_from,
            spec.default_sample_rate() or "the codec's",
            presets,
            entry.distribution,
            spec.summary,
        )

    entries = list_backends()
    console.result({"backends": [row(entry) for entry in entries]})
    if not json:
        columns = ("name", "learns from", "Hz", "presets", "from", "summary")
        console.table("", columns, [cells(entry) for entry in entries])
