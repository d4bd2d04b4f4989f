"""T3: embeddings, conditioning, transformer and heads, joined as published.

Knows token ids and tensors: no text, no audio, no losses, no sampling. The maths is that of Chatterbox (Resemble AI,
MIT license); the code is this project's own. B utterances, C conditioning vectors, N text tokens, S speech tokens,
P prompt tokens, D channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_chatterbox.t3.conditioning import Conditioning
from amtts_chatterbox.t3.config import T3Config
from amtts_chatterbox.t3.transformer import Transformer, frequencies, rotation, swiglu
from amtts_core.speech_lm.backend import INITIAL_DEVIATION
from amtts_core.speech_lm.codebooks import SingleCodebook, TokenTables, start_positions
from amtts_core.speech_lm.learner import PackedStates
from amtts_core.speech_lm.length_model import LengthModel
from amtts_core.speech_lm.packing import pack
from amtts_core.speech_lm.speaker_memory import LongestClip
from amtts_core.speech_lm.step_model import DecoderModules


def fixed_vectors(count: int, size: int) -> Tensor:
    """Unit vectors without negative channels (V, E), the same in every run, as a voice encoder would give."""
    random = torch.Generator().manual_seed(20_250_529)
    return functional.normalize(torch.rand(count, size, generator=random), dim=1)


class T3(nn.Module):
    """Text tokens and a voice to speech tokens.

    Args:
        config: sizes.
        num_text_tokens: rows of the text embedding and head.
        num_voices: speakers whose vector and prompt are kept with the weights, beside the lengths of their speech and
            the hash of its codec; published files know none.
    """

    codec_hash: Tensor
    """sha256 of the codec's weights that its codes are of; zero: not known. Only where it has voices."""
    segments = 3, 4
    """Of text and speech, behind speaker, prompt and emotion."""

    def __init__(self, config: T3Config, *, num_text_tokens: int, num_voices: int = 0) -> None:
        super().__init__()
        self.config = config
        width = config.hidden
        self.conditioning = Conditioning(config)
        self.text = TokenTables(
            num_text_tokens, num_text_tokens, positions=config.text_positions, dim=width, bias=False
        )
        self.speech = SingleCodebook(
            config.speech_rows,
            num_codes=config.speech_codes,
            start=config.start_speech,
            end=config.stop_speech,
            positions=config.speech_positions,
            dim=width,
            bias=False,
            start_tokens=config.start_tokens,
        )
        self.transformer = Transformer(config)
        self.voices = None
        if num_voices:
            prompts = torch.zeros(num_voices, config.prompt_tokens, dtype=torch.long)
            self.voices = LongestClip(
                {"vectors": fixed_vectors(num_voices, config.speaker_size), "prompts": prompts}
            )
            self.length_model = LengthModel()
            self.register_buffer("codec_hash", torch.zeros(32, dtype=torch.uint8))
        self._initialize()

    def _initialize(self) -> None:
        """Normal weights as in Llama; what adds to the residual stream is smaller the deeper it is (GPT-2)."""
        for module in (self.transformer, self.text, self.speech):
            for part in module.modules():
                if isinstance(part, nn.Linear | nn.Embedding):
                    nn.init.normal_(part.weight, std=INITIAL_DEVIATION)
        for block in self.transformer.layers:
            for last in (block.attention.out, block.feed.down):
                nn.init.normal_(last.weight, std=INITIAL_DEVIATION / (2 * self.config.layers) ** 0.5)
        start_positions(self.text, self.speech, self.config.pace_start)

    def decoder_modules(self) -> DecoderModules:
        """See `SpeechLm`."""
        config = self.config
        return DecoderModules(
            blocks=[block.modules_by_role() for block in self.transformer.layers],
            norms=[self.transformer.norm],
            head=self.speech.head,
            head_rows=self.speech.used_outputs,
            heads=config.heads,
            activation=swiglu,
            rotation=partial(rotation, freqs=frequencies(config.rope, config.head_dim)),
        )

    def embed_conditioning(
        self, speaker: Tensor, emotion: Tensor, prompt: Tensor, prompt_lengths: Tensor | None = None
    ) -> Tensor:
        """Speaker, prompt and emotion.

        Args:
            speaker: (B, speaker_size).
            emotion: (B,).
            prompt: (B, P) int64 speech codes, P may be 0.
            prompt_lengths: (B,); None means P for all.

        Returns:
            (B, 1 + queries + 1, D); the middle of an item without prompt is meaningless.
        """
        if prompt.shape[1] == 0:  # the perceiver needs something to look at
            prompt = prompt.new_zeros(len(prompt), 1)
        positions = torch.arange(prompt.shape[1], device=prompt.device)
        return self.conditioning(
            speaker, emotion, self.speech.embed(prompt[..., None], positions), prompt_lengths
        )

    def embed_text(self, tokens: Tensor, keep: Tensor | None = None) -> Tensor:
        """Tokens (B, N) -> (B, N, D).

        `keep` (B,) bool: where it is false the embedding is zero and the positions stay, which is what the sampler's
        rows without text are.
        """
        embedded = self.text.embedding(tokens)
        if keep is not None:
            embedded = embedded * keep[:, None, None]
        return embedded + self.text.positions.weight[: tokens.shape[1]]

    def forward(
        self,
        text: Tensor,
        text_lengths: Tensor,
        inputs: Tensor,
        input_lengths: Tensor,
        speaker: Tensor,
        emotion: Tensor,
        prompt: Tensor,
        prompt_lengths: Tensor,
        keep_text: Tensor | None = None,
        *,
        row_tokens: int | None = None,
        tap: int | None = None,
    ) -> PackedStates:
        """The training pass over packed rows.

        Args:
            text: (B, N) int64 from start to stop, padded at the end; text_lengths (B,).
            inputs: (B, S, 1) int64 from the first start on, padded at the end; input_lengths (B,).
            speaker, emotion, prompt, prompt_lengths: as in `embed_conditioning`; length 0 leaves the prompt out.
            keep_text: as in `embed_text`.
            row_tokens: as in `pack`; None takes the settings'.
            tap: as in `Transformer.forward`.
        """
        conditioning = self.embed_conditioning(speaker, emotion, prompt, prompt_lengths)
        queries = conditioning.shape[1] - 2
        lengths = [
            (1, queries if prompted else 0, 1, letters, codes)
            for prompted, letters, codes in zip(
                prompt_lengths.tolist(), text_lengths.tolist(), input_lengths.tolist(), strict=True
            )
        ]
        packing = pack(
            lengths,
            (1, queries, 1, text.shape[1], inputs.shape[1]),
            row_tokens=self.config.row_tokens if row_tokens is None else row_tokens,
            device=text.device,
        )
        rows = packing.gather(
            *conditioning.split((1, queries, 1), dim=1),
            self.embed_text(text, keep_text),
            self.speech.embed(inputs),
        )
        hidden, tapped = self.transformer(rows, positions=packing.positions, mask=packing.mask(), tap=tap)
        return PackedStates(hidden, packing, tapped)

    def score_text(self, ids: Sequence[int], speaker: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of a text (N,) from start to stop and of the start behind it: (N, text tokens), (S, speech ids).

        With a speaker's vector (1, E) and no prompt.
        """
        text, start = torch.tensor([list(ids)], device=speaker.device), self.speech.start()[None]
        none = torch.zeros(1, 1, dtype=torch.int64, device=speaker.device)
        states = self(
            text,
            none[0] + text.shape[1],
            start,
            none[0] + start.shape[1],
            speaker,
            torch.tensor([self.config.emotion], device=speaker.device),
            none,
            none[0],
        )
        of_text, of_speech = (
            states.packing.segment(states.hidden, segment, part.shape[1])[0]
            for segment, part in zip(self.segments, (text, start), strict=True)
        )
        return self.text.head(of_text), self.speech.head(of_speech)
