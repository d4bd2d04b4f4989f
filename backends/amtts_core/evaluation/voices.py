"""An evaluation as a user asks for it: checkpoints and folders of speech in, report files and figures out."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from amtts_core.errors import AmttsError
from amtts_core.evaluation.evaluate import Evaluation, evaluate
from amtts_core.evaluation.items import LISTS, TestItem, manifest_items, public_items
from amtts_core.evaluation.report.as_json import write_json
from amtts_core.evaluation.report.page import write_page
from amtts_core.evaluation.settings import METRICS, EvaluationSettings
from amtts_core.evaluation.systems import CheckpointSystem, CopySystem, FolderSystem, System
from amtts_core.storage.atomic import take_folder
from amtts_core.text.normalizer import Normalizer
from amtts_core.text.settings import NormalizerSettings


@dataclass(frozen=True, kw_only=True)
class EvaluationRequest:
    """What a user wants measured.

    Attributes:
        out: folder for report.html, report.json and the speech.
        checkpoints: checkpoint or run folders.
        wavs: folders with ID.wav, the speech of other systems.
        names: of the systems, checkpoints first; those without one are called like their folders.
        manifest: test texts with recordings.
        limit: so many of the manifest; 0 takes all.
        public_list: speak the fixed public list of texts, too.
        recognizer: see `open_recognizer`; empty for the one that comes along.
        copies: measure copies of the recordings through each checkpoint's vocoder, too.
        metrics: groups of figures; None takes all of which the packages are installed.
        language: of the texts.
        speaker: of checkpoints with several.
        seed: of the checkpoints' sampling.
        players: texts with sound inside the page.
        device: where networks compute.
        executor: local or ray.
        jobs: processes; 0 uses every core.
    """

    out: Path
    checkpoints: Sequence[Path] = ()
    wavs: Sequence[Path] = ()
    names: Sequence[str] = ()
    manifest: Path | None = None
    limit: int = 0
    public_list: bool = True
    recognizer: str = ""
    copies: bool = False
    metrics: Sequence[str] | None = None
    language: str = "am"
    speaker: str = ""
    seed: int = 0
    players: int = 60
    device: str = "cpu"
    executor: str = "local"
    jobs: int = 1


def evaluate_voices(
    asked: EvaluationRequest, *, on_progress: Callable[[str, int, int], None] | None = None
) -> Evaluation:
    """Measures voices and writes the report.

    Args:
        asked: what is measured.
        on_progress: called with (system, items done, items in all).

    Raises:
        AmttsError: there is nothing to evaluate, or a voice, a manifest or a metric cannot be used.
    """
    settings = EvaluationSettings(
        metrics=METRICS if asked.metrics is None else tuple(asked.metrics),
        required=() if asked.metrics is None else tuple(asked.metrics),
        recognizer=asked.recognizer,
        language=asked.language,
        device=asked.device,
    )
    items = _items(asked)
    systems = _systems(asked)
    if not systems and asked.manifest is None:
        raise AmttsError(
            "nothing to evaluate", remedy="Give --checkpoint DIR or --wavs DIR, or recordings by --manifest"
        )
    with _alone(asked.out):
        found = evaluate(
            systems,
            items,
            settings=settings,
            work=asked.out / "work",
            executor=asked.executor,
            jobs=asked.jobs,
            on_progress=on_progress,
        )
        write_json(found, asked.out / "report.json")
        title = f"Evaluation {asked.out.resolve().name}"
        write_page(found, asked.out / "report.html", title=title, played=asked.players)
    return found


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keeps other evaluations out of a folder, which is made; an empty one is removed afterwards.

    Raises:
        AmttsError: another evaluation writes into it, or it cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = take_folder(out)
    except BlockingIOError:
        raise AmttsError(
            f"another evaluation writes into {out}", remedy="Wait for it, or choose another --out"
        ) from None
    except OSError as error:
        raise AmttsError(
            f"{out} cannot be written: {error.strerror or error}", remedy="Choose another --out"
        ) from None
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)
        with contextlib.suppress(OSError):
            out.rmdir()


def _items(asked: EvaluationRequest) -> list[TestItem]:
    normalize = Normalizer(NormalizerSettings(language=asked.language, strip_gemination_marks=False))
    items: list[TestItem] = []
    if asked.manifest is not None:
        items += manifest_items(asked.manifest, normalize=normalize, limit=asked.limit)
    if asked.public_list and asked.language in LISTS:
        items += public_items(asked.language, normalize=normalize)
    return items


def _systems(asked: EvaluationRequest) -> list[System]:
    folders = [*asked.checkpoints, *asked.wavs]
    if len(asked.names) > len(folders):
        raise AmttsError(
            f"{len(asked.names)} names for {len(folders)} systems", remedy="Give one --name each"
        )
    called = [*asked.names, *_own_names(folders)[len(asked.names) :]]
    systems: list[System] = []
    copies: list[System] = []
    for path, name in zip(asked.checkpoints, called, strict=False):
        folder = asked.out / "speech" / name
        systems.append(
            CheckpointSystem(
                path, folder, name=name, device=asked.device, seed=asked.seed, speaker=asked.speaker
            )
        )
        if asked.copies:
            copied = f"{name} copies"
            copies.append(CopySystem(path, asked.out / "speech" / copied, name=copied, device=asked.device))
    others = zip(asked.wavs, called[len(asked.checkpoints) :], strict=True)
    return [*systems, *(FolderSystem(path, name=name) for path, name in others), *copies]


def _own_names(paths: list[Path]) -> list[str]:
    """Names of folders; those of several that are called alike get their parents' names before them."""
    own = [path.resolve() for path in paths]
    alike = [p for p in own if sum(q.name == p.name for q in own) > 1]
    return [f"{p.parent.name}-{p.name}" if p in alike else p.name for p in own]
