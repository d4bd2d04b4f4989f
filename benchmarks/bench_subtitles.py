"""Cut points of `amtts prepare` on recordings with subtitles whose truth is known: what is lost, and what is foreign.

python benchmarks/bench_subtitles.py [SOURCE] [--clips 60] [--only NAME]

SOURCE holds metadata.csv with `audio_file|text` lines. Its sentences, each cut to its speech, are put one after another
with pauses between them; the subtitles are then written as people, programs and conversions between film and television
write them. "lost" is speech of a sentence that its clip lacks, "foreign" is speech of other sentences in it, both
in milliseconds over the kept clips: 95th percentile and worst. "right" counts kept clips whose words are exactly those
of the sentences that they hold.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from amtts_core.audio.io import read_audio
from amtts_core.audio.rumble import remove_rumble
from amtts_core.audio.trim import find_speech
from amtts_core.corpus.prepare import prepare_corpus
from amtts_core.corpus.settings import PrepareSettings

RATE = 22050
Span = tuple[float, float]


@dataclass(frozen=True)
class Talk:
    """A recording, (T,) float32, and the truth about it."""

    samples: np.ndarray
    spans: list[Span]
    texts: list[str]


@dataclass(frozen=True)
class Case:
    """How subtitles and sound differ from the truth."""

    times: Callable[[Span, np.random.Generator], Span] = lambda span, _: span
    write: Callable[[Sequence[Span], Sequence[str]], str] | None = None
    pause: tuple[float, float] = (0.5, 1.8)
    noise: float = 0.0
    offset: float = 0.0
    music: bool = False
    suffix: str = ".flac"
    encoding: str = "utf-8"


def make_talk(clips: Sequence[tuple[np.ndarray, str]], case: Case, random: np.random.Generator) -> Talk:
    """The sentences one after another; their speech starts and ends where `spans` says, to about 10 ms."""
    parts, spans, at = [np.zeros(round(1.7 * RATE), np.float32)], [], 1.7
    for voice, _ in clips:
        spans.append((at, at + len(voice) / RATE))
        pause = np.zeros(round(random.uniform(*case.pause) * RATE), np.float32)
        parts += [voice, pause]
        at += (len(voice) + len(pause)) / RATE
    samples: np.ndarray = np.concatenate(parts)
    loud = np.sqrt(np.mean(np.square(samples)))
    samples = samples + 1e-4 * random.standard_normal(len(samples)) + case.offset
    if case.noise:
        samples = samples + loud * 10 ** (-case.noise / 20) * random.standard_normal(len(samples))
    if case.music:
        time = np.arange(len(samples)) / RATE
        chord = sum(np.sin(2 * np.pi * tone * time) for tone in (220.0, 277.2, 329.6))
        samples = samples + 0.06 * loud * chord * (1 + np.sin(2 * np.pi * 0.5 * time))
    return Talk(
        (0.7 * samples / np.abs(samples).max()).astype(np.float32), spans, [text for _, text in clips]
    )


def clock(seconds: float, mark: str = ",") -> str:
    """`01:02:03,456`."""
    whole, part = divmod(round(max(0.0, seconds) * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{mark}{part:03}"


def srt(spans: Sequence[Span], texts: Sequence[str]) -> str:
    """Plain SRT."""
    pairs = enumerate(zip(spans, texts, strict=True), 1)
    return "\n".join(f"{n}\n{clock(a)} --> {clock(b)}\n{text}\n" for n, ((a, b), text) in pairs)


def dirty(spans: Sequence[Span], texts: Sequence[str]) -> str:
    """What files from the wild hold: no index lines, CRLF, tags, labels, sounds, entities, disorder."""
    cues = []
    for number, ((start, end), text) in enumerate(zip(spans, texts, strict=True)):
        words = text.split()
        half = len(words) // 2
        shown = (
            f"<i>{text}</i>",
            f"{{\\an8}}{' '.join(words[:half])}\n \n{' '.join(words[half:])}",
            f"አበበ፦ {text}",
            f"- {text}",
            f"<font color=&quot;#fff&quot;>{text}</font> [ሳቅ]",
            f"&lrm;{text}\u200b",
        )[number % 6]
        cues.append(f"{clock(start, '.')} --> {clock(end, '.')}  X1:40 Y1:20\n{shown}\n")
        if number % 7 == 3:
            cues.append(f"{clock(end)} --> {clock(end + 0.3)}\n♪ ♪\n")
        if number % 11 == 5:
            cues.append(f"{clock(end)} --> {clock(end)}\n{text}\n")
    cues[4], cues[5] = cues[5], cues[4]
    return "\ufeff" + "\n".join(cues).replace("\n", "\r\n")


def rolling(spans: Sequence[Span], texts: Sequence[str]) -> str:
    """WebVTT as automatic captions come: each line twice, with word stamps and hold cues of 10 ms."""
    lines: list[tuple[float, float, str]] = []
    for (start, end), text in zip(spans, texts, strict=True):
        words = text.split()
        for first in range(0, len(words), 5):
            share = len(words)
            a, b = (start + (end - start) * place / share for place in (first, min(first + 5, share)))
            lines.append((a, b, " ".join(words[first : first + 5])))
    out, before = ["WEBVTT\nKind: captions\nLanguage: am\n"], " "
    for number, (start, end, text) in enumerate(lines):
        following = lines[number + 1][0] if number + 1 < len(lines) else end + 1
        stop = min(following, end + 2) - 0.01
        words = text.split()
        stamps = [clock(start + (end - start) * n / len(words), ".") for n in range(len(words))]
        stamped = words[0] + "".join(
            f"<{stamp}><c> {word}</c>" for stamp, word in zip(stamps[1:], words[1:], strict=True)
        )
        out.append(
            f"{clock(start, '.')} --> {clock(stop, '.')} align:start position:0%\n{before}\n{stamped}\n"
        )
        out.append(f"{clock(stop, '.')} --> {clock(stop + 0.01, '.')} align:start position:0%\n{text}\n \n")
        before = text
    return "\n".join(out)


def _loose(span: Span, random: np.random.Generator) -> Span:
    return span[0] - random.uniform(0, 0.25), span[1] + random.uniform(0, 0.25)


def _scattered(span: Span, random: np.random.Generator) -> Span:
    return span[0] + random.uniform(-0.25, 0.15), span[1] + random.uniform(-0.15, 0.25)


def _clocked(rate: float, offset: float) -> Callable[[Span, np.random.Generator], Span]:
    """The clock of subtitles that are spoken at `rate * t + offset`."""

    def times(span: Span, random: np.random.Generator) -> Span:
        start, end = _loose(span, random)
        return (start - offset) / rate, (end - offset) / rate

    return times


CASES: dict[str, Case] = {
    "exact": Case(),
    "loose by 0.25 s": Case(_loose),
    "scattered by 0.25 s": Case(_scattered),
    "pauses of 0.15 to 0.4 s": Case(_scattered, pause=(0.15, 0.4)),
    "dirt": Case(_loose, dirty),
    "UTF-16": Case(_loose, encoding="utf-16"),
    "rolling captions": Case(write=rolling, suffix=".m4a"),
    "2.5 s late": Case(_clocked(1.0, -2.5)),
    "41 s late": Case(_clocked(1.0, -41.0)),
    "25 for 23.976 a second": Case(_clocked(25 / 23.976, 0.0), suffix=".mp4"),
    "23.976 for 25, 3 s late": Case(_clocked(23.976 / 25, -3.0)),
    "1.001": Case(_clocked(1.001, 0.4)),
    "drift of 0.7 in a thousand": Case(_clocked(1.0007, -0.6)),
    "noise at 15 dB": Case(_loose, noise=15.0),
    "DC of -0.125": Case(_loose, offset=-0.125),
    "music bed, 2.5 s late": Case(_clocked(1.0, -2.5), music=True),
}


def write_sound(path: Path, samples: np.ndarray) -> None:
    """A file of any kind; what libsndfile does not write, PyAV does."""
    if path.suffix == ".flac":
        soundfile.write(path, samples, RATE)
        return
    import av

    with av.open(str(path), "w") as container:
        if path.suffix == ".mp4":
            picture = container.add_stream("mpeg4", rate=2)
            picture.width, picture.height, picture.pix_fmt = 32, 32, "yuv420p"
        track = container.add_stream("aac", rate=RATE)
        track.layout = "mono"
        if path.suffix == ".mp4":
            for number in range(2 * len(samples) // RATE):
                image = av.VideoFrame.from_ndarray(
                    np.full((32, 32, 3), number % 200, np.uint8), format="rgb24"
                )
                image.pts = number
                container.mux(picture.encode(image))
            container.mux(picture.encode(None))
        frame = av.AudioFrame.from_ndarray(
            (samples[None] * 32767).astype(np.int16), format="s16", layout="mono"
        )
        frame.sample_rate, frame.pts = RATE, 0
        resampler = av.AudioResampler(
            track.format.name, "mono", RATE, frame_size=track.codec_context.frame_size
        )
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(track.encode(part))
        container.mux(track.encode(None))


def _overlap(one: Span, other: Span) -> float:
    return max(0.0, min(one[1], other[1]) - max(one[0], other[0]))


def measure(talk: Talk, rows: list[dict[str, object]]) -> dict[str, float]:
    """Milliseconds and counts over kept clips."""
    lost, foreign, right, whole = [], [], 0, 0
    for row in rows:
        cut = (float(str(row["source_start"])), float(str(row["source_end"])))
        own = [n for n, span in enumerate(talk.spans) if _overlap(cut, span) > 0.5 * (span[1] - span[0])]
        spoken = sum(_overlap(cut, talk.spans[n]) for n in own)
        length = sum(talk.spans[n][1] - talk.spans[n][0] for n in own)
        lost.append(1000 * (length - spoken))
        foreign.append(1000 * (sum(_overlap(cut, span) for span in talk.spans) - spoken))
        said = " ".join(" ".join(talk.texts[n].split()) for n in own)
        right += " ".join(str(row["text"]).split()) == said
        whole += len(own)
    empty = np.zeros(1)
    return {
        "kept": whole,
        "clips": len(rows),
        "right": right,
        "lost": float(np.percentile(lost or empty, 95)),
        "lost_worst": max(lost, default=0.0),
        "foreign": float(np.percentile(foreign or empty, 95)),
        "foreign_worst": max(foreign, default=0.0),
    }


def run_case(clips: Sequence[tuple[np.ndarray, str]], case: Case, folder: Path) -> dict[str, float]:
    """Prepares one talk as a user would."""
    random = np.random.default_rng(7)
    talk = make_talk(clips, case, random)
    (folder / "in").mkdir(parents=True)
    write_sound(folder / f"in/talk{case.suffix}", talk.samples)
    spans = [case.times(span, random) for span in talk.spans]
    text = (case.write or srt)(spans, talk.texts)
    name = "talk.vtt" if case.write is rolling else "talk.srt"
    (folder / "in" / name).write_bytes(text.encode(case.encoding))
    prepare_corpus(folder / "in", folder / "out", PrepareSettings(max_rejected=1.0), jobs=1)
    lines = (folder / "out/manifest.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    return measure(talk, [json.loads(line) for line in lines])


def read_clips(source: Path, count: int) -> list[tuple[np.ndarray, str]]:
    """Sentences cut to their speech, and their texts."""
    out, seen = [], set()
    lines = (source / "metadata.csv").read_text(encoding="utf-8").splitlines()
    for line in lines[:: max(1, len(lines) // (2 * count))]:
        name, text = line.split("|")[:2]
        path = next((p for p in (source / name, source / "audio" / name) if p.is_file()), None)
        if path is None or text in seen:
            continue
        seen.add(text)
        samples = remove_rumble(read_audio(path, sample_rate=RATE), RATE, 40.0)
        speech = find_speech(samples, RATE, below=35.0, margin=0.0)
        marked = text if text.rstrip().endswith(("።", "?", "!")) else f"{text.rstrip()}።"
        out.append((samples[speech.begin : speech.end], marked))
        if len(out) == count:
            break
    return out


def main() -> None:
    """Prints a line a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("source", type=Path, nargs="?", default=Path(__file__).parents[1] / "examples/corpus")
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    clips = read_clips(arguments.source, arguments.clips)
    for name, case in CASES.items():
        if arguments.only not in name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            got = run_case(clips, case, Path(folder))
        print(
            f"{name:27} {got['kept']:.0f} of {len(clips)} sentences in {got['clips']:.0f} clips, "
            f"{got['right']:.0f} right; lost {got['lost']:.0f} ms (worst {got['lost_worst']:.0f}), "
            f"foreign {got['foreign']:.0f} ms (worst {got['foreign_worst']:.0f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
