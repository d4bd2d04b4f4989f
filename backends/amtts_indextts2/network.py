"""The whole network: voice prefix, text, codes, transformer, heads. Knows ids and tensors; no text, audio or files.

A sequence is [prefix P][text from start to stop][codes: S steps], packed without a gap. B items, N text positions with
marks, S code steps, K codebooks, P = latents + 2 prefix vectors, D channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from amtts_core.speech_lm.backend import INITIAL_DEVIATION
from amtts_core.speech_lm.codebooks import CodeTables, SingleCodebook, TokenTables, start_positions
from amtts_core.speech_lm.learner import PackedStates
from amtts_core.speech_lm.length_model import LengthModel
from amtts_core.speech_lm.packing import pack
from amtts_core.speech_lm.step_model import DecoderModules
from amtts_indextts2.config import EMOTION_SIZE, ConformerConfig, IndexTTS2Config
from amtts_indextts2.conformer import Conformer
from amtts_indextts2.perceiver import Perceiver
from amtts_indextts2.transformer import Transformer, gelu
from amtts_indextts2.voices import CONDITIONERS, VoiceMemory


class VoiceEncoder(nn.Module):
    """Frames of w2v-bert to latents."""

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
    """Frames of w2v-bert to one vector of the transformer's size."""

    def __init__(self, config: ConformerConfig, dim: int) -> None:
        super().__init__(config, EMOTION_SIZE, 1)
        self.project = nn.Linear(EMOTION_SIZE, dim)
        self.mix = nn.Linear(dim, dim)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """features (B, T, 1024), lengths (B,) frames -> (B, D)."""
        return self.mix(self.project(super().forward(features, lengths)[:, 0]))


class IndexTTS2Gpt(nn.Module):
    """UnifiedVoice of IndexTTS2.

    Args:
        config: sizes.
        num_text_tokens: vocabulary size; the text tables have one row more, as published, which no token uses.
        num_speakers: rows of the speaker table. With conformers 0 makes the network as published, and a number one
            that also remembers so many voices, the lengths of their speech and its codec.
    """

    codec_hash: Tensor
    """sha256 of the codec's weights that its codes are of; zero: not known. Only where it has speakers."""
    segments = 1, 2
    """Of text and codes, behind the prefix."""

    def __init__(self, config: IndexTTS2Config, num_text_tokens: int, *, num_speakers: int = 0) -> None:
        super().__init__()
        self.config, self.num_text_tokens = config, num_text_tokens
        dim = config.model_dim
        if config.conditioning == "conformers":
            self.speaker = VoiceEncoder(config.speaker, dim, config.num_latents)
            self.emotion = EmotionEncoder(config.emotion, dim)
            if num_speakers:
                self.voices = VoiceMemory(num_speakers, config.num_latents, dim)
        else:
            self.speaker_table = nn.Embedding(max(1, num_speakers), config.num_latents * dim)
        if num_speakers or config.conditioning == "table":
            self.length_model = LengthModel()
            self.register_buffer("codec_hash", torch.zeros(32, dtype=torch.uint8))
        self.speed = nn.Embedding(2, dim)
        rows = num_text_tokens + 1
        self.text = TokenTables(rows, rows, positions=config.max_text_tokens + 2, dim=dim, bias=True)
        self.speech: CodeTables = config.head.tables(dim=dim, max_rows=config.max_mel_tokens)
        self.transformer = Transformer(
            dim=dim, layers=config.layers, heads=config.heads, dropout=config.dropout
        )

    def initialize(self) -> None:
        """Normal 0.02 for tables, transformer and heads, so that losses start at chance; zero for the speed rows."""
        self.transformer.initialize()
        tables: list[nn.Module] = [self.text, self.speech]
        if self.config.conditioning == "table":
            tables.append(self.speaker_table)
        for table in tables:
            for name, parameter in table.named_parameters():
                if name.endswith("bias"):
                    nn.init.zeros_(parameter)
                else:
                    nn.init.normal_(parameter, std=INITIAL_DEVIATION)
        nn.init.zeros_(self.speed.weight)
        start_positions(self.text, self.speech, self.config.pace_start)

    def decoder_modules(self) -> DecoderModules:
        """See `SpeechLm`."""
        return DecoderModules(
            blocks=[block.modules_by_role() for block in self.transformer.blocks],  # type: ignore[operator]
            norms=[self.transformer.norm, self.transformer.final_norm],
            head=self.speech.head,
            heads=self.config.heads,
            activation=gelu,
        )

    @property
    def as_released(self) -> bool:
        """Of the released make (conformers, single stream), and no training here has changed it."""
        trained = hasattr(self, "length_model") and self.length_model.trained
        released = self.config.conditioning == "conformers" and isinstance(self.speech, SingleCodebook)
        return released and not trained

    def latents_of(self, speakers: Tensor) -> Tensor:
        """Speakers (B,) -> (B, latents, D), emotion included."""
        if self.config.conditioning == "conformers":
            return self.voices(speakers)
        return self.speaker_table(speakers).unflatten(-1, (self.config.num_latents, -1))

    def encoder_parameters(self) -> list[nn.Parameter]:
        """The parameters of the encoders of clips."""
        return [p for name, p in self.named_parameters() if name.startswith(CONDITIONERS)]

    def encode_clips(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Frames of clips (B, T, 1024), lengths (B,) -> their latents (B, latents, D) and emotion (B, D)."""
        return self.speaker(frames, lengths), self.emotion(frames, lengths)

    def prefix(self, latents: Tensor, emotion: Tensor | None = None, wanted: Tensor | None = None) -> Tensor:
        """The voice's vectors.

        Args:
            latents: (B, latents, D).
            emotion: (B, D), added to every latent; None adds nothing.
            wanted: (B,) code frames the speech should last, 0 where the length is free; None leaves all free.

        Returns:
            (B, latents + 2, D): latents, then position rows of half and all of the wanted length, or the speed rows 1
            and 0 where the length is free.
        """
        if emotion is not None:
            latents = latents + emotion[:, None]
        free = self.speed.weight.flip(0).expand(len(latents), -1, -1)
        if wanted is None:
            return torch.cat([latents, free], dim=1)
        rows = torch.stack([wanted // 2, wanted], dim=1).clamp(max=self.speech.positions.num_embeddings - 1)
        asked = torch.where((wanted > 0)[:, None, None], self.speech.positions(rows), free)
        return torch.cat([latents, asked], dim=1)

    def forward(
        self,
        text: Tensor,
        text_lengths: Tensor,
        inputs: Tensor,
        input_lengths: Tensor,
        *,
        prefix: Tensor | None = None,
        speakers: Tensor | None = None,
        clips: Mapping[str, Tensor] | None = None,
        wanted: Tensor | None = None,
        tap: int | None = None,
    ) -> PackedStates:
        """The training pass over packed rows, one item a row.

        Args:
            text: (B, N) ids from start to stop, anything valid beyond the lengths; text_lengths (B,).
            inputs: (B, S, K) ids from the start on, anything valid beyond the lengths; input_lengths (B,).
            prefix: (B, P, D); None makes it of the following.
            speakers: (B,) rows of the speaker table.
            clips: of the speakers, see `prompts_of`; empty takes the speakers' own rows.
            wanted: as in `prefix`.
            tap: as in `Transformer.forward`.
        """
        if prefix is None:
            assert speakers is not None
            prefix = self.prefix(*self._voice(speakers, clips or {}), wanted=wanted)
        widths = prefix.shape[1], text.shape[1], inputs.shape[1]
        lengths = [
            (widths[0], *pair) for pair in zip(text_lengths.tolist(), input_lengths.tolist(), strict=True)
        ]
        packing = pack(lengths, widths, device=text.device)
        hidden, tapped = self.transformer(
            packing.gather(prefix, self.text.embed(text), self.speech.embed(inputs)), tap=tap
        )
        return PackedStates(hidden, packing, tapped)

    def _voice(self, speakers: Tensor, clips: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """Latents (B, N, D), and the emotion (B, D) that is not in them yet; voices that learn are remembered."""
        if not clips:
            return self.latents_of(speakers), None
        if "prompt_latents" in clips:
            return clips["prompt_latents"], clips["prompt_emotion"]
        latents, emotion = self.encode_clips(clips["prompt_frames"], clips["prompt_lengths"])
        if self.training and latents.requires_grad:
            self.voices.update(speakers, {"latents": latents.detach(), "emotion": emotion.detach()})
        return latents, emotion

    def score_text(self, ids: Sequence[int], prefix: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of a text (N,) from start to stop and of the codes (1, S, K) behind it, with a prefix (1, P, D)."""
        text = torch.tensor([list(ids)], device=prefix.device)
        lengths = (torch.tensor([part.shape[1]], device=prefix.device) for part in (text, inputs))
        states = self(text, next(lengths), inputs, next(lengths), prefix=prefix)
        of_text, of_codes = (
            states.packing.segment(states.hidden, segment, part.shape[1])[0]
            for segment, part in zip(self.segments, (text, inputs), strict=True)
        )
        return self.text.head(of_text), self.speech.head(of_codes)
