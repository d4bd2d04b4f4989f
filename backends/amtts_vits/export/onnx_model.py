"""The generator as one ONNX file, as piper and sherpa-onnx run VITS; noise is drawn inside, so 0 scales are exact.

Needs the packages onnx (to write the metadata) and onnxruntime (to run what was written).
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.errors import AmttsError, CheckpointError
from amtts_vits.duration import sampled_log_durations
from amtts_vits.export.hugging_face import LARGEST_DIFFERENCE, check_utterance
from amtts_vits.network import separate_copy
from amtts_vits.weights import fold_norm

OPSET = 17
INPUTS = ("x", "x_length", "noise_scale", "length_scale", "noise_scale_w")


class Exported(nn.Module):
    """Ids to waveform without control flow.

    Args:
        model: a `VitsModel` whose weight norm is folded.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        x: Tensor,
        x_length: Tensor,
        noise_scale: Tensor,
        length_scale: Tensor,
        noise_scale_w: Tensor,
        sid: Tensor | None = None,
    ) -> Tensor:
        """(N, L) ids, (N,) lengths, three (1,) scales and, with several speakers, (N,) indices -> (N, 1, T)."""
        model = self.model
        speaker = None if sid is None else model.embed_speaker(sid)[..., None]
        mask = (torch.arange(x.shape[1])[None] < x_length[:, None]).float()
        text = model.text_encoder(
            input_ids=x, padding_mask=mask[..., None], attention_mask=None, return_dict=True
        )
        hidden, mask = text.last_hidden_state.transpose(1, 2), mask[:, None]
        noise = torch.randn_like(torch.cat([mask, mask], dim=1)) * noise_scale_w
        log_duration = sampled_log_durations(model.duration_predictor, hidden, mask, noise, speaker)
        log_duration = (
            log_duration + 0 * noise_scale_w
        )  # an input that nothing uses would vanish from the file
        ends = (torch.exp(log_duration) * mask * length_scale).ceil()[:, 0].cumsum(1)  # (N, L)
        frames = ends[:, -1].clamp(min=1).long()
        places = torch.arange(frames.max())[None, :, None]  # type: ignore[call-overload]  # stays a tensor when traced
        owner = (ends[:, None] <= places).long().sum(2).clamp(max=x.shape[1] - 1)[..., None]  # (N, frames, 1)
        mean = text.prior_means.gather(1, owner.expand(-1, -1, text.prior_means.shape[2]))
        log_std = text.prior_log_variances.gather(1, owner.expand(-1, -1, text.prior_means.shape[2]))
        heard = (places[..., 0] < frames[:, None]).float()[:, None]
        z = (mean + torch.randn_like(mean) * torch.exp(log_std) * noise_scale).transpose(1, 2)
        z = model.flow(z, heard, speaker, reverse=True) * heard
        waveform: Tensor = model.decoder(z, speaker)
        return waveform


def require(*packages: str) -> None:
    """Refuses, with the command that mends it, where a package is missing."""
    missing = [name for name in packages if importlib.util.find_spec(name.replace("-", "_")) is None]
    if missing:
        raise AmttsError(
            f"this export needs the package{'s' * (len(missing) > 1)} {' and '.join(missing)}",
            remedy=f"pip install {' '.join(missing)}, or install amtts[export]",
        )


def write_onnx(model: Any, tokenizer: TextTokenizer, folder: Path, speakers: Sequence[str]) -> None:
    """Writes `model.onnx`; inputs as in `INPUTS`, and `sid` where there are several speakers."""
    write_model(
        model, folder / "model.onnx", names=INPUTS, metadata={"sample_rate": model.config.sampling_rate}
    )


def write_model(
    model: Any, file: Path, *, names: Sequence[str], metadata: Mapping[str, object], wrap: Any = Exported
) -> None:
    """Writes the network with metadata and compares it with torch without noise.

    Raises:
        AmttsError: a package is missing or the file cannot be written.
        CheckpointError: the file speaks differently.
    """
    require("onnx", "onnxruntime")
    import onnx  # type: ignore[import-not-found,unused-ignore]

    plain = separate_copy(model).cpu()
    fold_norm(plain)
    network, names = wrap(plain), list(names)
    inputs = example_inputs(plain, scales_as_one=len(names) == 3)
    if plain.config.num_speakers > 1:
        names, inputs = [*names, "sid"], (*inputs, torch.zeros(1, dtype=torch.long))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracer's, about shapes that the check below covers
            torch.onnx.export(
                network,
                inputs,
                str(file),
                dynamo=False,
                opset_version=OPSET,
                input_names=names,
                output_names=["y"],
                dynamic_axes={names[0]: {0: "N", 1: "L"}, names[1]: {0: "N"}, "y": {0: "N", 2: "T"}},
            )
        written = onnx.load(str(file))
        for key, value in metadata.items():
            written.metadata_props.add(key=key, value=str(value))
        onnx.save(written, str(file))
    except OSError as error:
        raise AmttsError(f"{file} cannot be written: {error.strerror or error}") from None
    _check(network, file, names, inputs)


def example_inputs(plain: Any, *, scales_as_one: bool) -> tuple[Tensor, ...]:
    """Ids, length, no noise, and a pace that brings an untrained network's durations away from whole numbers."""
    tokens = torch.tensor([check_utterance(plain).tokens])
    scales = (torch.zeros(1), torch.full((1,), 1.07), torch.zeros(1))
    return (tokens, torch.tensor([tokens.shape[1]]), *((torch.cat(scales),) if scales_as_one else scales))


@torch.inference_mode()
def _check(network: nn.Module, file: Path, names: Sequence[str], inputs: Sequence[Tensor]) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    theirs = session.run(None, {name: t.numpy() for name, t in zip(names, inputs, strict=True)})[0]
    mine = network(*inputs).numpy()
    far = float(abs(theirs - mine).max()) if theirs.shape == mine.shape else float("inf")
    if not far <= LARGEST_DIFFERENCE:
        raise CheckpointError(f"{file} was written, but speaks differently in onnxruntime (by {far:.1e})")
