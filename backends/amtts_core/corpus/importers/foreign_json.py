"""JSON of other tools that nests what a row needs: Lhotse, Label Studio, lists of messages. Made flat here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from amtts_core.units import Seconds

Object = dict[str, Any]
_WHOLE: Seconds = 0.05  # a cut that lacks no more of its recording is all of it


def flatten(kind: str, row: Object) -> Iterator[Object | str]:
    """The rows of one object, each with plain fields (`audio`, `text`, `speaker`, `start`, ...) or what is wrong."""
    yield from _FLATTENERS[kind](row)


def kind_of_rows(rows: Sequence[Object]) -> str:
    """The tool that wrote the rows, or "plain"."""
    if not rows:
        return "plain"
    row = rows[0]
    if "supervisions" in row and ("recording" in row or "tracks" in row):
        return "lhotse-cuts"
    if "data" in row and isinstance(row["data"], dict) and ("annotations" in row or "completions" in row):
        return "label-studio"
    if isinstance(row.get("messages"), list) and _sounds(row):
        return "messages"
    return "plain"


def _lhotse_cut(cut: Object) -> Iterator[Object | str]:
    recording = cut.get("recording")
    if not isinstance(recording, dict):
        yield "is a cut of several tracks; export recordings and supervisions"
        return
    source = next((s for s in recording.get("sources") or [] if isinstance(s, dict)), {})
    if source.get("type") not in ("file", None):
        yield f"has its audio in a {source.get('type')}, not in a file; save the recordings first"
        return
    start, length = _number(cut.get("start")) or 0.0, _number(cut.get("duration"))
    total = _number(recording.get("duration"))
    supervisions = [s for s in cut.get("supervisions") or [] if isinstance(s, dict)]
    base = {"audio": source.get("source"), "channel": _channel(cut, source)}
    if not supervisions:
        yield {**base, "id": cut.get("id"), "text": ""}
    for supervision in supervisions:
        begin = max(0.0, start + (_number(supervision.get("start")) or 0.0))
        own = _number(supervision.get("duration"))
        if len(supervisions) == 1 and own is not None and length is not None and own >= length - _WHOLE:
            begin, own = start, length
        whole = begin <= _WHOLE and (own is None or (total is not None and own >= total - _WHOLE))
        yield {
            **base,
            "id": supervision.get("id") if len(supervisions) > 1 else cut.get("id") or supervision.get("id"),
            "text": supervision.get("text"),
            "speaker": supervision.get("speaker"),
            "language": supervision.get("language"),
            "gender": supervision.get("gender"),
            "start": None if whole else begin,
            "end": None if whole or own is None else round(begin + own, 6),
        }


def _channel(cut: Object, source: Object) -> object:
    """Of a recording with several channels only: those of others are numbered too, but are all there is."""
    channel = cut.get("channel")
    several = len(source.get("channels") or []) > 1
    return channel if several and isinstance(channel, int) else None


def _label_studio(task: Object) -> Iterator[Object | str]:
    data = task["data"]
    audio = next(
        (v for k, v in data.items() if isinstance(v, str) and k in ("audio", "audio_url", "url", "sound")), ""
    )
    audio = audio or next((v for v in data.values() if isinstance(v, str)), "")
    base = {"audio": audio, "speaker": data.get("speaker"), "language": data.get("language")}
    annotations = task.get("annotations") or task.get("completions") or []
    judged = [a for a in annotations if isinstance(a, dict) and not a.get("was_cancelled")]
    regions = list(_regions(judged[-1].get("result") or [])) if judged else []
    if not regions:
        yield {**base, "id": "", "text": ""}
    for region in regions:
        yield {**base, **region}


def _regions(results: Sequence[Any]) -> Iterator[Object]:
    """The texts of an annotation with the stretch that each belongs to; results of one region share their id."""
    by_region: dict[str, Object] = {}
    for number, result in enumerate(results):
        value = result.get("value") if isinstance(result, dict) else None
        if not isinstance(value, dict):
            continue
        region = by_region.setdefault(str(result.get("id") or number), {})
        if isinstance(value.get("text"), (list, str)):
            texts = value["text"] if isinstance(value["text"], list) else [value["text"]]
            region["text"] = " ".join(str(text).strip() for text in texts)
        length = _number(result.get("original_length"))
        start, end = _number(value.get("start")), _number(value.get("end"))
        whole = start == 0 and end is not None and length is not None and end >= length - _WHOLE
        if start is not None and not whole:
            region |= {"start": start, "end": end}
        labels = value.get("labels")
        if isinstance(labels, list) and labels:
            region["speaker"] = str(labels[0])
    for region in by_region.values():
        if "text" in region:
            yield region


def _messages(row: Object) -> Iterator[Object | str]:
    """A dialog about one recording: what the assistant answers is the text."""
    texts = [
        m.get("content") for m in row["messages"] if isinstance(m, dict) and m.get("role") == "assistant"
    ]
    if len(texts) != 1 or not isinstance(texts[0], str):
        yield f"has {len(texts)} answers of an assistant, expected one"
        return
    yield {**{k: v for k, v in row.items() if k != "messages"}, "audio": _sounds(row)[0], "text": texts[0]}


def _sounds(row: Object) -> list[str]:
    for name in ("audios", "audio", "audio_path"):
        value = row.get(name)
        values = value if isinstance(value, list) else [value]
        if len(values) == 1 and isinstance(values[0], str):
            return [values[0]]
    return []


def _plain(row: Object) -> Iterator[Object | str]:
    out = dict(row)
    for name, value in row.items():
        if isinstance(value, dict) and isinstance(value.get("path"), str):
            out[name] = value["path"]  # an audio of Hugging Face datasets
        elif isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
            out[name] = value[0]
    yield out


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


_FLATTENERS: Mapping[str, Callable[[Object], Iterator[Object | str]]] = {
    "lhotse-cuts": _lhotse_cut,
    "label-studio": _label_studio,
    "messages": _messages,
    "plain": _plain,
}
