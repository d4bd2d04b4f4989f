"""The generator as one ONNX file, as piper and sherpa-onnx run VITS; noise is drawn inside, so 0 scales are exact.

Needs the packages onnx (to write the metadata) and onnxruntime (to run what was written).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.synthesis.onnx_file import require, require_same, run_onnx
from amtts_core.synthesis.onnx_file import write_onnx as write_file
from amtts_vits.duration import sampled_log_durations
from amtts_vits.export.characters import character_table
from amtts_vits.export.check import ERROR, PACE, check_utterance
from amtts_vits.network import folded_copy

BLANK = "_"
INPUTS = ("x", "x_length", "noise_scale", "length_scale", "noise_scale_w")


class Exported(nn.Module):
    """Ids to waveform without control flow.

    Args:
        model: a `Generator` whose weight norm is folded.
        spelling: the symbols of characters 1, 2, ...; None where ids are those of the symbols, with blanks between.
    """

    spelling: Tensor | None

    def __init__(self, model: Any, spelling: Sequence[Sequence[int]] | None = None) -> None:
        super().__init__()
        self.model = model
        table = None
        if spelling is not None:
            table = torch.full((len(spelling) + 1, max(map(len, spelling))), -1)
            for row, symbols in enumerate(spelling, 1):
                table[row, : len(symbols)] = torch.tensor(list(symbols))
        self.register_buffer("spelling", table)

    def spelled(self, x: Tensor, x_length: Tensor) -> tuple[Tensor, Tensor]:
        """(1, N) ids of characters, blanks (0) anywhere -> (1, 2 M + 1) ids of their M symbols, blanks between."""
        if self.spelling is None:
            return x, x_length
        symbols = self.spelling[x[0]]
        inside = (torch.arange(x.shape[1])[:, None] < x_length) & (symbols >= 0)
        flat = symbols.masked_select(inside)
        pairs = torch.stack([torch.zeros_like(flat), flat], dim=1).reshape(-1)
        tokens = torch.cat([pairs, torch.zeros_like(x[0, :1])])[None]
        return tokens, torch.ones_like(tokens).sum(1)

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
        x, x_length = self.spelled(x, x_length)
        speaker = None if sid is None else model.embed_speaker(sid)[..., None]
        mask = (torch.arange(x.shape[1])[None] < x_length[:, None]).float()
        mask = mask[:, None]
        hidden, mean, log_std = model.text_encoder(x, mask, alone=True)
        noise = torch.randn_like(torch.cat([mask, mask], dim=1)) * noise_scale_w
        log_duration = sampled_log_durations(model.duration_predictor, hidden, mask, noise, speaker)
        log_duration = (
            log_duration + 0 * noise_scale_w
        )  # an input that nothing uses would vanish from the file
        ends = (torch.exp(log_duration) * mask * length_scale).ceil()[:, 0].cumsum(1)  # (N, L)
        frames = ends[:, -1].clamp(min=1).long()
        places = torch.arange(frames.max())[None, :, None]  # type: ignore[call-overload]  # stays a tensor when traced
        owner = (ends[:, None] <= places).long().sum(2).clamp(max=x.shape[1] - 1)[:, None]  # (N, 1, frames)
        mean = mean.gather(2, owner.expand(-1, mean.shape[1], -1))
        log_std = log_std.gather(2, owner.expand(-1, log_std.shape[1], -1))
        mask = (places[..., 0] < frames[:, None]).float()[:, None]
        z = mean + torch.randn_like(mean) * torch.exp(log_std) * noise_scale
        z = model.flow(z, mask, speaker, reverse=True) * mask
        waveform: Tensor = model.decoder(z, speaker)
        return waveform


def write_onnx(
    model: Any,
    tokenizer: TextTokenizer,
    folder: Path,
    speakers: Sequence[str],
    untrained: Collection[int] | None = None,
) -> None:
    """Writes `model.onnx` (inputs as in `INPUTS`, and `sid` with several speakers) and `tokens.txt` for its ids."""
    table = character_table(tokenizer, what="onnx", untrained=untrained)
    metadata = {"sample_rate": model.config.sampling_rate, "add_blank": 1, "blank_id": 0}
    write_model(model, folder / "model.onnx", names=INPUTS, metadata=metadata, table=table)
    write_tokens(table, folder / "tokens.txt")


def ids_of(table: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Character -> the id that an engine gives: the symbol's own, or a number where a letter has several symbols."""
    if all(len(symbols) == 1 for symbols in table.values()):
        return {sign: symbols[0] for sign, symbols in table.items()}
    return {sign: number for number, sign in enumerate(table, 1)}


def write_tokens(table: Mapping[str, Sequence[int]], file: Path) -> None:
    """A line a character: itself and its id, the blank's (0) first."""
    blank = BLANK if BLANK not in table else "\ue000"
    rows = sorted({**ids_of(table), blank: 0}.items(), key=lambda item: item[1])
    file.write_text("".join(f"{sign} {row}\n" for sign, row in rows), encoding="utf-8")


def write_model(
    model: Any,
    file: Path,
    *,
    names: Sequence[str],
    metadata: Mapping[str, object],
    table: Mapping[str, Sequence[int]],
    wrap: Any = Exported,
) -> Exported:
    """Writes the network with metadata and compares it with torch without noise.

    Args:
        model: the generator.
        file: to write.
        names: of the inputs.
        metadata: kept in the file.
        table: character -> its symbols; letters of several symbols are spelled inside the file.
        wrap: gives the network an engine's inputs.

    Returns:
        what was written.

    Raises:
        AmttsError: a package is missing or the file cannot be written.
        CheckpointError: the file speaks differently.
    """
    require("onnx", "onnxruntime")
    plain = folded_copy(model).cpu()
    single = all(len(symbols) == 1 for symbols in table.values())
    network, names = wrap(plain, None if single else list(table.values())), list(names)
    inputs = example_inputs(plain, scales_as_one=len(names) == 3, most=None if single else len(table))
    if plain.config.num_speakers > 1:
        names, inputs = [*names, "sid"], (*inputs, torch.zeros(1, dtype=torch.long))
    axes = {names[0]: {0: "N", 1: "L"}, names[1]: {0: "N"}, "y": {0: "N", 2: "T"}}
    write_file(network, inputs, file, names=names, axes=axes, metadata=metadata)
    _check(network, file, names, inputs)
    exported: Exported = network
    return exported


def example_inputs(plain: Any, *, scales_as_one: bool, most: int | None = None) -> tuple[Tensor, ...]:
    """Ids, length, no noise, and a pace that brings an untrained network's durations away from whole numbers."""
    tokens = torch.tensor([check_utterance(plain).tokens])
    if most is not None:
        tokens = torch.where(tokens > 0, tokens % most + 1, tokens).clamp(max=most)
    scales = (torch.zeros(1), torch.full((1,), PACE), torch.zeros(1))
    return (tokens, torch.tensor([tokens.shape[1]]), *((torch.cat(scales),) if scales_as_one else scales))


@torch.inference_mode()
def _check(network: nn.Module, file: Path, names: Sequence[str], inputs: Sequence[Tensor]) -> None:
    theirs = run_onnx(file, dict(zip(names, inputs, strict=True)))
    require_same(theirs, network(*inputs), what=str(file), who="onnxruntime", error=ERROR)
