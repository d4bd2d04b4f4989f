"""Holds the audio path against stored numbers of the published code: `amtts validate-e2e --reference`.

A bundle is a folder with config.json (seed, sizes, cases), `front_ends/`, `tiny/` and `full/` (published sizes). Noise,
phases and, where no file holds them, weights follow from the seed and their names, see `recipe`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amtts_chatterbox.front_ends import s3gen_mel_24k
from amtts_chatterbox.s3 import recipe
from amtts_chatterbox.s3.front_ends import kaldi_fbank, kaldi_filters, long_log_mel, sinc_resample
from amtts_chatterbox.s3.names import FILTERS, MIXER, WINDOW
from amtts_chatterbox.s3.reference_voice import ReferenceVoice, embed_reference
from amtts_chatterbox.s3.speaker_encoder import x_vectors
from amtts_chatterbox.s3.speaking import S3Speech, faded
from amtts_chatterbox.s3.tokenizer import tokenize
from amtts_chatterbox.s3.vocoder import HARMONICS, HOP
from amtts_chatterbox.s3.weights import S3Network, S3Sizes, network_of, published_shapes, read_s3gen
from amtts_core.contract.reference_check import ReferenceCheck, read_object, read_tensors
from amtts_core.errors import AmttsError

RATES = {"8": 8000, "11": 11025, "16": 16000, "22": 22050, "24": 24000, "32": 32000, "44": 44100, "48": 48000}
REFERENCES = {"w1": "a24", "w2": "b24"}
"""Which recording is the voice of which case; the other cases have the first one's."""
TOLERANCES: dict[str, dict[str, float]] = {
    "front_ends": {
        "filters.kaldi": 5e-5,
        "resample": 5e-6,
        "mel24": 2e-4,
        "s3_log_mel": 2e-4,
        "fbank": 5e-3,
        "fbank_centred": 5e-3,
    },
    "tokenizer": {"hidden": 1e-4, "pre_round": 1e-4, "codes": 0.0},
    "speaker": {"embedding": 1e-5},
    "flow": {"spk": 2e-6, "encoder_out": 3e-5, "mu": 3e-5, "mel": 5e-5},
    "estimator": {"dxdt": 5e-5},
    "hift": {"f0": 5e-4, "source": 2e-4, "wav": 1e-5, "wav from the mel": 2e-3},
    "whole": {"prompt_token": 0.0, "prompt_feat": 2e-4, "embedding": 1e-5, "f0": 1e-3, "wav": 2e-3},
}
LOUD = {"f0": 3e-3, "source": 1e-3, "wav": 3e-4, "wav from the mel": 3e-2}
"""Of a case in which the magnitudes reach their limit."""
LOUD_FACTOR = 8.0
"""Of the mel of such a case."""


def is_s3_bundle(folder: Path) -> bool:
    """True where the folder holds stored numbers of the audio path."""
    return (folder / "front_ends").is_dir() or (folder / "tiny" / "s3gen.safetensors").is_file()


def reference_checks(folder: Path) -> list[ReferenceCheck]:
    """Compares with everything that the bundle holds.

    Raises:
        AmttsError: the bundle cannot be read; one line.
    """
    try:
        return list(_all_checks(folder))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise AmttsError(
            f"reference bundle {folder}: it does not fit together ({type(error).__name__}: {str(error)[:120]})"
        ) from None


def _all_checks(folder: Path) -> Iterator[ReferenceCheck]:
    config = read_object(folder / "config.json")
    waves = {
        name.removeprefix("wav."): tensor
        for name, tensor in read_tensors(folder / "front_ends" / "inputs.safetensors").items()
    }
    yield from _front_ends(waves, read_tensors(folder / "front_ends" / "outputs.safetensors"))
    for size in ("tiny", "full"):
        if (folder / size / "outputs.safetensors").is_file():
            with torch.inference_mode():
                yield from Cases.read(folder, size, config, waves).checks()


def _front_ends(waves: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Iterator[ReferenceCheck]:
    allowed = TOLERANCES["front_ends"]
    for name, stored in outputs.items():
        kind, _, key = name.partition(".")
        resampled = re.fullmatch(r"resample_(\d+)_(\d+)", kind)
        if name == "filters.kaldi":
            found, kind = kaldi_filters()[:, : stored.shape[1]], name
        elif resampled:
            found = sinc_resample(waves[key][None], RATES[resampled[1]], RATES[resampled[2]])[0]
            kind = "resample"
        elif kind == "mel24":
            found = s3gen_mel_24k(waves[key][None])[0]
        elif kind == "s3_log_mel":
            found = long_log_mel(waves[key])
        elif kind in ("fbank", "fbank_centred"):
            found = kaldi_fbank(waves[key])
            found = found - found.mean(0) if kind == "fbank_centred" else found
        else:
            continue
        yield _compared(name, found, stored, allowed[kind])


@dataclass(frozen=True)
class Cases:
    """One size of network with its stored cases.

    Attributes:
        size: "tiny" or "full".
        network: with the bundle's weights, those of the mean flow included.
        seed: of noise and phases.
        settings: the cases of config.json.
        inputs, outputs, waves: tensors by name.
    """

    size: str
    network: S3Network
    seed: int
    settings: Mapping[str, Any]
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    waves: Mapping[str, Tensor]

    @classmethod
    def read(cls, folder: Path, size: str, config: Mapping[str, Any], waves: Mapping[str, Tensor]) -> Cases:
        """The cases of one size.

        Raises:
            AmttsError: a file is missing or damaged.
        """
        seed, heads = int(config["seed"]), int(config[size]["estimator"]["num_heads"])
        file = folder / size / "s3gen.safetensors"
        if file.is_file():
            published = read_s3gen(file) | read_tensors(folder / size / "meanflow_extra.safetensors")
        else:
            shapes = published_shapes(_sizes(config[size]))
            published = {
                name: torch.from_numpy(recipe.weight(name, tuple(shape), seed))
                for name, shape in shapes.items()
                if name not in (FILTERS, WINDOW)
            }
        assert MIXER in published, "a bundle holds the weights of the mean flow as well"
        network = network_of(published, source=f"reference bundle {folder}", stated={"heads": heads})
        return cls(
            size=size,
            network=network,
            seed=seed,
            settings=config[f"{size}_cases"],
            inputs=read_tensors(folder / size / "inputs.safetensors"),
            outputs=read_tensors(folder / size / "outputs.safetensors"),
            waves=waves,
        )

    def checks(self) -> Iterator[ReferenceCheck]:
        """One for each stored number."""
        yield from self._tokenizer()
        yield from self._speaker()
        yield from self._flow()
        yield from self._estimator()
        yield from self._vocoder()
        yield from self._whole()

    def _noise(self, name: str, *shape: int) -> Tensor:
        return torch.from_numpy(recipe.noise(name, shape, self.seed))

    def _phase(self, name: str, items: int) -> Tensor:
        return torch.from_numpy(recipe.phase(name, (items, HARMONICS, 1), self.seed))[..., 0]

    def _compared(
        self, name: str, found: Tensor, tolerance: float, *, part: slice | None = None
    ) -> ReferenceCheck:
        stored = self.outputs[name]
        return _compared(f"{self.size} {name}", found, stored if part is None else stored[:, part], tolerance)

    def _tokenizer(self) -> Iterator[ReferenceCheck]:
        allowed, tokenizer = TOLERANCES["tokenizer"], self.network.tokenizer
        for name in [name for name in self.outputs if name.startswith("tokenizer.")]:
            key, _, kind = name.removeprefix("tokenizer.").rpartition(".")
            if key in self.waves:
                mel = long_log_mel(self.waves[key])[None]
                eps = re.fullmatch(r"hidden_eps(.+)", kind)
                if eps:
                    found, kind = self._other_eps(mel, float(eps[1])), "hidden"
                else:
                    hidden = tokenizer(mel)[0]
                    made = {"hidden": lambda h: h, "pre_round": tokenizer.digits, "codes": tokenizer.codes}
                    found = made[kind](hidden)[0]
                yield self._compared(name, found, allowed[kind])
            elif limited := re.fullmatch(r"(\w+)_max(\d+)", key):
                mel = long_log_mel(self.waves[limited[1]])[:, : 4 * int(limited[2])]
                yield self._compared(name, tokenize(tokenizer, [mel])[0], 0.0)
            elif (batch := re.fullmatch(r"batch_(\w+)", key)) and kind == "codes":
                yield from self._batch(name, [self.waves[f"{letter}16"] for letter in batch[1]])
            elif key == "long":
                yield from self._long(name)

    def _other_eps(self, mel: Tensor, eps: float) -> Tensor:
        """The hidden states as releases of s3tokenizer with another epsilon have them."""
        norms: list[Any] = [block.attention_norm for block in self.network.tokenizer.blocks]
        before = [norm.eps for norm in norms]
        for norm in norms:
            norm.eps = eps
        hidden: Tensor = self.network.tokenizer(mel)[0][0]
        for norm, own in zip(norms, before, strict=True):
            norm.eps = own
        return hidden

    def _batch(self, name: str, waves: Sequence[Tensor]) -> Iterator[ReferenceCheck]:
        found = tokenize(self.network.tokenizer, [long_log_mel(wave) for wave in waves])
        lengths = self.outputs[name.removesuffix("codes") + "lengths"]
        yield self._compared(
            name.removesuffix("codes") + "lengths", torch.tensor([len(row) for row in found]), 0.0
        )
        stored = [row[:length] for row, length in zip(self.outputs[name], lengths.tolist(), strict=True)]
        yield _compared(f"{self.size} {name}", torch.cat(found), torch.cat(stored), 0.0)

    def _long(self, name: str) -> Iterator[ReferenceCheck]:
        settings = self.settings["tokenizer.long"]
        drawn = re.fullmatch(
            r"noise\('(.+)', ?\[1, ?128, ?(\d+)\]\)\*([\d.]+)\+([\d.-]+)", str(settings["mel"])
        )
        if drawn is None:
            raise AmttsError(f"tokenizer.long: {settings['mel']!r} is no recipe of a log-mel")
        mel = self._noise(drawn[1], 1, 128, int(drawn[2])) * float(drawn[3]) + float(drawn[4])
        yield self._compared(name, tokenize(self.network.tokenizer, [mel[0]])[0], 0.0)

    def _speaker(self) -> Iterator[ReferenceCheck]:
        for name in [name for name in self.outputs if name.startswith("speaker.")]:
            key = name.split(".")[1]
            if key in self.waves:
                found = x_vectors(self.network.speaker_encoder, [self.waves[key]])[0]
                yield self._compared(name, found, TOLERANCES["speaker"]["embedding"])

    def _flow(self) -> Iterator[ReferenceCheck]:
        allowed, flow = TOLERANCES["flow"], self.network.flow
        for name in [name for name in self.settings if name.startswith("flow.")]:
            case = self.settings[name]
            given = {
                part: self.inputs[f"{name}.{part}"]
                for part in ("token", "token_len", "prompt_token", "prompt_feat", "embedding")
            }
            conditions = flow.conditions(
                given["token"],
                given["token_len"],
                given["prompt_token"],
                given["prompt_feat"],
                given["embedding"],
                more_follows=not case["finalize"],
            )
            items, frames, _ = conditions.mu.shape
            noise = self._noise(f"{name.removeprefix('flow.')}.z", items, 80, frames).transpose(1, 2)
            solved = flow.solve(noise, conditions, steps=int(case["steps"]), mean_flow=bool(case["meanflow"]))
            mu, prompt = conditions.mu.transpose(1, 2), given["prompt_feat"].shape[1]
            mel = solved[:, prompt:].transpose(1, 2)
            yield self._compared(f"{name}.spk", conditions.speaker[:1], allowed["spk"])
            if items == 1:
                if f"{name}.encoder_out" in self.outputs:
                    part = slice(None, conditions.encoded.shape[1]) if not case["finalize"] else None
                    yield self._compared(
                        f"{name}.encoder_out", conditions.encoded, allowed["encoder_out"], part=part
                    )
                yield self._compared(f"{name}.mu", mu, allowed["mu"])
                yield self._compared(f"{name}.mel", mel, allowed["mel"])
            for row in range(items if items > 1 else 0):
                length = 2 * int(given["token_len"][row])
                whole = 2 * given["prompt_token"].shape[1] + length
                alone = f"{name}.row{row}_alone"
                yield self._compared(f"{alone}.mu", mu[row : row + 1, :, :whole], allowed["mu"])
                yield self._compared(f"{alone}.mel", mel[row : row + 1, :, :length], allowed["mel"])

    def _estimator(self) -> Iterator[ReferenceCheck]:
        estimator, allowed = self.network.flow.estimator, TOLERANCES["estimator"]["dxdt"]
        valid = self.inputs["estimator.e1.mask"][:, 0].bool()
        items, frames = valid.shape
        parts = [self._noise(f"e1.{part}", items, 80, frames).transpose(1, 2) for part in ("x", "mu", "cond")]
        speaker = self._noise("e1.spks", items, 80)[:, None].expand(-1, frames, -1)
        inputs = torch.cat([parts[0], parts[1], speaker, parts[2]], dim=2)
        for name, until in (("dxdt", None), ("dxdt_meanflow", self.inputs["estimator.e1.r"])):
            time = estimator.embed_time(self.inputs["estimator.e1.t"], until)
            found = estimator(inputs, time, valid).transpose(1, 2)
            yield self._compared(f"estimator.e1.{name}", found, allowed)

    def _vocoder(self) -> Iterator[ReferenceCheck]:
        vocoder = self.network.vocoder
        for name in [name for name in self.settings if name.startswith("hift.")]:
            case = self.settings[name]
            key, items, frames = case["names"], int(case["batch"]), int(case["frames"])
            scale, shift = (float(part) for part in str(case["mel"]).partition("*")[2].split("+", 1))
            allowed = LOUD if scale >= LOUD_FACTOR else TOLERANCES["hift"]
            mel = self._noise(f"{key}.mel", items, 80, frames) * scale + shift
            draws = (
                self._phase(f"{key}.phase", items),
                self._noise(f"{key}.noise", items, HARMONICS, HOP * frames),
            )

            def sourced(pitch: Tensor, case: Any = case, key: str = key, draws: Any = draws) -> Tensor:
                source, cached = vocoder.source(pitch, *draws), int(case["cache"])
                if cached:
                    source[:, :cached] = self._noise(f"{key}.cache", len(pitch), 1, cached)[:, 0] * 0.1
                return source

            pitch = vocoder.pitch(mel)
            stored = self.outputs[f"{name}.source"][:, 0]
            yield self._compared(f"{name}.f0", pitch, allowed["f0"])
            from_pitch = sourced(self.outputs[f"{name}.f0"])[:, None]
            yield self._compared(f"{name}.source", from_pitch, allowed["source"])
            yield self._compared(f"{name}.wav", S3Speech(self.network).decode(mel, stored), allowed["wav"])
            whole = vocoder.decode(mel, sourced(pitch))
            mel_check = self._compared(f"{name}.wav", whole, allowed["wav from the mel"])
            yield ReferenceCheck(
                f"{mel_check.name} from the mel", mel_check.max_abs_diff, mel_check.tolerance
            )

    def _whole(self) -> Iterator[ReferenceCheck]:
        allowed, voices = TOLERANCES["whole"], dict[str, ReferenceVoice]()
        for key, wave in REFERENCES.items():
            if f"whole.{key}.ref.prompt_token" not in self.outputs:
                continue
            voice = voices[key] = embed_reference(self.network, self.waves[wave])
            for part, found in (
                ("prompt_token", voice.codes),
                ("prompt_feat", voice.mel),
                ("embedding", voice.embedding),
            ):
                yield self._compared(f"whole.{key}.ref.{part}", found[None], allowed[part])
        for name in [name for name in self.settings if name.startswith("whole.")]:
            yield from self._spoken(name, voices.get(name.removeprefix("whole."), voices["w1"]))

    def _spoken(self, name: str, voice: ReferenceVoice) -> Iterator[ReferenceCheck]:
        case, allowed = self.settings[name], TOLERANCES["whole"]
        codes, lengths, key = self.inputs[f"{name}.token"], self.inputs[f"{name}.token_len"], case["names"]
        conditions = self.network.flow.conditions(
            codes, lengths, voice.codes[None], voice.mel[None], voice.embedding[None]
        )
        items, frames, _ = conditions.mu.shape
        noise = self._noise(f"{key}.z", items, 80, frames).transpose(1, 2)
        solved = self.network.flow.solve(
            noise, conditions, steps=int(case["steps"]), mean_flow=bool(case["meanflow"])
        )
        mel = solved[:, len(voice.mel) :].transpose(1, 2)
        phase = self._phase(f"{key}.phase", items)
        drawn = self._noise(f"{key}.noise", items, HARMONICS, HOP * mel.shape[2])
        for row, length in enumerate(lengths.tolist()):
            end = min(2 * length, mel.shape[2])
            part, which = mel[row : row + 1, :, :end], slice(row, row + 1)
            pitch = self.network.vocoder.pitch(part)
            source = self.network.vocoder.source(pitch, phase[which], drawn[which, :, : HOP * end])
            wave = faded(self.network.vocoder.decode(part, source))
            if items == 1:
                yield self._compared(f"{name}.f0", pitch, allowed["f0"])
                yield self._compared(f"{name}.wav", wave, allowed["wav"])
            else:
                yield self._compared(f"{name}.row{row}_alone.wav", wave, allowed["wav"])


def _sizes(settings: Mapping[str, Any]) -> S3Sizes:
    """Sizes from the constructors' arguments of the original."""
    tokenizer, speaker, encoder, estimator = (
        settings[part] for part in ("tokenizer", "speaker", "encoder", "estimator")
    )
    return S3Sizes(
        tokenizer_width=tokenizer["n_audio_state"],
        tokenizer_layers=tokenizer["n_audio_layer"],
        speaker_width=speaker["init_channels"],
        speaker_growth=speaker["growth_rate"],
        speaker_bottleneck=speaker["bn_size"] * speaker["growth_rate"],
        encoder_width=encoder["output_size"],
        encoder_heads=encoder["attention_heads"],
        encoder_inner=encoder["linear_units"],
        encoder_layers=encoder["num_blocks"],
        channels=estimator["channels"][0],
        heads=estimator["num_heads"],
        head_size=estimator["attention_head_dim"],
        blocks=estimator["n_blocks"],
        middle=estimator["num_mid_blocks"],
        mean_flow=True,
        vocoder_channels=settings["hift"]["base_channels"],
        pitch_channels=settings["hift"]["f0_channels"],
    )


def _compared(name: str, found: Tensor, stored: Tensor, tolerance: float) -> ReferenceCheck:
    if found.shape != stored.shape:
        return ReferenceCheck(
            f"{name} {list(found.shape)}, not {list(stored.shape)}", float("inf"), tolerance
        )
    return ReferenceCheck(name, float((found.double() - stored.double()).abs().max()), tolerance)
