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


_FEEDING = {
    "onnx": """`tokens.txt` holds a character and its id a line, the blank (0) first. Inputs of `model.onnx`: `x` (1, N)
int64 ids with the blank before, between and after them: [0, a, 0, b, 0]; `x_length` (1,) int64; `noise_scale`,
`length_scale` (1 / speed) and `noise_scale_w`, (1,) float32 each; `sid` (1,) int64 with several speakers. Output `y`
(1, 1, T); the metadata names the sample rate.

    import numpy as np, onnxruntime
    table = dict(line.rstrip("\\n").rsplit(" ", 1) for line in open("tokens.txt", encoding="utf-8"))
    ids = [0]
    for sign in text:
        if sign in table:
            ids += [int(table[sign]), 0]
    one = lambda value: np.array([value], dtype=np.float32)
    feed = {"x": np.array([ids]), "x_length": np.array([len(ids)]), "noise_scale": one(0.667),
            "length_scale": one(1.0), "noise_scale_w": one(0.8)}
    # with several speakers: feed["sid"] = np.array([0])
    y = onnxruntime.InferenceSession("model.onnx").run(None, feed)[0]""",
    "piper": """    piper -m voice.onnx -f a.wav -- TEXT""",
    "voice": """    amtts synthesize --checkpoint . TEXT --out hello.wav

or from Python: `amtts.load(".").speak(TEXT).save("hello.wav")`. The normalizer is part of it: text may hold numbers and
abbreviations.""",
}
_NORMALIZE = """The engine looks characters up one by one and knows no Amharic. Numbers, abbreviations, Latin words
and ፡፡ have to be written out first: `amtts normalize TEXT`, or `amtts.normalize(text)` in Python, runs the
rules that the voice was trained with. A digit that reaches the engine is not spoken.
"""


def write_card(
    folder: Path, info: CheckpointInfo, *, format: str = "", sample: str = "", usage: str = ""
) -> None:
    """Writes the card of an exported folder: how it is fed, what it was trained with, how good it is.

    Args:
        folder: exported; a README.md that is there already comes first.
        info: of the checkpoint.
        format: of the export.
        sample: name of a sound file in the folder; empty where there is none.
        usage: how to speak with it, as Markdown; empty takes what is common to all backends.

    Raises:
        OSError: it cannot be written.
    """
    path = folder / CARD
    head = path.read_text(encoding="utf-8").rstrip() if path.is_file() else "# A voice trained with amtts"
    parts = [head, f"Backend `{info.backend}`, {info.sample_rate} Hz, language `{language_of(info)}`."]
    if sample:
        parts.append(f"How it sounds: [{sample}]({sample})")
    if len(info.speakers) > 1:
        parts.append(f"Speakers: {', '.join(info.speakers)}.")
    if usage or format in _FEEDING:
        parts.append(f"## How to speak with it\n\n{usage or _FEEDING[format]}")
    if format and format != "voice":
        parts.append(f"### The text has to be normalized first\n\n{_NORMALIZE.rstrip()}")
    if info.metrics:
        rows = "\n".join(f"| {name} | {value:.4f} |" for name, value in sorted(info.metrics.items()))
        parts.append(
            f"## Metrics of its validation\n\nStep {info.step}.\n\n| metric | value |\n|---|---|\n{rows}"
        )
    parts.append(data_card(info).rstrip())
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def language_of(info: CheckpointInfo) -> str:
    """Code of the language that the voice reads."""
    return str(info.normalizer.get("language", "am"))


def with_hub_header(folder: Path, info: CheckpointInfo) -> None:
    """Puts the header that the Hugging Face hub reads before the card of a folder.

    Raises:
        OSError: it cannot be written.
    """
    path = folder / CARD
    lines = ["---", "pipeline_tag: text-to-speech", "library_name: amtts", f"language: {language_of(info)}"]
    if len(info.data_licenses) == 1 and not info.started_from:
        lines.append(f"license: {info.data_licenses[0].lower()}")
    elif info.data_licenses or info.started_from:
        lines += ["license: other", "license_name: see-card"]
    lines += ["tags:", "- text-to-speech", "- amtts", f"- {info.backend}"]
    if info.started_from:
        lines.append(f"# started from: {' '.join(info.started_from.split())}")
    path.write_text(
        "\n".join([*lines, "---", ""]) + "\n" + path.read_text(encoding="utf-8"), encoding="utf-8"
    )
