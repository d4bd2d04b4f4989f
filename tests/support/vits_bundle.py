"""Makes a bundle of numbers for `amtts validate-e2e --reference`, by transformers' modules and the published step.

Nothing of our own training pass is used: forward, order and optimizers are those of `benchmarks/vits_published.py`.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import VitsConfig, VitsModel

from amtts_core.audio.mel import MelConfig, mel_filters
from amtts_vits.discriminator import Discriminator
from amtts_vits.generator import Draws, Recording
from amtts_vits.modules import Generator
from amtts_vits.sizes import GeneratorSizes
from amtts_vits.spectrogram import linear_spectrogram
from amtts_vits.weights import fold_norm, to_published

MEL = MelConfig(sample_rate=22050, n_fft=512, hop=128, n_mels=40, fmin=0.0, fmax=8000.0)
SEGMENT, LENGTHS, FRAMES, SPEAKERS = 16, (17, 25, 9), (40, 71, 23), (2, 0, 1)
ADAMW = {
    "learning_rate": 2e-4,
    "betas": [0.8, 0.99],
    "eps": 1e-9,
    "weight_decay": 0.01,
    "c_mel": 45.0,
    "c_kl": 1.0,
}


def stock_config(sizes: GeneratorSizes, **changes: Any) -> VitsConfig:
    """Sizes of ours as transformers has them."""
    return VitsConfig(**{**sizes.published(), **changes})


def stock_of(generator: Generator) -> Any:
    """transformers' own network with the weights of ours, for speaking."""
    stock = _published().stock_of(generator).eval()
    fold_norm(stock)
    return stock


def make_bundle(folder: Path) -> Path:
    """Three speakers at 22.05 kHz, latent of another size than the text, nothing zero that starts at zero."""
    published = _published()
    folder.mkdir()
    torch.manual_seed(11)
    model, discriminators = (
        _model(),
        Discriminator(periods=(2, 3), period_channels=(4, 8), scale_channels=(4, 16)),
    )
    save_file(to_published(model.state_dict()), folder / "model.safetensors")
    model.config.save_pretrained(folder)
    save_file(to_published(discriminators.state_dict()), folder / "discriminator.safetensors")
    model.decoder.apply_weight_norm()
    recording, inputs = _recording(), {}
    settings = SimpleNamespace(segment_frames=SEGMENT, mel=MEL)
    for step in range(3):
        inputs |= _noise(step)
    save_file(_inputs(recording) | inputs, folder / "inputs.safetensors")
    draws = [_draws(inputs, step) for step in range(3)]

    made = published.published_pass(model, recording, draws[0], settings)
    real, fake = discriminators(made["y_slice"]), discriminators(made["y_hat"])
    disc = published.published_discriminators_loss(real, discriminators(made["y_hat"].detach()))
    losses = published.published_losses(made, discriminators(made["y_slice"]), fake)
    total = torch.stack(list(losses.values())).sum()
    stored: dict[str, Any] = {name: float(value.detach()) for name, value in losses.items()}
    stored |= {
        "loss_disc": float(disc.detach()),
        "loss_gen_all": float(total.detach()),
        "constants": _constants(),
    }
    disc.backward(inputs=list(discriminators.parameters()), retain_graph=True)
    total.backward(inputs=list(model.parameters()))
    expected = {name: value.detach() for name, value in made.items()}
    expected |= {f"disc_real.{i}": scores.detach() for i, scores in enumerate(real.scores)}
    expected |= {f"disc_fake.{i}": scores.detach() for i, scores in enumerate(fake.scores)}
    for name in ("embed_speaker.weight", "decoder.cond.weight", "duration_predictor.cond.weight"):
        expected[f"grad.{name}"] = model.get_parameter(name).grad.clone()
    stored["grad_norm_per_param_g"] = _norms(model)
    stored["grad_norm_per_param_d"] = _norms(discriminators)
    expected |= _speech(model.eval(), recording)
    model.train().zero_grad()
    discriminators.zero_grad()
    stored["official_train_steps"] = _steps(published, model, discriminators, recording, draws, settings)
    save_file({k: v.contiguous() for k, v in expected.items()}, folder / "expected.safetensors")
    (folder / "losses.json").write_text(json.dumps(stored), encoding="utf-8")
    return folder


def _published() -> Any:
    file = Path(__file__).parents[2] / "benchmarks" / "vits_published.py"
    spec = importlib.util.spec_from_file_location("vits_published", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _model() -> Any:
    sizes = {
        "hidden_size": 24,
        "flow_size": 12,
        "ffn_dim": 40,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
    }
    model: Any = VitsModel(
        VitsConfig(
            **sizes, vocab_size=30, num_speakers=3, speaker_embedding_size=8, spectrogram_bins=257,
            sampling_rate=22050, upsample_initial_channel=16, upsample_rates=[16, 8], upsample_kernel_sizes=[32, 16],
            resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1, 3]], prior_encoder_num_flows=2,
            prior_encoder_num_wavenet_layers=2, posterior_encoder_num_wavenet_layers=3,
            duration_predictor_num_flows=2, layerdrop=0.0, hidden_dropout=0.0, attention_dropout=0.0,
            activation_dropout=0.0, duration_predictor_dropout=0.0,
        )
    )  # fmt: skip
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        # A narrow prior and far-off durations make numbers of thousands, whose last digits are rounding.
        for parameter in [*model.text_encoder.project.parameters(), *_last_layers(model.duration_predictor)]:
            parameter.mul_(0.2)
        model.duration_predictor.flows[0].translate.fill_(-1.3)  # more than a frame a symbol
        model.duration_predictor.flows[0].log_scale.fill_(0.3)
    return model.train()


def _last_layers(predictor: Any) -> list[Tensor]:
    return [p for name, p in predictor.named_parameters() if "flows." in name and ".conv_proj." in name]


def _recording() -> Recording:
    longest, ids = max(FRAMES), torch.zeros(3, max(LENGTHS), dtype=torch.long)
    waveform, spectrogram = torch.zeros(3, 1, longest * MEL.hop), torch.zeros(3, 257, longest)
    for row, (symbols, frames) in enumerate(zip(LENGTHS, FRAMES, strict=True)):
        ids[row, 1:symbols:2] = torch.randint(1, 30, (symbols // 2,))
        wave = 0.1 * torch.randn(frames * MEL.hop)
        waveform[row, 0, : len(wave)] = wave
        spectrogram[row, :, :frames] = linear_spectrogram(wave[None], MEL)[0]
    return Recording(
        tokens=ids,
        token_lengths=torch.tensor(LENGTHS),
        spectrogram=spectrogram,
        frame_lengths=torch.tensor(FRAMES),
        waveform=waveform,
        speakers=torch.tensor(SPEAKERS),
    )


def _inputs(recording: Recording) -> dict[str, Tensor]:
    assert recording.speakers is not None
    return {
        "input_ids": recording.tokens,
        "input_lengths": recording.token_lengths,
        "spec": recording.spectrogram,
        "spec_lengths": recording.frame_lengths,
        "waveform": recording.waveform,
        "speaker_id": recording.speakers,
        "mel_basis": mel_filters(MEL).contiguous(),
    }


def _noise(step: int) -> dict[str, Tensor]:
    return {
        f"step{step}.noise_posterior": torch.randn(3, 12, max(FRAMES)),
        f"step{step}.noise_duration": torch.randn(3, 2, max(LENGTHS)),
        f"step{step}.ids_slice": torch.tensor([torch.randint(0, n - SEGMENT + 1, ()) for n in FRAMES]),
    }


def _draws(inputs: dict[str, Tensor], step: int) -> Draws:
    names = ("noise_posterior", "noise_duration", "ids_slice")
    posterior, duration, starts = (inputs[f"step{step}.{name}"] for name in names)
    return Draws(posterior=posterior, duration=duration, starts=starts)


def _constants() -> dict[str, Any]:
    return {
        "sampling_rate": 22050, "n_fft": 512, "hop_length": 128, "n_mels": 40, "fmin": 0.0, "fmax": 8000.0,
        "segment_frames": SEGMENT, "disc_periods": [2, 3], "feature_loss_factor": 2.0, "optimizer": ADAMW,
    }  # fmt: skip


def _norms(module: nn.Module) -> dict[str, float]:
    return to_published(
        {name: 0.0 if p.grad is None else float(p.grad.norm()) for name, p in module.named_parameters()}
    )  # type: ignore[arg-type, return-value]


@torch.no_grad()
def _speech(model: Any, recording: Recording) -> dict[str, Tensor]:
    """transformers' own inference, one utterance at a time."""
    model.noise_scale = model.noise_scale_duration = 0.0
    seen: list[Tensor] = []
    hook = model.duration_predictor.register_forward_hook(lambda _, __, out: seen.append(out[0, 0]))
    found = {}
    for row, (length, speaker) in enumerate(zip(LENGTHS, SPEAKERS, strict=True)):
        spoken = model(recording.tokens[row : row + 1, :length], speaker_id=speaker)
        found[f"infer.waveform.{row}"] = spoken.waveform[0]
        found[f"infer.log_duration.{row}"] = seen[-1]
        near = torch.exp(seen[-1])
        assert float((near - near.round()).abs().min()) > 1e-4, "rounding up could go either way"
    hook.remove()
    return found


def _steps(
    published: Any, model: Any, discriminators: Any, recording: Recording, draws: Any, settings: Any
) -> list[Any]:
    options = {"lr": ADAMW["learning_rate"], "betas": (0.8, 0.99), "eps": 1e-9, "weight_decay": 0.01}
    optim = {"d": torch.optim.AdamW(discriminators.parameters(), **options)}
    optim["g"] = torch.optim.AdamW(model.parameters(), **options)
    steps = []
    for drawn in draws:
        made = published.published_pass(model, recording, drawn, settings)
        loss = published.published_discriminators_loss(
            discriminators(made["y_slice"]), discriminators(made["y_hat"].detach())
        )
        row = {"loss_disc": float(loss.detach()), "grad_norm_d": _moved(loss, discriminators, optim["d"])}
        losses = published.published_losses(
            made, discriminators(made["y_slice"]), discriminators(made["y_hat"])
        )
        total = torch.stack(list(losses.values())).sum()
        row |= {name: float(value.detach()) for name, value in losses.items()} | {
            "loss_gen_all": float(total.detach())
        }
        steps.append(row | {"grad_norm_g": _moved(total, model, optim["g"])})
    return steps


def _moved(loss: Tensor, module: nn.Module, optimizer: torch.optim.Optimizer) -> float:
    optimizer.zero_grad()
    loss.backward()
    norm = torch.stack([p.grad.norm() for p in module.parameters() if p.grad is not None]).norm()
    optimizer.step()
    return float(norm)
