"""T3: embeddings, conditioning, trunk and heads, joined as published.

Knows token ids and tensors: no text, no audio, no losses, no sampling. The maths is that of Chatterbox (Resemble AI,
MIT license); the code is this project's own. B utterances, C conditioning vectors, N text tokens, S speech tokens,
P prompt tokens, D channels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from amtts_chatterbox.t3.conditioning import Conditioning
from amtts_chatterbox.t3.config import T3Config
from amtts_chatterbox.t3.packing import Lengths, Packing, Widths, plan_packing
from amtts_chatterbox.t3.trunk import INITIAL_DEVIATION, Trunk
from amtts_chatterbox.t3.voices import VoiceTable
from amtts_core.nn.forward_sum_loss import sine_rows


class T3(nn.Module):
    """Text tokens and a voice to speech tokens.

    Args:
        config: sizes.
        num_text_tokens: rows of the text embedding and head.
        num_voices: speakers whose vector and prompt are kept with the weights; published files know none.
    """

    def __init__(self, config: T3Config, *, num_text_tokens: int, num_voices: int = 0) -> None:
        super().__init__()
        self.config = config
        width = config.hidden
        self.conditioning = Conditioning(config)
        self.text_embedding = nn.Embedding(num_text_tokens, width)
        self.text_positions = nn.Embedding(config.text_positions, width)
        self.speech_embedding = nn.Embedding(config.speech_rows, width)
        self.speech_positions = nn.Embedding(config.speech_positions, width)
        self.trunk = Trunk(config)
        self.text_head = nn.Linear(width, num_text_tokens, bias=False)
        self.speech_head = nn.Linear(width, config.speech_rows, bias=False)
        self.voices = VoiceTable(config, num_voices) if num_voices else None
        self._initialise()

    def _initialise(self) -> None:
        """Normal weights as in Llama; what adds to the residual stream is smaller the deeper the trunk (GPT-2)."""
        for module in (self.trunk, self.text_head, self.speech_head):
            for part in module.modules():
                if isinstance(part, nn.Linear):
                    nn.init.normal_(part.weight, std=INITIAL_DEVIATION)
        for block in self.trunk.layers:
            for last in (block.attention.out, block.feed.down):
                nn.init.normal_(last.weight, std=INITIAL_DEVIATION / (2 * self.config.layers) ** 0.5)
        for table in (self.text_embedding, self.speech_embedding, self.text_positions, self.speech_positions):
            nn.init.normal_(table.weight, std=INITIAL_DEVIATION)
        if self.config.pace_start:
            for table, rate in ((self.text_positions, self.config.pace_start), (self.speech_positions, 1.0)):
                with torch.no_grad():
                    table.weight.copy_(sine_rows(len(table.weight), table.embedding_dim, rate=rate))

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
        if prompt.shape[1] == 0:  # the perceiver needs something to look at, even where nobody listens
            prompt = prompt.new_zeros(len(prompt), 1)
        places = self.speech_positions.weight[: prompt.shape[1]]
        return self.conditioning(speaker, emotion, self.speech_embedding(prompt) + places, prompt_lengths)

    def embed_text(self, tokens: Tensor, keep: Tensor | None = None) -> Tensor:
        """Tokens (B, N) -> (B, N, D).

        `keep` (B,) bool: where it is false the embedding is zero and the positions stay, which is what the sampler's
        rows without text are.
        """
        embedded = self.text_embedding(tokens)
        if keep is not None:
            embedded = embedded * keep[:, None, None]
        return embedded + self.text_positions.weight[: tokens.shape[1]]

    def embed_speech(self, tokens: Tensor, *, start_tokens: int = 1) -> Tensor:
        """Start tokens, codes and end (B, S) -> (B, S, D); every start token stands at position 0."""
        places = (torch.arange(tokens.shape[1], device=tokens.device) - (start_tokens - 1)).clamp(min=0)
        return self.speech_embedding(tokens) + self.speech_positions(places)

    def forward(
        self,
        text: Tensor,
        text_lengths: Tensor,
        speech: Tensor,
        speech_lengths: Tensor,
        speaker: Tensor,
        emotion: Tensor,
        prompt: Tensor,
        prompt_lengths: Tensor,
        keep_text: Tensor | None = None,
        *,
        start_tokens: int = 1,
        row_tokens: int = 0,
        watch: Callable[[int, Tensor], None] | None = None,
    ) -> tuple[Tensor, Packing]:
        """The training pass over packed rows.

        Args:
            text: (B, N) int64 from start to stop, padded at the end; text_lengths (B,).
            speech: (B, S) int64 from start to end, padded at the end; speech_lengths (B,).
            speaker, emotion, prompt, prompt_lengths: as in `embed_conditioning`; length 0 leaves the prompt out.
            keep_text: as in `embed_text`.
            start_tokens: how many starts each row of `speech` begins with.
            row_tokens: as in `plan_packing`.
            watch: told the number and the input of every block.

        Returns:
            hidden states (R, L, D) after the final norm, and where each utterance lies in them.
        """
        conditioning = self.embed_conditioning(speaker, emotion, prompt, prompt_lengths)
        lengths = [
            Lengths(heard > 0, letters, codes)
            for heard, letters, codes in zip(
                prompt_lengths.tolist(), text_lengths.tolist(), speech_lengths.tolist(), strict=True
            )
        ]
        widths = Widths(conditioning.shape[1], text.shape[1], speech.shape[1])
        packing = plan_packing(lengths, widths, row_tokens=row_tokens, device=text.device)
        rows = packing.gather(
            conditioning,
            self.embed_text(text, keep_text),
            self.embed_speech(speech, start_tokens=start_tokens),
        )
        hidden = self.trunk(rows, positions=packing.positions, mask=packing.mask(), watch=watch)
        return hidden, packing
