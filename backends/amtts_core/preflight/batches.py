"""Checks of features, batches and losses. None of them changes a weight."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from amtts_core.preflight.subject import CheckFailed, CheckSkipped, Finding, Subject, require

ROOM = 2e-3
"""By which terms may differ for other reasons than padding: learners draw noise for each position of a batch."""


def features_of_noise(subject: Subject) -> Finding:
    """Features are finite, the same each time, and as long as the sound."""
    backend, random = subject.backend, np.random.default_rng(1)
    for seconds in (0.2, 1.0, 2.5):
        noise = random.standard_normal(round(seconds * backend.sample_rate)) * 0.1
        wave = noise.astype(np.float32)
        arrays, again = backend.features(wave).arrays, backend.features(wave.copy()).arrays
        require(bool(arrays), "a waveform has no feature")
        for name, array in arrays.items():
            require(array.ndim in (1, 2), f"feature '{name}' has {array.ndim} axes, expected 1 or 2")
            require(bool(np.isfinite(array).all()), f"feature '{name}' is not finite")
            require(np.array_equal(array, again[name]), f"feature '{name}' differs the second time")
        frames = backend.num_frames({name: len(array) for name, array in arrays.items()})
        twice = backend.features(np.concatenate([wave, wave])).arrays
        doubled = backend.num_frames({name: len(array) for name, array in twice.items()})
        require(
            abs(doubled - 2 * frames) <= 2,
            f"{seconds} s have {frames} frames, twice as much sound has {doubled}",
        )
    return Finding(f"features {', '.join(arrays)} follow the sound")


def features_of_almost_nothing(subject: Subject) -> Finding:
    """One sample and a hundred have features, too."""
    for samples in (1, 100):
        arrays = subject.backend.features(np.zeros(samples, np.float32)).arrays
        for name, array in arrays.items():
            require(bool(np.isfinite(array).all()), f"feature '{name}' of {samples} samples is not finite")
    return Finding("one sample has features")


def refusals(subject: Subject) -> Finding:
    """Usable utterances are accepted, and a text of 10,000 tokens for the same sound is not."""
    backend, example = subject.backend, subject.examples[0]
    lengths = {name: len(array) for name, array in example.features.items()}
    reason = backend.check_example(len(example.tokens), lengths)
    require(not reason, f"check_example refuses a usable utterance: {reason}")
    subject.needs_text()
    require(
        bool(backend.check_example(10_000, lengths)),
        f"check_example accepts 10000 tokens for {backend.num_frames(lengths)} frames",
    )
    return Finding("an utterance with too much text is refused")


def collation(subject: Subject) -> Finding:
    """Batches are tensors with one finite item for each example, in order."""
    examples = subject.examples[:3]
    batch = subject.backend.collate(examples)
    require(batch.get("ids") == [e.id for e in examples], "batch['ids'] is not the list of ids")
    tensors = {name: value for name, value in batch.items() if isinstance(value, Tensor)}
    require(bool(tensors), "a batch holds no tensor")
    for name, tensor in tensors.items():
        require(len(tensor) == len(examples), f"batch['{name}'] has {len(tensor)} items, expected 3")
        require(bool(torch.isfinite(tensor.float()).all()), f"batch['{name}'] is not finite")
    tokenizer = subject.backend.text_tokenizer
    if tokenizer is not None and "tokens" in tensors:
        least, most = int(tensors["tokens"].min()), int(tensors["tokens"].max())
        require(0 <= least <= most < tokenizer.vocab_size, f"batch['tokens'] holds ids {least} to {most}")
    return Finding(f"{len(tensors)} tensors", float(len(tensors)))


def finite_loss(subject: Subject) -> Finding:
    """Losses come in the order of the phases, finite and positive, with all their terms."""
    with subject.scratch():
        return _finite_loss(subject)


def _finite_loss(subject: Subject) -> Finding:
    learner = subject.backend.learner()
    subject.backend.network.train()
    shown, worst, phases = [], 0.0, []
    require(len(set(learner.phases)) == len(learner.phases) > 0, f"the phases are {learner.phases}")
    for loss in learner.losses(subject.batch(subject.examples)):
        value = float(loss.total.detach())
        require(math.isfinite(value), f"the loss of phase '{loss.phase}' is {value}")
        require(value != 0.0, f"the loss of phase '{loss.phase}' is exactly 0: nothing would be learned")
        require(value > 0, f"the loss of phase '{loss.phase}' is negative: {value}")
        require(loss.total.ndim == 0, f"the loss of phase '{loss.phase}' is no scalar")
        require(loss.total.requires_grad, f"the loss of phase '{loss.phase}' has no gradient")
        require(bool(loss.terms), f"the loss of phase '{loss.phase}' has no term to log")
        for name, term in loss.terms.items():
            require(math.isfinite(float(term)), f"term '{name}' is {float(term)}")
            require(float(term) >= 0, f"term '{name}' is negative: {float(term)}")
            require(not term.requires_grad, f"term '{name}' is not detached")
        terms = ", ".join(f"{name} {float(term):.4f}" for name, term in loss.terms.items())
        shown.append(f"{loss.phase}: {value:.4f} ({terms})")
        phases.append(loss.phase)
        worst = max(worst, value)
    require(tuple(phases) == tuple(learner.phases), f"losses come as {phases}, expected {learner.phases}")
    return Finding("; ".join(shown), worst)


def padding(subject: Subject) -> Finding:
    """A batch is a weighted mean of its items: each of its terms lies between theirs, in any order."""
    by_length = sorted(subject.examples, key=lambda e: max(len(a) for a in e.features.values()))
    short, long = by_length[0], by_length[-1]
    alone = [subject.losses([example]) for example in (short, long)]
    pair, swapped = subject.losses([short, long]), subject.losses([long, short])
    for phase, loss in pair.items():
        for name, term in loss.terms.items():
            value, least, most = (
                float(term),
                *sorted(float(losses[phase].terms[name]) for losses in alone),
            )
            room = ROOM * max(1.0, most)
            require(
                least - room <= value <= most + room,
                f"term '{name}' of two items is {value:.5f}, of each alone {least:.5f} and {most:.5f}: "
                "padding counts",
            )
            other = float(swapped[phase].terms[name])
            require(
                math.isclose(other, value, rel_tol=ROOM, abs_tol=1e-6), f"term '{name}' depends on the order"
            )
    item = subject.examples[0]
    once, twice = subject.losses([item]), subject.losses([item, item])
    for phase, loss in once.items():
        values = float(loss.total), float(twice[phase].total)
        require(
            math.isclose(*values, rel_tol=1e-4), f"an item has loss {values[0]}, twice itself {values[1]}"
        )
    return Finding("padding and order do not count")


def figures(subject: Subject) -> Finding:
    """Pictures for the log are finite matrices; a backend that reads text shows an alignment or a mel."""
    learner = subject.backend.learner()
    shown = learner.figures(subject.batch(subject.examples[:2]))
    for name, figure in shown.items():
        require(figure.ndim == 2, f"figure '{name}' has {figure.ndim} axes, expected 2")
        require(bool(torch.isfinite(figure).all()), f"figure '{name}' is not finite")
    if shown:
        return Finding(", ".join(shown), float(len(shown)))
    if subject.backend.text_tokenizer is None:
        raise CheckSkipped("shows no figure")
    raise CheckFailed(
        "figures is empty; show an alignment or a mel, so that the log shows whether text is read"
    )
