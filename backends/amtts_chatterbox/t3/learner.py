"""The training view of T3: one phase, loss of the speech tokens plus a little of the text tokens.

In training the text of some utterances is dropped (what the sampler's rows without text need), the prompt is a
stretch of another clip of the same speaker at its true length, and some utterances have none. In validation there is
no chance: all text, the speaker's remembered prompt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from amtts_chatterbox.t3.alignment import alignment_layer, attention_map, text_log_shares
from amtts_chatterbox.t3.config import T3Config
from amtts_chatterbox.t3.losses import stream_losses
from amtts_chatterbox.t3.network import T3
from amtts_core.contract.learner import AllReduce
from amtts_core.contract.types import Batch, PhaseLoss
from amtts_core.nn.forward_sum_loss import forward_sum_loss
from amtts_core.nn.soft_code_targets import noisy_codes

PHASE = "main"
_LEAST_PROMPT = 1 / 3
"""Of the longest prompt: 2 of 6 seconds."""


class TrainingPass(nn.Module):
    """A batch to two losses in one `forward`, heads included, so that it can be wrapped (DDP)."""

    shares: Tensor | None

    def __init__(self, network: T3, config: T3Config, shares: Tensor | None = None) -> None:
        super().__init__()
        self.network = network
        self._config = config
        self.register_buffer("shares", shares, persistent=False)

    def forward(
        self, batch: Batch, heard: Tensor, prompt: Tensor, prompt_lengths: Tensor, keep_text: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Mean loss per token of the text, of the speech, and of the alignment where it has a weight.

        `heard` (B, S) are the codes that go in, `batch["codes"]` those that are to come out.
        """
        text = batch["tokens"], batch["token_lengths"]
        speech = batch["codes"], batch["code_lengths"]
        starts = self._config.start_tokens
        layer, entering = alignment_layer(self._config.layers), list[Tensor]()

        def watch(number: int, hidden: Tensor) -> None:
            if number == layer:
                entering.append(hidden)

        hidden, packing = self.network(
            *text,
            heard,
            speech[1],
            batch["speaker_vectors"],
            torch.full_like(prompt_lengths, self._config.emotion, dtype=torch.float32),
            prompt,
            prompt_lengths,
            keep_text,
            start_tokens=starts,
            row_tokens=self._config.row_tokens,
            watch=watch if self._config.alignment_weight else None,
        )
        heads = self.network.text_head.weight, self.network.speech_head.weight
        found = stream_losses(
            hidden,
            packing,
            heads,
            text,
            speech,
            start_tokens=starts,
            chunk=self._config.loss_chunk,
            shares=self.shares if self.training else None,
        )
        if not entering:
            return found[0].mean, found[1].mean, None
        shares = text_log_shares(
            self.network, entering[0], packing, text[0].shape[1], speech[0].shape[1] - starts
        )
        kept = torch.ones_like(text[1]) if keep_text is None else keep_text
        aligned = forward_sum_loss(shares, (speech[1] - starts) * kept, text[1] * kept)
        return found[0].mean, found[1].mean, aligned


class T3Learner:
    """Loss = speech cross-entropy + `text_weight` x text cross-entropy, both in nats per token.

    With `alignment_weight` a third term makes one head walk through the text.

    Args:
        network: is trained in place.
        config: its settings.
        shares: (V, V) distribution that each speech token stands for as a target in training; None means itself.
    """

    phases = (PHASE,)

    def __init__(self, network: T3, config: T3Config, shares: Tensor | None = None) -> None:
        self._network, self._config = network, config
        self.modules: dict[str, nn.Module] = {"network": TrainingPass(network, config, shares)}

    def parameters(self, phase: str) -> list[nn.Parameter]:
        """All that are not frozen; there is one phase."""
        return [p for p in self._network.parameters() if p.requires_grad]

    def losses(self, batch: Batch) -> Iterator[PhaseLoss]:
        """Yields the one loss of a batch."""
        training = self._network.training
        keep = None
        if training:
            self._meet(batch)
            prompt, lengths = self._other_clips(batch)
            if self._config.text_dropout:
                keep = torch.rand(len(lengths)) >= self._config.text_dropout
                keep = keep.to(batch["tokens"].device)
        else:
            prompt, lengths = self._remembered(batch)
        heard = batch["codes"]
        if training and self._config.code_noise:
            heard = noisy_codes(heard, self._config.speech_codes, self._config.code_noise)
        text, speech, aligned = self.modules["network"](batch, heard, prompt, lengths, keep)
        total = speech + self._config.text_weight * text
        terms = {"speech": speech.detach(), "text": text.detach()}
        if aligned is not None:
            total = total + self._config.alignment_weight * aligned
            terms["alignment"] = aligned.detach()
        yield PhaseLoss(phase=PHASE, total=total, terms=terms)

    def figures(self, batch: Batch) -> dict[str, Tensor]:
        """Where the speech of the first utterance looks in its text, (text, speech), low rows first."""
        prompt, lengths = self._remembered(batch)
        heard = prompt[0, : int(lengths[0])].tolist()
        text = batch["tokens"][0, : int(batch["token_lengths"][0])]
        speech = batch["codes"][0, : int(batch["code_lengths"][0])]
        found = attention_map(self._network, text, speech, batch["speaker_vectors"][0], heard)
        return {"alignment": found.T}

    def _codes_of(self, batch: Batch, row: int) -> Tensor:
        """Codes between start and end."""
        return batch["codes"][row, self._config.start_tokens : int(batch["code_lengths"][row]) - 1]

    def begin_step(self) -> None:
        """No clip was met yet."""
        if self._network.voices is not None:
            self._network.voices.begin_step()

    def end_step(self, all_reduce: AllReduce) -> None:
        """The speakers' prompts are kept."""
        if self._network.voices is not None:
            self._network.voices.end_step(all_reduce)

    def _meet(self, batch: Batch) -> None:
        if self._network.voices is None:
            return
        marks = self._config.start_tokens + 1
        self._network.voices.watch_pace(batch["code_lengths"] - marks, batch["token_lengths"])
        for row, speaker in enumerate(batch["speakers"].tolist()):
            self._network.voices.meet(speaker, self._codes_of(batch, row), batch["speaker_vectors"][row])

    def _remembered(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The speakers' kept prompts (B, P) and their lengths (B,)."""
        voices = self._network.voices
        if voices is None:
            none = torch.zeros_like(batch["code_lengths"])
            return none[:, None], none
        return voices.prompts[batch["speakers"]], voices.prompt_lengths[batch["speakers"]]

    def _other_clips(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """For each utterance a stretch of another clip of its speaker in the batch; none where there is none."""
        speakers = batch["speakers"].tolist()
        longest = self._config.prompt_tokens
        prompt = torch.zeros(len(speakers), longest, dtype=torch.long, device=batch["codes"].device)
        lengths = [0] * len(speakers)
        for row, speaker in enumerate(speakers):
            others = [n for n, other in enumerate(speakers) if other == speaker and n != row]
            if not others or _chance() < self._config.voice_dropout:
                continue
            codes = self._codes_of(batch, others[_pick(len(others))])
            most = min(longest, len(codes))
            least = min(most, round(longest * _LEAST_PROMPT))
            lengths[row] = length = least + _pick(most - least + 1)
            begin = _pick(len(codes) - length + 1)
            prompt[row, :length] = codes[begin : begin + length]
        return prompt[:, : max(1, *lengths)], torch.tensor(lengths, device=prompt.device)


def _chance() -> float:
    return float(torch.rand(()))


def _pick(count: int) -> int:
    return int(torch.randint(count, ()))


def padded_ids(sequences: Sequence[Sequence[int]], fill: int) -> tuple[Tensor, Tensor]:
    """Lists of ids to (B, L) int64, padded at the end, and lengths (B,)."""
    longest = max(len(sequence) for sequence in sequences)
    rows = [[*sequence, *[fill] * (longest - len(sequence))] for sequence in sequences]
    return torch.tensor(rows, dtype=torch.long), torch.tensor([len(sequence) for sequence in sequences])
