"""`amtts backends`: what is installed, and why something that is installed cannot be used."""

from __future__ import annotations

from amtts_cli import console
from amtts_cli.options import Json


def backends(json: Json = False) -> None:
    """List the installed backends, third-party ones included."""
    from amtts_core.registry import BackendEntry, list_backends

    def row(entry: BackendEntry) -> dict[str, object]:
        out: dict[str, object] = {"name": entry.name, "from": entry.distribution, "target": entry.target}
        if entry.spec is None:
            return out | {"ok": False, "problem": entry.problem}
        spec = entry.spec
        return out | {
            "ok": True,
            "summary": spec.summary,
            "sample_rate": spec.sample_rate,
            "learns_from": spec.learns_from,
            "presets": list(spec.presets),
            "tokenizers": list(spec.tokenizers),
            "weights_licence": spec.weights_licence,
        }

    rows = [row(entry) for entry in list_backends()]
    console.result({"backends": rows})
    if not json:
        console.table(
            "",
            ("name", "learns from", "Hz", "presets", "from", "summary"),
            [
                (r["name"], r["learns_from"], r["sample_rate"], ", ".join(r["presets"]), r["from"], r["summary"])  # type: ignore[arg-type]
                if r["ok"]
                else (r["name"], "-", "-", "-", r["from"], f"cannot be used: {r['problem']}")
                for r in rows
            ],
        )
