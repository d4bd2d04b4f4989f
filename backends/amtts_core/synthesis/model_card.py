"""The part of a model card that says what a voice was trained with; it goes with every export."""

from __future__ import annotations

from pathlib import Path

from amtts_core.checkpoints.checkpoint import CheckpointInfo

CARD = "README.md"


def data_card(info: CheckpointInfo) -> str:
    """Licenses and consent of the recordings, as Markdown."""
    licenses = ", ".join(info.data_licenses) or "not stated"
    consent = "; ".join(info.consent_notes) or "not stated"
    return (
        "## Training data\n\n"
        f"- License of the recordings: {licenses}\n"
        f"- Consent of the speakers: {consent}\n"
        f"- License of the weights it started from: {info.base_weights_license or 'not stated'}\n"
    )


def add_data_card(folder: Path, info: CheckpointInfo) -> None:
    """Adds that part to the card in an exported folder, which is made where there is none.

    Raises:
        OSError: it cannot be written.
    """
    path = folder / CARD
    head = path.read_text(encoding="utf-8").rstrip() if path.is_file() else "# A voice trained with amtts"
    path.write_text(f"{head}\n\n{data_card(info)}", encoding="utf-8")
