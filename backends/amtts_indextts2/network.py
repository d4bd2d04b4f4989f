"""The whole network: voice prefix, text, codes, trunk, heads. Knows ids and tensors; no text, audio or files.

A sequence is [prefix P][text: start, tokens, stop][codes: S input rows], packed without a gap; only the end is
padded. So a sample's result does not depend on its batch, and causal attention needs no mask.
B items, N text tokens, S code rows, P = latents + 2 prefix rows, D channels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_core.contract.learner import AllReduce
from amtts_core.nn.forward_sum_loss import sine_rows
from amtts_indextts2.codes import DelayedCodes, SemanticCodes
from amtts_indextts2.config import EMOTION_SIZE, ConformerConfig, IndexTTS2Config, SemanticHeadConfig
from amtts_indextts2.conformer import Conformer
from amtts_indextts2.perceiver import Perceiver
from amtts_indextts2.trunk import Trunk
from amtts_indextts2.voices import CONDITIONERS, VoiceTable


@dataclass(frozen=True)
class TextIds:
    """The text side's sizes and marks.

    Attributes:
        vocab_size: text tokens; the tables have one row more, as published, which no token uses.
        start, stop: ids around every text.
    """

    vocab_size: int
    start: int = 0
    stop: int = 1


class VoiceEncoder(nn.Module):
    """Conditioning frames to latents."""

    def __init__(self, config: ConformerConfig, dim: int, num_latents: int) -> None:
        super().__init__()
        self.conformer = Conformer(config)
        self.perceiver = Perceiver(
            dim,
            config.output_size,
            num_latents=num_latents,
            heads=config.attention_heads,
            mult=config.perceiver_mult,
        )

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """features (B, T, 1024), lengths (B,) frames -> (B, latents, dim)."""
        return self.perceiver(*self.conformer(features, lengths))


class EmotionEncoder(VoiceEncoder):
    """Conditioning frames to one vector of the trunk's size."""

    def __init__(self, config: ConformerConfig, dim: int) -> None:
        super().__init__(config, EMOTION_SIZE, 1)
        self.project = nn.Linear(EMOTION_SIZE, dim)
        self.mix = nn.Linear(dim, dim)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """features (B, T, 1024), lengths (B,) frames -> (B, D)."""
        return self.mix(self.project(super().forward(features, lengths)[:, 0]))


class TextTables(nn.Module):
    """Embedding, positions and head of the text."""

    def __init__(self, rows: int, positions: int, dim: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(rows, dim)
        self.positions = nn.Embedding(positions, dim)
        self.head = nn.Linear(dim, rows)

    def rows(self, ids: Tensor) -> Tensor:
        """(B, N) ids from position 0 -> (B, N, D)."""
        return self.embedding(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))


class Pace(nn.Module):
    """How many code rows a text usually lasts: a line through what training saw, forgetting slowly."""

    sums: Tensor
    FORGET = 0.02

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("sums", torch.zeros(5))  # means of 1, n, n^2, f, n * f
        self._seen = torch.zeros(6)

    def begin_step(self) -> None:
        """Forgets the batches of an unfinished step."""
        self._seen = torch.zeros(6, device=self.sums.device)  # of each batch its five means, and a one

    @torch.no_grad()
    def watch(self, tokens: Tensor, frames: Tensor) -> None:
        """A batch of this step: text tokens (B,) and code rows (B,)."""
        n, f = tokens.float(), frames.float()
        means = torch.stack([torch.ones_like(n), n, n * n, f, n * f]).mean(dim=1)
        self._seen += torch.cat([means, means.new_ones(1)]).to(self._seen)

    @torch.no_grad()
    def end_step(self, all_reduce: AllReduce) -> None:
        """Takes in the mean of the step's batches."""
        all_reduce.sum(self._seen)
        if bool(self._seen[5]):
            mean = self._seen[:5] / self._seen[5]
            self.sums.lerp_(mean, 1.0 if not bool(self.sums[0]) else self.FORGET)
        self.begin_step()

    def frames(self, tokens: int) -> float:
        """Code rows that `tokens` tokens should last; 0 before any training."""
        one, n, nn_, f, nf = self.sums.double().tolist()
        if not one:
            return 0.0
        spread = nn_ - n * n
        slope = (nf - n * f) / spread if spread > 0.5 else f / n
        slope = min(max(slope, 0.5 * f / n), 2 * f / n)  # few lengths tell little about a slope
        return max(1.0, f + slope * (tokens - n))


class IndexTTS2Gpt(nn.Module):
    """UnifiedVoice of IndexTTS2.

    Args:
        config: sizes.
        text: vocabulary size and marks.
        num_speakers: rows of the speaker table. With conformers 0 makes the network as published, and a number one
            that also remembers so many voices, the pace of their speech and its codec.
    """

    codec_hash: Tensor
    """sha256 of the codec's weights that its codes are of; only where it has speakers."""

    def __init__(self, config: IndexTTS2Config, text: TextIds, *, num_speakers: int = 0) -> None:
        super().__init__()
        self.config, self.text_ids = config, text
        dim = config.model_dim
        if config.conditioning == "conformers":
            self.speaker = VoiceEncoder(config.speaker, dim, config.num_latents)
            self.emotion = EmotionEncoder(config.emotion, dim)
            if num_speakers:
                self.voices = VoiceTable(num_speakers, config.num_latents, dim)
        else:
            self.speaker_table = nn.Embedding(max(1, num_speakers), config.num_latents * dim)
        if num_speakers or config.conditioning == "table":
            self.pace = Pace()
            self.register_buffer("codec_hash", torch.zeros(32, dtype=torch.uint8))  # zero: not known
        self.speed = nn.Embedding(2, dim)
        self.text = TextTables(text.vocab_size + 1, config.max_text_tokens + 2, dim)
        self.speech: SemanticCodes | DelayedCodes
        if isinstance(config.head, SemanticHeadConfig):
            self.speech = SemanticCodes(config.head, dim=dim, max_rows=config.max_mel_tokens)
        else:
            self.speech = DelayedCodes(config.head, dim=dim, max_rows=config.max_mel_tokens)
        self.trunk = Trunk(dim=dim, layers=config.layers, heads=config.heads, dropout=config.dropout)

    def initialize(self) -> None:
        """Normal 0.02 for tables, trunk and heads, so that losses start at chance; zero for the speed rows."""
        self.trunk.initialize()
        tables = [self.text.embedding, self.text.positions, self.speech.embedding, self.speech.positions]
        if self.config.conditioning == "table":
            tables.append(self.speaker_table)
        for table in tables:
            nn.init.normal_(table.weight, std=0.02)
        for head in (self.text.head, self.speech.head):
            nn.init.normal_(head.weight, std=0.02)
            nn.init.zeros_(head.bias)
        nn.init.zeros_(self.speed.weight)
        if self.config.pace_start:
            for table, rate in ((self.text.positions, self.config.pace_start), (self.speech.positions, 1.0)):
                with torch.no_grad():
                    table.weight.copy_(sine_rows(len(table.weight), table.embedding_dim, rate=rate))

    @property
    def as_released(self) -> bool:
        """Of the released make (conformers, single stream), and no training here has touched it."""
        trained = hasattr(self, "pace") and bool(self.pace.sums[0])
        released = self.config.conditioning == "conformers" and isinstance(self.speech, SemanticCodes)
        return released and not trained

    def latents_of(self, speakers: Tensor) -> Tensor:
        """Speakers (B,) -> (B, latents, D), emotion included."""
        if self.config.conditioning == "conformers":
            return self.voices(speakers)
        return self.speaker_table(speakers).unflatten(-1, (self.config.num_latents, -1))

    def conditioners(self) -> list[nn.Parameter]:
        """The parameters of the encoders that hear clips."""
        return [p for name, p in self.named_parameters() if name.startswith(CONDITIONERS)]

    def hear(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Frames of clips (B, T, 1024), lengths (B,) -> their latents (B, latents, D) and emotion (B, D)."""
        return self.speaker(frames, lengths), self.emotion(frames, lengths)

    def prefix(self, latents: Tensor, emotion: Tensor | None = None, wanted: Tensor | None = None) -> Tensor:
        """The voice's rows.

        Args:
            latents: (B, latents, D).
            emotion: (B, D), added to every latent; None adds nothing.
            wanted: (B,) code rows the speech should last, 0 where the length is free; None leaves all free.

        Returns:
            (B, latents + 2, D): latents, then two rows that tell half and all of the wanted length, or the speed
            rows 1 and 0 where the length is free.
        """
        if emotion is not None:
            latents = latents + emotion[:, None]
        free = self.speed.weight.flip(0).expand(len(latents), -1, -1)
        if wanted is None:
            return torch.cat([latents, free], dim=1)
        rows = torch.stack([wanted // 2, wanted], dim=1).clamp(max=self.speech.positions.num_embeddings - 1)
        told = torch.where((wanted > 0)[:, None, None], self.speech.positions(rows), free)
        return torch.cat([latents, told], dim=1)

    def marked_text(self, text: Tensor, lengths: Tensor) -> Tensor:
        """(B, N) ids -> (B, N + 2): start, tokens, and stop from each item's end on."""
        marked = functional.pad(text, (1, 1))
        marked[:, 0] = self.text_ids.start
        beyond = torch.arange(marked.shape[1], device=text.device) > lengths[:, None]
        return marked.masked_fill(beyond, self.text_ids.stop)

    def forward(
        self,
        prefix: Tensor,
        text: Tensor,
        text_lengths: Tensor,
        inputs: Tensor,
        input_lengths: Tensor,
        *,
        watch: Callable[[int, Tensor], None] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Training's pass: `hidden` and the heads.

        Returns:
            Text logits (B, N + 2, vocabulary) and code logits (B, S, codes) or (B, S, K, V + 1); what stands beyond
            `text_lengths + 2` and `input_lengths` means nothing.
        """
        text_hidden, speech_hidden = self.hidden(
            prefix, text, text_lengths, inputs, input_lengths, watch=watch
        )
        return self.text.head(text_hidden), self.speech.logits(speech_hidden)

    def hidden(
        self,
        prefix: Tensor,
        text: Tensor,
        text_lengths: Tensor,
        inputs: Tensor,
        input_lengths: Tensor,
        *,
        watch: Callable[[int, Tensor], None] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """What the heads see.

        Args:
            prefix: (B, P, D).
            text: (B, N) ids without marks, anything beyond the lengths.
            text_lengths: (B,).
            inputs: code rows, (B, S) or (B, S, K), anything valid beyond the lengths.
            input_lengths: (B,).
            watch: told the number and the input of every block, (B, L, D), rows moved together.

        Returns:
            (B, N + 2, D) of the text's rows and (B, S, D) of the code rows.
        """
        marked = self.marked_text(text, text_lengths)
        positions = torch.arange(inputs.shape[1], device=inputs.device)
        rows = torch.cat([prefix, self.text.rows(marked), self.speech.rows(inputs, positions)], dim=1)
        spans = (prefix.shape[1], marked.shape[1], inputs.shape[1])
        lengths = (torch.full_like(text_lengths, spans[0]), text_lengths + 2, input_lengths)
        parts = zip(spans, lengths, strict=True)
        valid = torch.cat(
            [torch.arange(n, device=rows.device) < length[:, None] for n, length in parts], dim=1
        )
        _, text_hidden, speech_hidden = self._packed(rows, valid, watch).split(spans, dim=1)
        return text_hidden, speech_hidden

    def _packed(self, rows: Tensor, valid: Tensor, watch: Callable[[int, Tensor], None] | None) -> Tensor:
        """Runs the trunk over each item's valid rows moved together; the result stands where the rows stood."""
        order = torch.argsort(~valid, dim=1, stable=True)  # valid rows first, in their order
        longest = int(valid.sum(dim=1).max())
        index = order[:, :longest, None].expand(-1, -1, rows.shape[2])
        hidden = self.trunk(rows.gather(1, index), watch=watch)
        return torch.zeros_like(rows, dtype=hidden.dtype).scatter(1, index, hidden)
