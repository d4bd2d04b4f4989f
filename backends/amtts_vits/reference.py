"""Compares this package's maths with a bundle of numbers that the published code produced.

A bundle is a folder: a Hugging Face VITS checkpoint (config.json, model.safetensors), discriminator.safetensors,
inputs.safetensors (batch and every random draw), expected.safetensors and losses.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from amtts_core.audio.mel import MelConfig, mel_filters
from amtts_core.checkpoints.checkpoint import load_strict
from amtts_core.contract.reference_check import ReferenceCheck
from amtts_core.errors import AmttsError
from amtts_core.nn.discriminators import DiscriminatorOutput, discriminator_loss
from amtts_vits.alignment import owners
from amtts_vits.config import LossSettings
from amtts_vits.discriminator import Discriminator
from amtts_vits.generator import Draws, Passed, Recording, TrainingPass
from amtts_vits.inference import Utterance, speak
from amtts_vits.losses import generator_losses
from amtts_vits.modules import Generator
from amtts_vits.sizes import GeneratorSizes
from amtts_vits.spectrogram import log_mel
from amtts_vits.weights import (
    add_decoder_norm,
    discriminator_sizes,
    from_published,
    parametrised_name,
    read_weights,
)

TENSOR, SCORE, LOSS, GRADIENT, STEP = 1e-5, 1e-3, 1e-5, 1e-3, 1e-4
"""Tolerances: tensors absolute, the score of the alignment absolute (it is a sum of hundreds), the rest relative."""
STEPS = 3
"""Optimiser steps that a bundle holds, at least."""
_SMALL = 1e-5
"""Gradient norms below this are rounding noise."""


@dataclass(frozen=True)
class Bundle:
    """A bundle read into memory."""

    folder: Path
    inputs: dict[str, Tensor]
    expected: dict[str, Tensor]
    losses: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Bundle:
        """Reads the numbers; networks are built by `networks`."""
        return cls(
            folder,
            load_file(folder / "inputs.safetensors"),
            load_file(folder / "expected.safetensors"),
            json.loads((folder / "losses.json").read_text(encoding="utf-8")),
        )

    def mel(self) -> MelConfig:
        """The spectrograms it was made with."""
        constants = self.losses["constants"]
        return MelConfig(
            sample_rate=constants["sampling_rate"],
            n_fft=constants["n_fft"],
            hop=constants["hop_length"],
            n_mels=constants["n_mels"],
            fmin=constants["fmin"],
            fmax=constants["fmax"] or constants["sampling_rate"] / 2,
        )

    def networks(self) -> tuple[TrainingPass, Discriminator]:
        """Fresh networks with the bundle's weights, as they are trained."""
        settings = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        model = Generator(GeneratorSizes.of(settings))
        load_strict(model, from_published(read_weights(self.folder / "model.safetensors")), backend="vits")
        add_decoder_norm(model.decoder)
        weights = from_published(read_weights(self.folder / "discriminator.safetensors"))
        constants, sizes = self.losses["constants"], discriminator_sizes(weights)
        discriminators = Discriminator(
            periods=constants["disc_periods"],
            period_channels=sizes["period_channels"],
            scale_channels=sizes["scale_channels"],
        )
        load_strict(discriminators, weights, backend="vits")
        segment = constants["segment_frames"]
        return TrainingPass(model, self.mel(), segment_frames=segment).train(), discriminators.train()

    def recording(self) -> Recording:
        """The stored batch."""
        return Recording(
            tokens=self.inputs["input_ids"],
            token_lengths=self.inputs["input_lengths"],
            spectrogram=self.inputs["spec"],
            frame_lengths=self.inputs["spec_lengths"],
            waveform=self.inputs["waveform"],
            speakers=self.inputs.get("speaker_id"),
        )

    def draws(self, step: int) -> Draws:
        """What was drawn in a stored step."""
        return Draws(
            posterior=self.inputs[f"step{step}.noise_posterior"],
            duration=self.inputs.get(f"step{step}.noise_duration"),
            starts=self.inputs[f"step{step}.ids_slice"],
        )


def compare(folder: Path) -> list[ReferenceCheck]:
    """Every tensor, loss, gradient, optimizer step and waveform of a bundle against ours.

    Raises:
        AmttsError: the bundle cannot be read.
    """
    try:
        bundle = Bundle.read(folder)
        return [
            *_training_tensors(bundle),
            *_losses_and_gradients(bundle),
            *_optimiser_steps(bundle),
            *_waveforms(bundle),
        ]
    except (OSError, SafetensorError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable(folder, error) from None
    except RuntimeError as error:  # torch's, of tensors whose sizes or types do not belong together
        raise _unreadable(folder, error) from error


def _unreadable(folder: Path, error: Exception) -> AmttsError:
    first_line = str(error).splitlines()[0] if str(error) else ""
    return AmttsError(
        f"reference bundle {folder} cannot be read or does not fit together ({type(error).__name__}: {first_line})",
        remedy="It needs config.json, losses.json and model, discriminator, inputs and expected .safetensors",
    )


def _distance(mine: Tensor, theirs: Tensor) -> float:
    if mine.shape != theirs.shape:
        return float("inf")
    return float((mine.detach() - theirs).abs().max())


def _relative(mine: float, theirs: float) -> float:
    return abs(mine - theirs) / max(abs(theirs), 1e-12)


def _training_tensors(bundle: Bundle) -> Iterator[ReferenceCheck]:
    generator, discriminators = bundle.networks()
    passed = generator(bundle.recording(), bundle.draws(0))
    real, fake = discriminators(torch.cat([passed.real, passed.fake])).halves()
    frames = passed.z.shape[2]
    owner = owners(passed.durations.cumsum(1), frames)
    symbols = passed.durations.shape[1]
    path = torch.nn.functional.one_hot(owner, symbols) * passed.mask.transpose(1, 2)
    mine = {
        "mel_basis": mel_filters(generator.mel),
        "x_mask": passed.prior.mask,
        "z_mask": passed.mask,
        "enc_hidden": passed.prior.hidden,
        "prior_mean_text": passed.prior.mean,
        "prior_logstd_text": passed.prior.log_std,
        "m_q": passed.mean_q,
        "logs_q": passed.log_std_q,
        "z": passed.z,
        "z_p": passed.z_p,
        "neg_cent": passed.score,
        "attn": path[:, None],
        "durations": passed.durations[:, None].float(),
        "l_length": passed.duration_loss,
        "m_p": passed.mean_p,
        "logs_p": passed.log_std_p,
        "y_hat": passed.fake,
        "y_slice": passed.real,
        "y_mel": passed.real_mel,
        "y_hat_mel": log_mel(passed.fake[:, 0], generator.mel),
    }
    mine |= {f"disc_real.{i}": scores for i, scores in enumerate(real.scores)}
    mine |= {f"disc_fake.{i}": scores for i, scores in enumerate(fake.scores)}
    stored = bundle.expected | {"mel_basis": bundle.inputs["mel_basis"]}
    tolerances = {"neg_cent": SCORE, "attn": 0.0, "durations": 0.0, "x_mask": 0.0, "z_mask": 0.0}
    for name, tensor in mine.items():
        yield ReferenceCheck(name, _distance(tensor, stored[name]), tolerances.get(name, TENSOR))


def _discriminate(
    discriminators: Discriminator, passed: Passed
) -> tuple[DiscriminatorOutput, DiscriminatorOutput]:
    with torch.no_grad():
        real = discriminators(passed.real)
    return real, discriminators(passed.fake)


def _weights(bundle: Bundle) -> LossSettings:
    constants = bundle.losses["constants"]
    optimizer = constants["optimizer"]
    return LossSettings(
        mel=optimizer["c_mel"], kl=optimizer["c_kl"], feature=constants["feature_loss_factor"]
    )


def _published(total: Tensor, terms: Mapping[str, Tensor], weights: LossSettings) -> dict[str, float]:
    """Our terms under the published names, weighted as published."""
    terms = {name: value.detach() for name, value in terms.items()}
    return {
        "loss_gen": float(terms["adversarial"]) * weights.adversarial,
        "loss_fm": float(terms["feature"]) * weights.feature,
        "loss_mel": float(terms["mel"]) * weights.mel,
        "loss_dur": float(terms["duration"]) * weights.duration,
        "loss_kl": float(terms["kl"]) * weights.kl,
        "loss_gen_all": float(total.detach()),
    }


def _losses_and_gradients(bundle: Bundle) -> Iterator[ReferenceCheck]:
    """Both losses with the discriminator as it is stored, and the gradient of each on its own network."""
    generator, discriminators = bundle.networks()
    weights, stored = _weights(bundle), bundle.losses
    passed = generator(bundle.recording(), bundle.draws(0))
    loss = discriminator_loss(*discriminators(torch.cat([passed.real, passed.fake.detach()])).halves())
    real, fake = _discriminate(discriminators, passed)
    total, terms = generator_losses(passed, generator.mel, weights, real=real, fake=fake)
    for name, value in {"loss_disc": float(loss.detach()), **_published(total, terms, weights)}.items():
        yield ReferenceCheck(name, _relative(value, stored[name]), LOSS)
    loss.backward(inputs=list(discriminators.parameters()))
    total.backward(inputs=list(generator.parameters()))
    mine = _gradients(generator.model)
    yield from _gradient_norms("generator", mine, stored["grad_norm_per_param_g"])
    yield from _gradient_norms("discriminator", _gradients(discriminators), stored["grad_norm_per_param_d"])
    gradients = {name: tensor for name, tensor in bundle.expected.items() if name.startswith("grad.")}
    if not gradients:
        raise ValueError("expected.safetensors holds no gradient, such as 'grad.decoder.conv_pre.weight'")
    for name, gradient in gradients.items():
        own = mine[parametrised_name(name.removeprefix("grad."))]
        fits = own.shape == gradient.shape
        far = float((own - gradient).norm() / gradient.norm()) if fits else float("inf")
        yield ReferenceCheck(name, far, GRADIENT)


def _gradients(module: nn.Module) -> dict[str, Tensor]:
    """Parameter name -> gradient, zero where none arrived."""
    return {name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in module.named_parameters()}


def _gradient_norms(
    what: str, mine: Mapping[str, Tensor], theirs: Mapping[str, float | None]
) -> Iterator[ReferenceCheck]:
    """One check: the worst of all parameters that have a gradient worth the name."""
    wanted = {parametrised_name(name): norm or 0.0 for name, norm in theirs.items()}
    if set(mine) != set(wanted):
        odd = sorted(set(mine) ^ set(wanted))[0]
        yield ReferenceCheck(f"grad_norms.{what}: '{odd}' is on one side only", float("inf"), GRADIENT)
        return
    worst, where = 0.0, ""
    for name, norm in wanted.items():
        own = float(mine[name].norm())
        if own <= _SMALL and norm <= _SMALL:
            continue
        far = _relative(own, norm)
        if not far <= worst or not where:  # NaN is the worst of all
            worst, where = far, name
        if far != far:
            break
    yield ReferenceCheck(f"grad_norms.{what} ({len(wanted)} parameters, worst {where})", worst, GRADIENT)


def _optimiser_steps(bundle: Bundle) -> Iterator[ReferenceCheck]:
    """Three steps in the published order: discriminator first, the generator against the new one."""
    generator, discriminators = bundle.networks()
    weights, recording = _weights(bundle), bundle.recording()
    settings = bundle.losses["constants"]["optimizer"]
    optimizers = [
        torch.optim.AdamW(
            module.parameters(),
            lr=settings["learning_rate"],
            betas=tuple(settings["betas"]),
            eps=settings["eps"],
            weight_decay=settings["weight_decay"],
        )
        for module in (discriminators, generator)
    ]
    steps = bundle.losses["official_train_steps"]
    if len(steps) < STEPS:
        raise ValueError(f"losses.json: official_train_steps holds {len(steps)} steps, expected {STEPS}")
    for step, stored in enumerate(steps):
        passed = generator(recording, bundle.draws(step))
        loss = discriminator_loss(*discriminators(torch.cat([passed.real, passed.fake.detach()])).halves())
        norms = [_step(loss, discriminators, optimizers[0])]
        total, terms = generator_losses(
            passed,
            generator.mel,
            weights,
            **dict(zip(("real", "fake"), _discriminate(discriminators, passed), strict=True)),
        )
        norms.append(_step(total, generator, optimizers[1]))
        values = {"loss_disc": float(loss.detach()), **_published(total, terms, weights)}
        for name, value in values.items():
            yield ReferenceCheck(f"step{step}.{name}", _relative(value, stored[name]), STEP)
        for name, norm in zip(("grad_norm_d", "grad_norm_g"), norms, strict=True):
            yield ReferenceCheck(f"step{step}.{name}", _relative(norm, stored[name]), GRADIENT)


def _step(loss: Tensor, module: nn.Module, optimizer: torch.optim.Optimizer) -> float:
    """One update of `module` alone; returns the norm of its gradient."""
    parameters = list(module.parameters())
    optimizer.zero_grad(set_to_none=True)
    loss.backward(inputs=parameters)
    gradients = [p.grad for p in parameters if p.grad is not None]
    optimizer.step()
    return float(torch.stack([g.norm() for g in gradients]).norm())


def _waveforms(bundle: Bundle) -> Iterator[ReferenceCheck]:
    """Speech without noise: one utterance at a time as stored, and all together, which must be the same."""
    generator, _ = bundle.networks()
    model = generator.model.eval()
    lengths = bundle.inputs["input_lengths"].tolist()
    speakers = bundle.inputs.get("speaker_id")
    utterances = [
        Utterance(
            tokens=bundle.inputs["input_ids"][row, :length].tolist(),
            speaker=int(speakers[row]) if speakers is not None else 0,
            noise_scale=0.0,
            noise_scale_duration=0.0,
        )
        for row, length in enumerate(lengths)
    ]
    together = speak(model, utterances)
    for row, utterance in enumerate(utterances):
        alone = speak(model, [utterance])[0]
        yield ReferenceCheck(
            f"infer.log_duration.{row}",
            _distance(alone.log_duration, bundle.expected[f"infer.log_duration.{row}"]),
            TENSOR,
        )
        stored = bundle.expected[f"infer.waveform.{row}"]
        yield ReferenceCheck(f"infer.waveform.{row}", _distance(alone.waveform, stored), TENSOR)
        yield ReferenceCheck(f"infer.in_batch.{row}", _distance(together[row].waveform, stored), TENSOR)
