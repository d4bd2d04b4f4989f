"""Makes tests/backends/s3/golden: numbers of the original S3Gen in a small size, weights and noise by name (`recipe`).

Run from the repository root by an interpreter that has chatterbox-tts 0.1.7 (docs/benchmarks.md says how to make one);
nothing of amtts is imported but its recipe of weights, by its file:

    STOCK/bin/python tests/backends/s3/make_golden.py
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent
FOLDER = HERE / "golden"
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))
_spec = importlib.util.spec_from_file_location("recipe", ROOT / "backends/amtts_chatterbox/s3/recipe.py")
assert _spec
assert _spec.loader
recipe: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(recipe)

from stock_s3gen import small_s3gen  # noqa: E402

SEED = 311
SIZES: dict[str, Any] = {
    "tokenizer": {"n_mels": 128, "n_audio_state": 64, "n_audio_head": 1, "n_audio_layer": 2},
    "speaker": {"growth_rate": 4, "bn_size": 2, "init_channels": 16},
    "encoder": {
        "input_size": 48,
        "output_size": 48,
        "attention_heads": 3,
        "linear_units": 40,
        "num_blocks": 1,
    },
    "estimator": {
        "in_channels": 320,
        "out_channels": 80,
        "channels": [24],
        "attention_head_dim": 12,
        "n_blocks": 2,
        "num_mid_blocks": 1,
        "num_heads": 2,
    },
    "hift": {"base_channels": 32, "f0_channels": 16},
}
WAVES = {
    "a24": (24000, 14400),
    "b24": (24000, 12961),
    "a16": (16000, 9000),
    "b16": (16000, 7003),
    "d16": (16000, 330),
}


def noise(name: str, *shape: int) -> torch.Tensor:
    """Noise of a name."""
    return torch.from_numpy(recipe.noise(name, shape, SEED))


def wave(key: str) -> torch.Tensor:
    """Harmonics of a gliding pitch and a little noise; b24 has digital silence in the middle."""
    rate, count = WAVES[key]
    time = torch.arange(count, dtype=torch.float64) / rate
    turns = (130 + 40 * torch.sin(9 * time)).cumsum(0) / rate
    out = sum(torch.sin(2 * torch.pi * h * turns) / h for h in range(1, 12)) * 0.12
    out = out.float() + noise(f"wave.{key}", count) * 0.004
    if key == "b24":
        out[5000:6500] = 0
    return out


@contextmanager
def drawn(*normals: torch.Tensor, phase: torch.Tensor | None = None) -> Iterator[None]:
    """Inside, the original's random numbers are these, in order; further ones are zeros."""
    from torch.distributions.uniform import Uniform

    waiting, like, sample = list(normals), torch.randn_like, Uniform.sample

    def next_normal(tensor: torch.Tensor, **_: Any) -> torch.Tensor:
        found = waiting.pop(0) if waiting else torch.zeros_like(tensor)
        assert found.shape == tensor.shape, (found.shape, tensor.shape)
        return found

    torch.randn_like = next_normal  # type: ignore[assignment]
    if phase is not None:
        Uniform.sample = lambda self, sample_shape: phase.clone()  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.randn_like, Uniform.sample = like, sample  # type: ignore[method-assign]


def filled(model: Any) -> None:
    """Puts the recipe's weights in."""
    own = model.state_dict()
    for name, tensor in own.items():
        made = recipe.weight(name, tuple(tensor.shape), SEED)
        if name not in ("tokenizer._mel_filters", "tokenizer.window"):
            own[name] = torch.from_numpy(made)
    model.load_state_dict(own)


class Golden:
    """Inputs, outputs and cases as they are made."""

    def __init__(self) -> None:
        self.inputs: dict[str, torch.Tensor] = {}
        self.outputs: dict[str, torch.Tensor] = {}
        self.cases: dict[str, Any] = {}
        self.plain, self.mean = small_s3gen(SIZES), small_s3gen(SIZES, meanflow=True)
        filled(self.plain)
        filled(self.mean)

    def tokenizer(self, waves: dict[str, torch.Tensor]) -> None:
        """Hidden states, values before rounding and codes; a batch; more than 30 s."""
        model = self.plain.tokenizer
        for key in ("a16", "b16", "d16"):
            mel = model.log_mel_spectrogram(waves[key][None])
            hidden, _ = model.encoder(mel, torch.tensor([mel.shape[-1]]))
            down = model.quantizer._codebook.project_down(hidden)
            self.outputs[f"tokenizer.{key}.hidden"] = hidden[0]
            self.outputs[f"tokenizer.{key}.pre_round"] = torch.tanh(down)[0] * 0.9990000128746033
            self.outputs[f"tokenizer.{key}.codes"] = model.forward([waves[key]])[0][0].long()
        codes, lengths = model.forward([waves["a16"], waves["b16"], waves["d16"]])
        self.outputs["tokenizer.batch_abd.codes"] = codes.long()
        self.outputs["tokenizer.batch_abd.lengths"] = lengths.long()
        self.outputs["tokenizer.a16_max8.codes"] = model.forward([waves["a16"]], max_len=8)[0][0].long()
        frames = 3300
        mel = noise("long_mel.1", 1, 128, frames) * 0.4 + 0.2
        self.outputs["tokenizer.long.codes"] = model.quantize(mel, torch.tensor([frames]))[0][0].long()
        self.cases["tokenizer.long"] = {
            "mel": f"noise('long_mel.1', [1,128,{frames}])*0.4+0.2",
            "frames": frames,
        }
        values = torch.cat(
            [self.outputs[f"tokenizer.{key}.pre_round"].flatten() for key in ("a16", "b16", "d16")]
        )
        assert float((values.abs() - 0.5).abs().min()) > 1e-4, "a code could round either way"

    def speaker(self, waves: dict[str, torch.Tensor]) -> None:
        """x-vectors."""
        for key in ("a16", "b16"):
            self.outputs[f"speaker.{key}.embedding"] = self.plain.speaker_encoder.inference(waves[key][None])[
                0
            ]

    def flow(self) -> None:
        """Encoder, mu and mel: ordinary, four steps, a batch of two by its rows alone, mean flow."""
        cases = (
            ("f1", 12, [9], 10, False),
            ("f4", 6, [8, 5], 10, False),
            ("f6", 12, [9], 4, False),
            ("f7", 12, [9], 2, True),
        )
        for name, prompt, tokens, steps, meanflow in cases:
            given = {
                "prompt_token": self.codes(f"{name}.prompt", 1, prompt),
                "prompt_feat": noise(f"{name}.prompt_feat", 1, 2 * prompt, 80) - 4,
                "embedding": noise(f"{name}.embedding", 1, 192),
                "token": self.codes(f"{name}.token", len(tokens), max(tokens)),
                "token_len": torch.tensor(tokens),
            }
            self.inputs |= {f"flow.{name}.{key}": value for key, value in given.items()}
            self.cases[f"flow.{name}"] = {"steps": steps, "finalize": True, "meanflow": meanflow}
            z = noise(f"{name}.z", len(tokens), 80, 2 * (prompt + max(tokens)))
            rows = (
                [(None, slice(0, 1), tokens[0])]
                if len(tokens) == 1
                else [(row, slice(row, row + 1), count) for row, count in enumerate(tokens)]
            )
            for row, which, count in rows:
                found = self.flow_once(given, which, count, z, steps, meanflow)
                stem = f"flow.{name}" if row is None else f"flow.{name}.row{row}_alone"
                self.outputs |= {f"{stem}.{key}": found[key] for key in ("mu", "mel")}
                if row is None:
                    self.outputs[f"{stem}.encoder_out"] = found["encoder_out"]
                self.outputs[f"flow.{name}.spk"] = found["spk"]

    def flow_once(
        self,
        given: dict[str, torch.Tensor],
        which: slice,
        count: int,
        z: torch.Tensor,
        steps: int,
        meanflow: bool,
    ) -> dict[str, torch.Tensor]:
        """The original's flow for one row at its own length."""
        model = (self.mean if meanflow else self.plain).flow
        seen: dict[str, torch.Tensor] = {}
        hooks = [
            model.encoder.register_forward_hook(lambda m, i, o: seen.update(encoder_out=o[0])),
            model.encoder_proj.register_forward_hook(lambda m, i, o: seen.update(mu=o.transpose(1, 2))),
            model.spk_embed_affine_layer.register_forward_hook(lambda m, i, o: seen.update(spk=o)),
        ]
        prompt = given["prompt_token"].shape[1]
        own = z[which, :, : 2 * (prompt + count)]
        with drawn(own.clone()):
            mel, _ = model.inference(
                token=given["token"][which, :count],
                token_len=torch.tensor([count]),
                prompt_token=given["prompt_token"],
                prompt_token_len=torch.tensor([prompt]),
                prompt_feat=given["prompt_feat"],
                prompt_feat_len=None,
                embedding=given["embedding"],
                finalize=True,
                n_timesteps=steps,
                noised_mels=own[..., 2 * prompt :].clone() if meanflow else None,
                meanflow=meanflow,
            )
        for hook in hooks:
            hook.remove()
        return {**seen, "mel": mel}

    def codes(self, name: str, *shape: int) -> torch.Tensor:
        """Codes of a name."""
        return ((torch.from_numpy(recipe.uniform(name, shape, SEED)) + 1) * 3280).long()

    def estimator(self) -> None:
        """One call, with and without a second time, of two rows of which one is padded."""
        frames = 21
        mask = torch.ones(2, 1, frames)
        mask[1, :, 15:] = 0
        t, r = torch.tensor([0.31, 0.31]), torch.tensor([0.77, 0.77])
        self.inputs |= {"estimator.e1.mask": mask, "estimator.e1.t": t, "estimator.e1.r": r}
        x, mu, cond = (noise(f"e1.{part}", 2, 80, frames) for part in ("x", "mu", "cond"))
        given = {"x": x, "mask": mask, "mu": mu, "t": t, "spks": noise("e1.spks", 2, 80), "cond": cond}
        self.outputs["estimator.e1.dxdt"] = self.plain.flow.decoder.estimator(**given)
        self.outputs["estimator.e1.dxdt_meanflow"] = self.mean.flow.decoder.estimator(**given, r=r)

    def vocoder(self) -> None:
        """Pitch, source and waveform of two mels."""
        for name, items, frames, scale, shift in (("h1", 1, 14, 2.0, -1.0), ("h3", 2, 6, 2.0, -1.0)):
            names = f"{name}.0"
            mel = noise(f"{names}.mel", items, 80, frames) * scale + shift
            phase = torch.from_numpy(recipe.phase(f"{names}.phase", (items, 9, 1), SEED))
            with drawn(noise(f"{names}.noise", items, 9, 480 * frames), phase=phase):
                wav, source = self.plain.mel2wav.inference(speech_feat=mel, cache_source=torch.zeros(1, 1, 0))
            self.outputs |= {
                f"hift.{name}.f0": self.plain.mel2wav.f0_predictor(mel),
                f"hift.{name}.source": source,
                f"hift.{name}.wav": wav,
            }
            self.cases[f"hift.{name}"] = {
                "names": names, "batch": items, "frames": frames, "mel": f"noise('{names}.mel')*{scale}+{shift}",
                "cache": 0,
            }  # fmt: skip

    def whole(self, waves: dict[str, torch.Tensor]) -> None:
        """A voice of a recording, and speech with it; w2's recording ends off the grid, w3 is the mean flow."""
        references = {"w1": "a24", "w2": "b24"}
        for name, count, steps, meanflow in (("w1", 8, 10, False), ("w2", 5, 10, False), ("w3", 8, 2, True)):
            model, names = (self.mean if meanflow else self.plain), f"{name}.0"
            told = model.embed_ref(waves[references.get(name, "a24")], 24000)
            if name in references:
                kept = ("prompt_token", "prompt_feat", "embedding")
                self.outputs |= {f"whole.{name}.ref.{key}": told[key].clone() for key in kept}
                self.outputs[f"whole.{name}.ref.prompt_token"] = told["prompt_token"].long().clone()
            codes = self.codes(f"{name}.token", 1, count)
            self.inputs |= {f"whole.{name}.token": codes, f"whole.{name}.token_len": torch.tensor([count])}
            frames = 2 * (told["prompt_token"].shape[1] + count)
            z = noise(f"{names}.z", 1, 80, frames)
            out = frames - told["prompt_feat"].shape[1]
            with drawn(z.clone()):
                mel = model.flow.inference(
                    token=codes,
                    token_len=torch.tensor([count]),
                    finalize=True,
                    n_timesteps=steps,
                    meanflow=meanflow,
                    noised_mels=z[..., -out:].clone() if meanflow else None,
                    **told,
                )[0]
            phase = torch.from_numpy(recipe.phase(f"{names}.phase", (1, 9, 1), SEED))
            with drawn(noise(f"{names}.noise", 1, 9, 480 * out), phase=phase):
                wav, _ = model.mel2wav.inference(speech_feat=mel, cache_source=torch.zeros(1, 1, 0))
            wav[:, :960] *= model.trim_fade
            self.outputs |= {f"whole.{name}.f0": model.mel2wav.f0_predictor(mel), f"whole.{name}.wav": wav}
            self.cases[f"whole.{name}"] = {"names": names, "steps": steps, "meanflow": meanflow}


def front_ends(model: Any, waves: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Mels, filter banks and resampled waves."""
    import torchaudio
    from torchaudio.compliance import kaldi

    out = {f"mel24.{key}": model.mel_extractor(waves[key][None])[0] for key in ("a24", "b24")}
    out |= {f"s3_log_mel.{key}": model.tokenizer.log_mel_spectrogram(waves[key]) for key in ("a16", "d16")}
    out["fbank.a16"] = kaldi.fbank(waves["a16"][None], num_mel_bins=80)
    out["resample_24_16.a24"] = torchaudio.transforms.Resample(24000, 16000)(waves["a24"][None])[0]
    return out


def main() -> None:
    """Writes the bundle."""
    torch.set_num_threads(1)
    waves = {key: wave(key) for key in WAVES}
    golden = Golden()
    with torch.inference_mode():
        golden.tokenizer(waves)
        golden.speaker(waves)
        golden.flow()
        golden.estimator()
        golden.vocoder()
        golden.whole(waves)
        fronts = front_ends(golden.plain, waves)
    (FOLDER / "front_ends").mkdir(parents=True, exist_ok=True)
    (FOLDER / "tiny").mkdir(exist_ok=True)
    for path, tensors in (
        ("front_ends/inputs", {f"wav.{key}": value for key, value in waves.items()}),
        ("front_ends/outputs", fronts),
        ("tiny/inputs", golden.inputs),
        ("tiny/outputs", golden.outputs),
    ):
        save_file(
            {name: t.clone().contiguous() for name, t in tensors.items()}, FOLDER / f"{path}.safetensors"
        )
    config = {"seed": SEED, "tiny": SIZES, "tiny_cases": golden.cases}
    (FOLDER / "config.json").write_text(json.dumps(config, indent=1) + "\n")


if __name__ == "__main__":
    main()
