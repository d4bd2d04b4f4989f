"""Can this set-up work? Ten checks from the manifest to audible speech, each able to fail.

The checks run in order and each builds on the ones before; after a failure the dependent ones are not run and say so.
"""

from __future__ import annotations

import copy
import math
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from amtts_core.checkpoints.checkpoint import CheckpointInfo, read_checkpoint, write_checkpoint
from amtts_core.config.run_config import RunConfig
from amtts_core.contract.backend import Backend
from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.contract.types import Batch
from amtts_core.corpus.manifest import ManifestError, Utterance, read_manifest
from amtts_core.data.dataset import SpeechDataset, load_dataset
from amtts_core.data.features import load_utterance
from amtts_core.errors import AmttsError
from amtts_core.synthesis.engine import Synthesizer
from amtts_core.text.normalizer import Normalizer
from amtts_core.training.optim import build_optimizer
from amtts_core.training.statistics import statistics_of

SUBSET = 24
"""Utterances the model checks use."""


@dataclass(frozen=True)
class Check:
    """One finding."""

    name: str
    ok: bool
    detail: str
    value: float | None = None


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
    dataset: SpeechDataset | None = None
    batch: Batch | None = None


class _Failed(Exception):
    """A check did not hold; the message says what was found."""


def run_checks(setup: Setup, *, on_check: Callable[[Check], None] | None = None) -> list[Check]:
    """Runs every check; an `AmttsError` in one is a failed check, any other exception is a bug and propagates."""
    done: list[Check] = []
    broken = ""
    for name, function in CHECKS:
        if broken:
            check = Check(name, False, f"not run: '{broken}' failed before")
        else:
            try:
                detail, value = function(setup)
                check = Check(name, True, detail, value)
            except (_Failed, AmttsError) as fault:
                check = Check(name, False, str(fault))
                broken = name if name in BLOCKING else ""
        done.append(check)
        if on_check:
            on_check(check)
    return done


Finding = tuple[str, float | None]


def _manifest(setup: Setup) -> Finding:
    faults: list[ManifestError] = []
    setup.utterances = list(read_manifest(setup.manifest, bad_lines=faults))
    if faults:
        raise _Failed(f"{len(faults)} bad lines, first: {faults[0]}")
    if not setup.utterances:
        raise _Failed(f"{setup.manifest} holds no utterance")
    repeated = [i for i, n in Counter(u.id for u in setup.utterances).items() if n > 1]
    if repeated:
        raise _Failed(f"{len(repeated)} ids occur more than once, e.g. '{repeated[0]}'")
    hours = sum(u.duration for u in setup.utterances) / 3600
    return f"{len(setup.utterances)} utterances, {hours * 60:.1f} minutes", float(len(setup.utterances))


def _audio(setup: Setup) -> Finding:
    missing = [u for u in setup.utterances if not u.audio_path(setup.manifest).is_file()]
    if missing:
        raise _Failed(f"{len(missing)} audio files are missing, first: {missing[0].audio_filepath}")
    rate = setup.backend.sample_rate
    picked = _spread(setup.utterances, SUBSET)
    for utterance in picked:
        waveform = load_utterance(utterance, setup.manifest, rate)
        found = len(waveform) / rate
        if abs(found - utterance.duration) > max(0.1, 0.02 * utterance.duration):
            raise _Failed(
                f"'{utterance.id}' lasts {found:.2f} s, the manifest says {utterance.duration:.2f} s"
            )
        if not waveform.size or float(np.abs(waveform).max()) < 1e-3:
            raise _Failed(f"'{utterance.id}' is silent")
    return f"all files exist; {len(picked)} decoded, lengths as in the manifest", float(len(picked))


def _text(setup: Setup) -> Finding:
    tokenizer = setup.backend.text_tokenizer
    if tokenizer is None:
        return "this backend learns without text", None
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
        raise _Failed(
            f"{100 * ratio:.2f} % of tokens are unknown (allowed {100 * setup.max_unk:g} %): {shown}"
        )
    return f"{tokens} tokens, {100 * ratio:.2f} % unknown", ratio


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
        setup.dataset = dataset
        if not setup.trained:
            setup.backend.initialize(dataset)
        shortest = sorted(range(len(dataset)), key=lambda i: dataset.frames()[i])[:8]
        batch = dataset.batch(shortest)  # copied out of the memory map before the folder goes
    setup.batch = {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in batch.items()}
    if dataset.excluded:
        first = dataset.excluded[0]
        raise _Failed(
            f"{len(dataset.excluded)} of {len(rows)} cannot be learned from; '{first.id}': {first.reason}"
        )
    return f"{len(dataset)} utterances; batch of {len(shortest)}", float(len(dataset))


def _forward(setup: Setup) -> Finding:
    learner, batch = setup.backend.learner(), _batch(setup)
    setup.backend.network.train()
    shown, worst = [], 0.0
    for loss in learner.losses(batch):
        value = float(loss.total.detach())
        if not math.isfinite(value):
            raise _Failed(f"the loss of phase '{loss.phase}' is {value}")
        if value == 0.0:
            raise _Failed(f"the loss of phase '{loss.phase}' is exactly 0: nothing would be learned")
        shown.append(
            f"{loss.phase}: {value:.4f} ({', '.join(f'{k} {float(v):.4f}' for k, v in loss.terms.items())})"
        )
        worst = max(worst, value)
    return "; ".join(shown), worst


def _gradients(setup: Setup) -> Finding:
    learner = setup.backend.learner()
    names = {id(p): n for n, p in setup.backend.network.named_parameters()}
    setup.backend.network.zero_grad(set_to_none=True)
    count = 0
    for loss in learner.losses(_batch(setup)):
        parameters = learner.parameters(loss.phase)
        loss.total.backward(inputs=parameters)
        for parameter in parameters:
            name = names.get(id(parameter), loss.phase)
            if parameter.grad is None or not bool(parameter.grad.abs().sum() > 0):
                raise _Failed(f"no gradient reaches the trainable parameter '{name}'")
            if not bool(torch.isfinite(parameter.grad).all()):
                raise _Failed(f"the gradient of '{name}' is not finite")
        count += len(parameters)
    return f"{count} trainable tensors, all receive gradient", float(count)


def _step(setup: Setup) -> Finding:
    network = setup.backend.network
    kept = copy.deepcopy(network.state_dict())
    learner = setup.backend.learner()
    try:
        moved = 0
        for loss in learner.losses(_batch(setup)):
            parameters = learner.parameters(loss.phase)
            before = [p.detach().clone() for p in parameters]
            optimizer = build_optimizer(parameters, setup.config.training.optim)
            optimizer.zero_grad(set_to_none=True)
            loss.total.backward(inputs=parameters)
            optimizer.step()
            moved += sum(not torch.equal(a, b) for a, b in zip(before, parameters, strict=True))
        if not moved:
            raise _Failed("an optimiser step changed no weight")
        return f"one step changed {moved} tensors", float(moved)
    finally:
        network.load_state_dict(kept)


def _overfit(setup: Setup) -> Finding:
    network = setup.backend.network
    kept = copy.deepcopy(network.state_dict())
    learner, optim = setup.backend.learner(), setup.config.training.optim
    optimizers = {phase: build_optimizer(learner.parameters(phase), optim) for phase in learner.phases}
    last = learner.phases[-1]
    history: list[float] = []
    try:
        network.train()
        for _ in range(setup.overfit_steps):
            with statistics_of(learner, setup.backend.spec):
                for loss in learner.losses(_batch(setup)):
                    parameters = learner.parameters(loss.phase)
                    optimizers[loss.phase].zero_grad(set_to_none=True)
                    loss.total.backward(inputs=parameters)
                    torch.nn.utils.clip_grad_norm_(parameters, optim.clip_norm or math.inf)
                    optimizers[loss.phase].step()
                    if loss.phase == last:
                        history.append(float(loss.total.detach()))
    finally:
        network.load_state_dict(kept)
    first, final = history[0], float(np.mean(history[-5:]))
    allowed = 0.7 if not setup.trained else 1.0
    if not final < allowed * first:
        raise _Failed(f"{len(history)} steps on one batch took the loss from {first:.4f} to {final:.4f} only")
    return f"{len(history)} steps on one batch: loss {first:.4f} -> {final:.4f}", final / first


def _checkpoint(setup: Setup) -> Finding:
    backend, tokenizer = setup.backend, setup.backend.text_tokenizer
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "step-00000000"
        write_checkpoint(
            folder, describe(setup, tokenizer), backend.network.state_dict(), tokenizer=tokenizer
        )
        again = read_checkpoint(folder).load_backend()
    mine, theirs = backend.network.state_dict(), again.network.state_dict()
    for key, tensor in mine.items():
        if not torch.equal(tensor.cpu(), theirs[key]):
            raise _Failed(f"tensor '{key}' changed between saving and loading")
    if tokenizer is not None and again.text_tokenizer is not None:
        for utterance in setup.utterances[:SUBSET]:
            text = utterance.spoken_text()
            if tokenizer.encode(text) != again.text_tokenizer.encode(text):
                raise _Failed(f"the stored tokenizer reads '{utterance.id}' differently")
    return f"{len(mine)} tensors and the tokenizer come back identical", float(len(mine))


def describe(setup: Setup, tokenizer: TextTokenizer | None) -> CheckpointInfo:
    """What the throw-away checkpoint of the save/load check says about itself."""
    return CheckpointInfo(
        backend=setup.backend.spec.name,
        backend_config=setup.config.model,
        sample_rate=setup.backend.sample_rate,
        normalizer=setup.normalizer.settings.model_dump(mode="json"),
        tokenizer_kind=tokenizer.kind if tokenizer else "",
        tokenizer_hash=tokenizer.fingerprint() if tokenizer else "",
        vocab_size=tokenizer.vocab_size if tokenizer else 0,
        speakers=list(setup.backend.speakers.names),
    )


def _synthesis(setup: Setup) -> Finding:
    if setup.backend.text_tokenizer is None or not setup.backend.spec.speaks:
        return "this backend has no text to speak", None
    setup.backend.network.eval()
    speech = Synthesizer(setup.backend, setup.normalizer).speak(setup.text)
    waveform = speech.waveform
    if not np.isfinite(waveform).all():
        raise _Failed("the audio holds samples that are not finite")
    level = float(np.sqrt(np.mean(waveform.astype(np.float64) ** 2)))
    if level < 1e-4:
        raise _Failed(f"the audio is silent (RMS {level:.1e})")
    letters = sum(c.isalnum() for s in speech.stretches for c in s.text)
    corpus = sum(u.duration for u in setup.utterances) / sum(
        max(1, sum(c.isalnum() for c in u.spoken_text())) for u in setup.utterances
    )
    pace = speech.duration / max(1, letters) / corpus
    # An untrained model speaks every symbol for its shortest time; a trained one must keep the corpus' pace.
    low, high = (0.4, 2.5) if setup.trained else (0.02, 20.0)
    if not low <= pace <= high:
        raise _Failed(f"{speech.duration:.2f} s for {letters} letters is {pace:.2f} times the corpus' pace")
    return (
        f"{speech.duration:.2f} s for {letters} letters ({pace:.2f} x the corpus' pace), RMS {level:.3f}",
        pace,
    )


def _batch(setup: Setup) -> Batch:
    assert setup.batch is not None
    return dict(setup.batch)


def _spread(items: list[Any], count: int) -> list[Any]:
    """`count` of the items, evenly spread."""
    if len(items) <= count:
        return list(items)
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]


CHECKS: tuple[tuple[str, Callable[[Setup], Finding]], ...] = (
    ("manifest", _manifest),
    ("audio", _audio),
    ("unknown tokens", _text),
    ("features", _features),
    ("finite loss", _forward),
    ("gradients", _gradients),
    ("optimiser step", _step),
    ("overfit one batch", _overfit),
    ("save and load", _checkpoint),
    ("synthesis", _synthesis),
)
BLOCKING = ("manifest", "audio", "features", "finite loss")
