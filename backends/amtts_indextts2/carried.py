"""What published speech tables give to a network that speaks in the codes of another codec.

Codes of different codecs mean different things, but where speech begins, that it ends and how time passes mean the
same: the row before the first code, the end and the positions are carried, the codes begin by lot at the size of the
published ones, so that the trunk meets rows as large as it is used to. R position rows, K codebooks of V entries, D
channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from amtts_indextts2.codes import DelayedCodes, SemanticCodes
from amtts_indextts2.config import SemanticHeadConfig

PUBLISHED_RATE = 50.0
"""Codes a second of the published network; a position row stands for 1 / 50 s."""
CODES = "speech."
EMBEDDING, POSITIONS, HEAD, BIAS = (
    CODES + name for name in ("embedding.weight", "positions.weight", "head.weight", "head.bias")
)


@dataclass(frozen=True)
class CarriedCodes:
    """Speech tables to begin with.

    Attributes:
        tensors: name in the network -> tensor.
        deviation: of the code rows that begin by lot, and that `codec_start`'s rows should have.
        told: what was carried and what begins fresh, to be read by people.
        by_lot: names of tensors of which more begins by lot than is carried.
    """

    tensors: dict[str, Tensor]
    deviation: float
    told: str
    by_lot: tuple[str, ...] = ()


def carried_codes(
    speech: SemanticCodes | DelayedCodes,
    published: dict[str, Tensor],
    head: SemanticHeadConfig,
    *,
    frame_rate: float,
) -> CarriedCodes:
    """The tables of `speech` with what published ones can give them.

    Args:
        speech: freshly initialised; what is not carried stays as it is.
        published: `speech.` tensors of the published network, D channels as here.
        head: of the published network.
        frame_rate: codes a second of the codec that is to be spoken in.
    """
    rows, heads, bias = published[EMBEDDING].float(), published[HEAD].float(), published[BIAS].float()
    books = speech.config.num_codebooks if isinstance(speech, DelayedCodes) else 1
    deviation = float(rows.std()) / books**0.5
    positions, known = resampled_rows(published[POSITIONS], len(speech.positions.weight), frame_rate)
    moved = (
        f" (from {PUBLISHED_RATE:g} to {frame_rate:g} codes a second)" if frame_rate != PUBLISHED_RATE else ""
    )
    told = f"{known} position rows{moved}"
    beyond = len(positions) - known
    lot = f"position rows after {known / frame_rate:.1f} s, " if beyond else ""
    if isinstance(speech, SemanticCodes) and speech.config == head:
        tensors = {EMBEDDING: published[EMBEDDING], HEAD: published[HEAD], BIAS: published[BIAS]}
        told = f"carried: all {head.num_codes} codes, which fit the published codec only, {told}"
        return CarriedCodes(
            {**tensors, POSITIONS: positions}, deviation, told + (f"; fresh: {lot[:-2]}" if lot else "")
        )
    own = {name: speech.get_parameter(name.removeprefix(CODES)).detach().clone() for name in (HEAD, BIAS)}
    table = torch.randn(speech.embedding.weight.shape) * deviation
    if isinstance(speech, SemanticCodes):
        entries = speech.config.num_codes - 2
        marks = ((speech.config.start, head.start), (speech.config.stop, head.stop))
        for ours, theirs in marks:
            table[ours], own[HEAD][ours], own[BIAS][ours] = rows[theirs], heads[theirs], bias[theirs]
        told = f"carried: the rows of start and stop, {told}"
    else:
        entries = speech.config.cardinality
        padding = entries + 1
        for book, part in enumerate(table.chunk(books)):
            part[padding] = rows[head.start] if book == 0 else 0
        own[HEAD][entries], own[BIAS][entries] = heads[head.stop], bias[head.stop]
        told = f"carried: the row before the first code, the end of speech, {told}"
    told += f"; fresh: {lot}the rows of {books} x {entries} codes at deviation {deviation:.3g}"
    by_lot = (EMBEDDING, HEAD, BIAS)
    return CarriedCodes({EMBEDDING: table, POSITIONS: positions, **own}, deviation, told, by_lot)


def resampled_rows(rows: Tensor, count: int, frame_rate: float) -> tuple[Tensor, int]:
    """Position rows (count, D) that stand at the times of published ones (R, D), and how many of them do.

    Row s of a codec of `frame_rate` codes a second is spoken at the time of published row s * 50 / frame_rate; between
    two rows it lies on the line between them. What lies beyond the table's end begins by lot, as large as the others.
    """
    at = torch.arange(count, dtype=torch.float64) * (PUBLISHED_RATE / frame_rate)
    last = len(rows) - 1
    known = int((at <= last + 1e-6).sum())
    below = at.floor().clamp(max=last).long()
    above = (below + 1).clamp(max=last)
    share = (at - below).clamp(0, 1)[:, None].to(torch.float32)
    table = torch.lerp(rows[below].float(), rows[above].float(), share)
    if known < count:
        table[known:] = torch.randn(count - known, rows.shape[1]) * float(rows.float().std())
    return table, known
