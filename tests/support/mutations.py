"""Random damage of tables and recordings: bytes, lines, columns; what `prepare` must take without a traceback."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from recordings import SENTENCES, speech
from sources import make_files
from talks import make_spans, make_talk, sentences, srt

Mutation = Callable[[random.Random, bytes], bytes]


def sound(seed: int, kind: str) -> bytes:
    """A second of speech in a format."""
    handle = io.BytesIO()
    formats = {
        "wav": ("WAV", "PCM_16"),
        "flac": ("FLAC", "PCM_16"),
        "mp3": ("MP3", None),
        "ogg": ("OGG", "VORBIS"),
    }
    name, subtype = formats[kind]
    soundfile.write(handle, speech(seed, seconds=0.8), 16000, format=name, subtype=subtype)
    return handle.getvalue()


_SOUNDS: dict[tuple[int, str], bytes] = {}


def cached_sound(seed: int, kind: str) -> bytes:
    """The same, made once."""
    return _SOUNDS.setdefault((seed, kind), sound(seed, kind))


def flip_bytes(random: random.Random, data: bytes) -> bytes:
    """Some bytes are others."""
    out = bytearray(data)
    for _ in range(random.randint(1, 8)):
        if out:
            out[random.randrange(len(out))] = random.randrange(256)
    return bytes(out)


def cut_off(random: random.Random, data: bytes) -> bytes:
    """The end is missing."""
    return data[: random.randrange(len(data) + 1)]


def repeat_part(random: random.Random, data: bytes) -> bytes:
    """A part stands there twice."""
    begin = random.randrange(len(data) + 1)
    end = min(len(data), begin + random.randint(0, 2000))
    return data[:end] + data[begin:end] + data[end:]


def insert_bytes(random: random.Random, data: bytes) -> bytes:
    """Strange bytes in the middle."""
    place = random.randrange(len(data) + 1)
    strange = random.choice(
        [b"\0" * 9, b"\xff\xfe", b'"', b"\r", b"\n\n", b"|", b",", b"\t", bytes(700), "፡".encode()]
    )
    return data[:place] + strange + data[place:]


def header_of(random: random.Random, data: bytes) -> bytes:
    """The first hundred bytes are damaged, where headers stand."""
    out = bytearray(data)
    for _ in range(random.randint(1, 12)):
        if out:
            out[random.randrange(min(len(out), 100))] = random.randrange(256)
    return bytes(out)


def join_twice(random: random.Random, data: bytes) -> bytes:
    """The file stands behind itself."""
    return data + data[random.choice([0, 0, 10, 44]) :]


def shuffle_lines(random: random.Random, data: bytes) -> bytes:
    """Lines in another order, some missing, some twice."""
    lines = data.split(b"\n")
    return b"\n".join(random.choice(lines) for _ in lines)


def shuffle_columns(random: random.Random, data: bytes) -> bytes:
    """Cells of each line in another order, or one missing."""
    sign = max([b"|", b"\t", b",", b";"], key=data.count)
    out = []
    for line in data.split(b"\n"):
        cells = line.split(sign)
        if random.random() < 0.5:
            random.shuffle(cells)
        elif len(cells) > 1:
            cells.pop(random.randrange(len(cells)))
        out.append(sign.join(cells))
    return b"\n".join(out)


def other_separator(random: random.Random, data: bytes) -> bytes:
    """Another sign between the columns of some lines or all."""
    old, new = random.sample([b"|", b"\t", b",", b";", b" ", b"||"], 2)
    if random.random() < 0.5:
        return data.replace(old, new)
    return b"\n".join(line.replace(old, new) if random.random() < 0.5 else line for line in data.split(b"\n"))


def other_encoding(random: random.Random, data: bytes) -> bytes:
    """Another encoding, or other line ends."""
    text = data.decode("utf-8", "replace")
    choice = random.randrange(4)
    if choice == 0:
        return text.encode("utf-16")
    if choice == 1:
        return text.encode("utf-8-sig")
    return text.replace("\n", random.choice(["\r\n", "\r", "\u2028"])).encode()


BINARY: tuple[Mutation, ...] = (flip_bytes, cut_off, repeat_part, insert_bytes, header_of, join_twice)
TEXTUAL: tuple[Mutation, ...] = (
    *(flip_bytes, cut_off, repeat_part, insert_bytes, join_twice),
    *(shuffle_lines, shuffle_columns, other_separator, other_encoding),
)


def _table(random: random.Random, count: int) -> dict[str, str | bytes]:
    kind = random.choice(["wav", "wav", "flac", "mp3", "ogg"])
    sign = random.choice(["|", "\t", ",", ";"])
    columns = random.sample(["speaker", "start", "end", "language", "id"], random.randint(0, 3))
    if ("start" in columns) != ("end" in columns):
        columns = [name for name in columns if name not in ("start", "end")]
    values = {"speaker": "አበበ", "start": "0.05", "end": "0.7", "language": "am"}
    lines = [sign.join(("file", *columns, "text"))] if columns or random.random() < 0.7 else []
    for n in range(count):
        cells = (f"wavs/{n}.{kind}", *(values.get(name, str(n)) for name in columns), SENTENCES[n])
        lines.append(sign.join(cells))
    sounds: dict[str, str | bytes] = {f"wavs/{n}.{kind}": cached_sound(n, kind) for n in range(count)}
    return {**sounds, "metadata.csv": "\n".join(lines) + "\n"}


def _manifest(random: random.Random, count: int) -> dict[str, str | bytes]:
    import json

    key = random.choice(["audio_filepath", "audio", "path"])
    rows = [{key: f"{n}.wav", "text": SENTENCES[n], "duration": 0.8, "speaker": "አበበ"} for n in range(count)]
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    sounds: dict[str, str | bytes] = {f"{n}.wav": cached_sound(n, "wav") for n in range(count)}
    return {
        **sounds,
        "manifest.json": lines if random.random() < 0.6 else json.dumps(rows, ensure_ascii=False),
    }


def _texts(random: random.Random, count: int) -> dict[str, str | bytes]:
    files: dict[str, str | bytes] = {f"አበበ/{n}.wav": cached_sound(n, "wav") for n in range(count)}
    return files | {f"አበበ/{n}.txt": SENTENCES[n] for n in range(count)}


_TALK: list[bytes] = []


def _talk(random: random.Random, count: int) -> dict[str, str | bytes]:
    spans = make_spans(count + 2, seed=1)
    if not _TALK:
        handle = io.BytesIO()
        soundfile.write(handle, make_talk(spans).astype(np.float32), 16000, format="WAV")
        _TALK.append(handle.getvalue())
    labels = "".join(f"{s}\t{e}\t{t}\n" for (s, e), t in zip(spans, sentences(count + 2), strict=True))
    name, content = random.choice([("talk.srt", srt(spans, sentences(count + 2))), ("talk.txt", labels)])
    return {"talk.wav": _TALK[0], name: content}


def _kaldi(random: random.Random, count: int) -> dict[str, str | bytes]:
    files: dict[str, str | bytes] = {f"wav/u{n}.wav": cached_sound(n, "wav") for n in range(count)}
    return files | {
        "text": "".join(f"u{n} {SENTENCES[n]}\n" for n in range(count)),
        "wav.scp": "".join(f"u{n} /data/wav/u{n}.wav\n" for n in range(count)),
        "utt2spk": "".join(f"u{n} s{n % 2}\n" for n in range(count)),
    }


_LAYOUTS = (_table, _table, _table, _manifest, _texts, _talk, _kaldi)


def mutated(folder: Path, seed: int, *, count: int = 4) -> Path:
    """A corpus folder of some layout in which one to three files are damaged."""
    chance = random.Random(seed)
    files = chance.choice(_LAYOUTS)(chance, count)
    for _ in range(chance.randint(1, 3)):
        texts = [name for name, content in files.items() if isinstance(content, str)]
        name = chance.choice(texts) if texts and chance.random() < 0.6 else chance.choice(sorted(files))
        content = files[name]
        textual = not name.endswith((".wav", ".flac", ".mp3", ".ogg"))
        data = content.encode() if isinstance(content, str) else content
        files[name] = chance.choice(TEXTUAL if textual else BINARY)(chance, data)
    return make_files(folder, files)
