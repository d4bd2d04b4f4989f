"""What the figures are called in a report, in which units, and in which order."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Label:
    """One figure for people.

    Attributes:
        name: short.
        unit: after the number; "%" multiplies by 100.
        places: digits after the point.
        better: "low", "high", or "same" as the recordings.
        about: one sentence.
    """

    name: str
    unit: str
    places: int
    better: str
    about: str


FIGURES: dict[str, Label] = {
    "cer": Label("CER", "%", 2, "low", "letters wrong; homophones as one, no spaces, no punctuation"),
    "words_wrong": Label(
        "words wrong", "%", 2, "low", "words of which a letter is wrong, whatever the spaces"
    ),
    "wer": Label("WER", "%", 2, "low", "word errors with the recognizer's own spaces"),
    "cer_as_written": Label("CER, homophones apart", "%", 2, "low", "as CER, but ሰ and ሠ differ"),
    "cer_with_spaces": Label("CER with spaces", "%", 2, "low", "as CER, and spaces count"),
    "cer_strict": Label("CER as written", "%", 2, "low", "spelling, spaces and punctuation count"),
    "cer_substitutions": Label("substituted", "%", 2, "low", "letters recognized as others"),
    "cer_deletions": Label("missing", "%", 2, "low", "letters of the text that were not recognized"),
    "cer_insertions": Label("inserted", "%", 2, "low", "letters recognized that are not in the text"),
    "first_word_wrong": Label("first word wrong", "%", 1, "low", "share of utterances"),
    "run_on": Label("run on", "%", 1, "low", "utterances with 4 letters or more after the text's end"),
    "early_stop": Label("early stop", "%", 1, "low", "utterances that lack their last 4 letters or more"),
    "skipped_words": Label(
        "skipped words", "%", 1, "low", "utterances that lack 4 letters in a row or more inside"
    ),
    "distillmos": Label("DistillMOS", "", 2, "high", "predicted naturalness, 1 to 5"),
    "dnsmos_overall": Label("DNSMOS", "", 2, "high", "predicted overall quality, 1 to 5"),
    "dnsmos_signal": Label("DNSMOS signal", "", 2, "high", "predicted quality of the voice"),
    "dnsmos_background": Label("DNSMOS background", "", 2, "high", "predicted absence of noise"),
    "speaker_similarity": Label(
        "speaker similarity", "", 3, "high", "cosine of speaker vectors to the recording"
    ),
    "mcd_db": Label("MCD", "dB", 2, "low", "mel cepstral distortion along a time alignment"),
    "f0_rmse_semitones": Label("pitch error", "semitones", 2, "low", "RMSE against the recording"),
    "f0_rmse_hz": Label("pitch error", "Hz", 1, "low", "RMSE against the recording"),
    "f0_correlation": Label("pitch correlation", "", 3, "high", "of log pitch with the recording"),
    "pitch_shift": Label("pitch shift", "semitones", 2, "low", "of the median pitch, either way"),
    "f0_median_hz": Label("median pitch", "Hz", 0, "same", ""),
    "voicing_error": Label("voicing error", "%", 1, "low", "frames voiced in only one of the two"),
    "duration_ratio": Label(
        "length",
        "x recording",
        3,
        "same",
        "from the first to the last word",
    ),
    "letters_per_second": Label("pace", "letters/s", 1, "same", ""),
    "pause_clause": Label("pause at ፣", "s", 2, "same", "silence at ፣ ፤ ፥"),
    "pause_sentence": Label("pause at ።", "s", 2, "same", "silence at ። ? ! inside a text"),
    "pause_elsewhere": Label("pause elsewhere", "s", 2, "same", "silence between other words"),
    "sound_before": Label("sound before", "s", 2, "low", "before the first word"),
    "sound_after": Label("sound after", "s", 2, "low", "after the last word"),
    "gemination_ratio": Label("gemination", "x", 2, "same", "length of long over short consonants"),
    "seconds": Label("length", "s", 2, "same", ""),
    "speech_seconds": Label("speech", "s", 2, "same", "without silence at its ends"),
    "leading_silence": Label("silence before", "s", 2, "same", ""),
    "trailing_silence": Label("silence after", "s", 2, "same", ""),
    "longest_silence": Label("longest silence", "s", 2, "same", "inside"),
    "loudness_lufs": Label("loudness", "LUFS", 1, "same", ""),
    "peak_db": Label("peak", "dB", 1, "same", ""),
    "clipped_share": Label("clipped", "%", 3, "low", "samples"),
    "recognizer_confidence": Label("recognizer's confidence", "", 3, "high", ""),
    "alignment_confidence": Label("alignment's confidence", "", 3, "high", ""),
    "real_time_factor": Label("real-time factor", "", 3, "low", "seconds of work per second of speech"),
}


def shown(name: str, value: float) -> str:
    """A figure as people write it, with its unit."""
    label = FIGURES.get(name)
    if label is None:
        return f"{value:.3g}"
    number = 100 * value if label.unit == "%" else value
    text = f"{number:.{label.places}f}"
    return f"{text} %" if label.unit == "%" else f"{text} {label.unit}".strip()
