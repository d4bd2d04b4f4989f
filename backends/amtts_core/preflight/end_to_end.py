"""Can this set-up work? Checks from the manifest to audible speech, each able to fail.

Those of the data and of a voice are here, those of the backend in `contract`. They run in order; after a failure the
ones that depend on it are skipped and say so.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.checkpoints.write_backend import write_backend
from amtts_core.config.run_config import RunConfig
from amtts_core.contract.backend import Backend
from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.contract.types import Example
from amtts_core.corpus.manifest import ManifestError, Utterance, read_manifest
from amtts_core.data.dataset import SpeechDataset, load_dataset
from amtts_core.data.features import load_utterance
from amtts_core.preflight.contract import CONTRACT, Check, outcome
from amtts_core.preflight.subject import CheckFailed, CheckSkipped, Finding, Rebuild, Spoken, Subject
from amtts_core.synthesis.engine import Synthesizer
from amtts_core.text.normalizer import Normalizer

SUBSET = 24
"""Utterances whose features are computed."""
LEARNED = 8
"""Of these, the shortest, the checks of the backend use."""
LARGEST_REBUILT = 50_000_000
"""Parameters of the largest network that is built more than once."""
TRAINED_PACE = 0.4, 2.5
"""Least and most times the corpus' pace that a trained voice may speak at."""


@dataclass
class Setup:
    """What is checked."""

    backend: Backend
    config: RunConfig
    manifest: Path
    cache: Path
    normalizer: Normalizer
    trained: bool
    max_unk: float = 0.0
    overfit_steps: int = 60
    text: str = "ሰላም ለዓለም።"
    utterances: list[Utterance] = field(default_factory=list)
    subject: Subject | None = None


def run_checks(setup: Setup, *, on_check: Callable[[Check], None] | None = None) -> list[Check]:
    """Runs every check; an `AmttsError` in one is a failed check, any other exception is a bug and propagates."""
    done: list[Check] = []
    broken = ""
    for name, function in CHECKS.items():
        if broken:
            check = Check(name, "skipped", f"not run: '{broken}' failed before")
        else:
            check = outcome(name, partial(function, setup))
            broken = name if check.status == "failed" and name in BLOCKING else ""
        done.append(check)
        if on_check:
            on_check(check)
    return done


def _of_contract(name: str, setup: Setup) -> Finding:
    assert setup.subject is not None, "features are checked first"
    return CONTRACT[name](setup.subject)


def _manifest(setup: Setup) -> Finding:
    faults: list[ManifestError] = []
    setup.utterances = list(read_manifest(setup.manifest, bad_lines=faults))
    if faults:
        raise CheckFailed(f"{len(faults)} bad lines, first: {faults[0]}")
    if not setup.utterances:
        raise CheckFailed(f"{setup.manifest} holds no utterance")
    repeated = [i for i, n in Counter(u.id for u in setup.utterances).items() if n > 1]
    if repeated:
        raise CheckFailed(f"{len(repeated)} ids occur more than once, e.g. '{repeated[0]}'")
    hours = sum(u.duration for u in setup.utterances) / 3600
    found = f"{len(setup.utterances)} utterances, {hours * 60:.1f} minutes"
    return Finding(found, float(len(setup.utterances)))


def _audio(setup: Setup) -> Finding:
    missing = [u for u in setup.utterances if not u.audio_path(setup.manifest).is_file()]
    if missing:
        raise CheckFailed(f"{len(missing)} audio files are missing, first: {missing[0].audio_filepath}")
    rate = setup.backend.sample_rate
    picked = _spread(setup.utterances, SUBSET)
    for utterance in picked:
        waveform = load_utterance(utterance, setup.manifest, rate)
        found = len(waveform) / rate
        if abs(found - utterance.duration) > max(0.1, 0.02 * utterance.duration):
            raise CheckFailed(
                f"'{utterance.id}' lasts {found:.2f} s, the manifest says {utterance.duration:.2f} s"
            )
        if not waveform.size or float(np.abs(waveform).max()) < 1e-3:
            raise CheckFailed(f"'{utterance.id}' is silent")
    detail = f"all files exist; {len(picked)} decoded, lengths as in the manifest"
    return Finding(detail, float(len(picked)))


def _text(setup: Setup) -> Finding:
    tokenizer = setup.backend.text_tokenizer
    if tokenizer is None:
        raise CheckSkipped("this backend learns without text")
    tokens = unknown = 0
    letters: Counter[str] = Counter()
    for utterance in setup.utterances:
        ids = tokenizer.encode(utterance.spoken_text())
        tokens += len(ids)
        if tokenizer.unk_id in ids:
            unknown += ids.count(tokenizer.unk_id)
            letters.update(c for c in utterance.spoken_text() if tokenizer.unk_id in tokenizer.encode(c))
    ratio = unknown / max(1, tokens)
    if ratio > setup.max_unk:
        shown = ", ".join(f"{c!r} x {n}" for c, n in letters.most_common(5))
        raise CheckFailed(
            f"{100 * ratio:.2f} % of tokens are unknown (allowed {100 * setup.max_unk:g} %): {shown}"
        )
    return Finding(f"{tokens} tokens, {100 * ratio:.2f} % unknown", ratio)


def _features(setup: Setup) -> Finding:
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "subset.jsonl"
        rows = [
            u.model_copy(update={"audio_filepath": str(u.audio_path(setup.manifest).resolve())})
            for u in _spread(setup.utterances, SUBSET)
        ]
        manifest.write_text(
            "".join(r.model_dump_json(exclude_none=True) + "\n" for r in rows), encoding="utf-8"
        )
        dataset = load_dataset(setup.backend, manifest, Path(folder) / "features")
        if not setup.trained:
            setup.backend.initialize(dataset)
        if dataset.excluded:
            first = dataset.excluded[0]
            raise CheckFailed(
                f"{len(dataset.excluded)} of {len(rows)} cannot be learned from; '{first.id}': {first.reason}"
            )
        setup.subject = _subject(setup, dataset)
    return Finding(f"{len(dataset)} utterances", float(len(dataset)))


def _subject(setup: Setup, dataset: SpeechDataset) -> Subject:
    """The backend with the shortest utterances, copied out of the feature store."""
    frames = dataset.frames()
    shortest = sorted(range(len(dataset)), key=lambda index: frames[index])[:LEARNED]
    by_text = sorted(shortest, key=lambda index: len(dataset.tokens[index]))
    texts = by_text[len(by_text) // 2], by_text[0], by_text[-1]
    parameters = sum(parameter.numel() for parameter in setup.backend.network.parameters())
    return Subject(
        backend=setup.backend,
        examples=[_copied(dataset.example(index)) for index in shortest],
        spoken=[Spoken(dataset.tokens[index], dataset.utterances[index].duration) for index in texts],
        optim=setup.config.training.optim,
        steps=setup.overfit_steps,
        trained=setup.trained,
        rebuild=_rebuild(setup) if parameters <= LARGEST_REBUILT else None,
        max_ratio=1.0 if setup.trained else 0.7,
        enough_training=False,
        pace=TRAINED_PACE,
    )


def _copied(example: Example) -> Example:
    features = {name: np.array(array) for name, array in example.features.items()}
    prompt = {name: np.array(array) for name, array in example.prompt.items()}
    return replace(example, features=features, prompt=prompt)


def _rebuild(setup: Setup) -> Rebuild:
    backend = setup.backend

    def rebuild(*, tokenizer: TextTokenizer | None = None, speakers: Sequence[str] = ()) -> Backend:
        return type(backend)(
            backend.config,
            tokenizer=tokenizer or backend.text_tokenizer,
            speakers=speakers or backend.speakers,
        )

    return rebuild


def _checkpoint(setup: Setup) -> Finding:
    backend, tokenizer = setup.backend, setup.backend.text_tokenizer
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "step-00000000"
        normalizer = setup.normalizer.settings.model_dump(mode="json")
        write_backend(folder, backend, backend_config=setup.config.model, normalizer=normalizer)
        again = read_checkpoint(folder).load_backend()
    mine, theirs = backend.network.state_dict(), again.network.state_dict()
    for key, tensor in mine.items():
        if not torch.equal(tensor.cpu(), theirs[key]):
            raise CheckFailed(f"tensor '{key}' changed between saving and loading")
    if tokenizer is not None and again.text_tokenizer is not None:
        for utterance in setup.utterances[:SUBSET]:
            text = utterance.spoken_text()
            if tokenizer.encode(text) != again.text_tokenizer.encode(text):
                raise CheckFailed(f"the stored tokenizer reads '{utterance.id}' differently")
    return Finding(f"{len(mine)} tensors and the tokenizer come back identical", float(len(mine)))


def _synthesis(setup: Setup) -> Finding:
    if setup.backend.text_tokenizer is None or not setup.backend.spec.speaks:
        raise CheckSkipped("this backend has no text to speak")
    assert setup.subject is not None, "features are checked first"
    with setup.subject.learned() as backend:  # a network may have to learn how long speech lasts
        speech = Synthesizer(backend, setup.normalizer).speak(setup.text)
    waveform = speech.waveform
    if not np.isfinite(waveform).all():
        raise CheckFailed("the audio holds samples that are not finite")
    level = float(np.sqrt(np.mean(waveform.astype(np.float64) ** 2)))
    if level < 1e-4:
        raise CheckFailed(f"the audio is silent (RMS {level:.1e})")
    letters = sum(c.isalnum() for s in speech.stretches for c in s.text)
    corpus = sum(u.duration for u in setup.utterances) / sum(
        max(1, sum(c.isalnum() for c in u.spoken_text())) for u in setup.utterances
    )
    pace = speech.duration / max(1, letters) / corpus
    # An untrained model speaks every symbol for its shortest time; a trained one must keep the corpus' pace.
    low, high = TRAINED_PACE if setup.trained else (0.02, 20.0)
    if not low <= pace <= high:
        raise CheckFailed(
            f"{speech.duration:.2f} s for {letters} letters is {pace:.2f} times the corpus' pace"
        )
    return Finding(
        f"{speech.duration:.2f} s for {letters} letters ({pace:.2f} x the corpus' pace), RMS {level:.3f}",
        pace,
    )


def _spread(items: list[Any], count: int) -> list[Any]:
    """`count` of the items, evenly spread."""
    if len(items) <= count:
        return list(items)
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]


_DATA: dict[str, Callable[[Setup], Finding]] = {
    "manifest": _manifest,
    "audio": _audio,
    "unknown tokens": _text,
    "features": _features,
}
_VOICE: dict[str, Callable[[Setup], Finding]] = {"save and load": _checkpoint, "synthesis": _synthesis}
CHECKS: dict[str, Callable[[Setup], Finding]] = {
    **_DATA,
    **{name: partial(_of_contract, name) for name in CONTRACT},
    **_VOICE,
}
"""Those of the data, those that `amtts_core.testing` makes too, and those of a voice."""
BLOCKING = ("manifest", "audio", "features", "finite loss")
