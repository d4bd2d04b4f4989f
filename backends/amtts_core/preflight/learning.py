"""Checks of gradients, of a step, and of a short training on four examples."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from amtts_core.preflight.subject import LATER, CheckFailed, CheckSkipped, Finding, Subject, require
from amtts_core.training.optim import build_optimizer

PASSES = 8
"""In which each parameter has to receive gradient: learners leave parts of their input out by chance."""
LEARNED_FROM_TEXT = 1.2
"""Times the loss that texts in disorder have to give after training."""


def gradients(subject: Subject) -> Finding:
    """Every trainable parameter is in one phase and receives a finite gradient."""
    network, learner = subject.backend.network, subject.backend.learner()
    names = {id(p): n for n, p in network.named_parameters()}
    owned = [id(p) for phase in learner.phases for p in learner.parameters(phase)]
    repeated = (
        {names.get(i, "?") for i in owned if owned.count(i) > 1} if len(set(owned)) < len(owned) else set()
    )
    require(not repeated, f"parameters in more than one phase: {', '.join(sorted(repeated))}")
    left = [n for n, p in network.named_parameters() if p.requires_grad and id(p) not in set(owned)]
    require(not left, f"the trainable parameter '{left[0] if left else ''}' is in no phase")
    reached = set[int]()
    for _ in range(PASSES):
        with subject.scratch():
            reached |= _with_gradient(subject, names)
        if reached >= set(owned):
            return Finding(f"{len(owned)} trainable tensors, all receive gradient", float(len(owned)))
    dead = next(i for i in owned if i not in reached)
    raise CheckFailed(f"no gradient reaches the trainable parameter '{names.get(dead, '?')}'")


def _with_gradient(subject: Subject, names: dict[int, str]) -> set[int]:
    """The parameters that one training pass gives a gradient."""
    network, learner, found = subject.backend.network, subject.backend.learner(), set[int]()
    network.train()
    network.zero_grad(set_to_none=True)
    for loss in learner.losses(subject.batch(subject.examples)):
        parameters = learner.parameters(loss.phase)
        loss.total.backward(inputs=parameters)
        for parameter in parameters:
            if parameter.grad is None:
                continue
            if not bool(torch.isfinite(parameter.grad).all()):
                raise CheckFailed(f"the gradient of '{names.get(id(parameter), loss.phase)}' is not finite")
            if bool(parameter.grad.abs().sum() > 0):
                found.add(id(parameter))
    network.zero_grad(set_to_none=True)
    return found


def optimizer_step(subject: Subject) -> Finding:
    """One step moves every tensor that received gradient."""
    names = {id(p): n for n, p in subject.backend.network.named_parameters()}
    moved = 0
    with subject.scratch() as backend:
        learner = backend.learner()
        backend.network.train()
        for loss in learner.losses(subject.batch(subject.examples)):
            parameters = learner.parameters(loss.phase)
            before = [p.detach().clone() for p in parameters]
            optimizer = build_optimizer(parameters, subject.optim)
            optimizer.zero_grad(set_to_none=True)
            loss.total.backward(inputs=parameters)
            optimizer.step()
            still = [
                names.get(id(p), loss.phase)
                for old, p in zip(before, parameters, strict=True)
                if torch.equal(old, p) and p.grad is not None and bool(p.grad.any())
            ]
            if still:
                raise CheckFailed(
                    f"an optimizer step left {len(still)} tensors as they were, e.g. '{still[0]}'"
                )
            moved += sum(not torch.equal(old, p) for old, p in zip(before, parameters, strict=True))
    require(moved > 0, "an optimizer step changed no weight")
    return Finding(f"one step changed {moved} tensors", float(moved))


def overfit_one_batch(subject: Subject) -> Finding:
    """Some steps on one batch bring its loss down."""
    history = subject.overfit()
    first, final = history[0], float(np.mean(history[-5:]))
    require(
        final < subject.max_ratio * first,
        f"{len(history)} steps on one batch took the loss from {first:.4f} to {final:.4f} only",
    )
    return Finding(f"{len(history)} steps on one batch: loss {first:.4f} -> {final:.4f}", final / first)


def text_matters(subject: Subject) -> Finding:
    """After the training the loss is higher where the text is that of another utterance or in disorder."""
    subject.needs_text()
    if not subject.enough_training:
        raise CheckSkipped(LATER)
    random, examples = np.random.default_rng(0), subject.examples[:4]
    shuffled = [
        dataclasses.replace(e, tokens=random.permutation(np.array(e.tokens)).tolist()) for e in examples
    ]
    exchanged = [
        dataclasses.replace(e, tokens=other.tokens)
        for e, other in zip(examples, [*examples[1:], examples[0]], strict=True)
    ]
    with subject.learned() as backend:
        phase = backend.learner().phases[-1]
        right, *wrong = (float(subject.losses(e)[phase].total) for e in (examples, shuffled, exchanged))
    for value, how in zip(wrong, ("in disorder", "of other utterances"), strict=True):
        require(
            value > LEARNED_FROM_TEXT * right,
            f"the loss is {right:.4f} with the right texts and {value:.4f} with texts {how}: the text has no weight",
        )
    return Finding(f"loss {right:.4f}, with wrong texts {wrong[0]:.4f} and {wrong[1]:.4f}", wrong[0] / right)
