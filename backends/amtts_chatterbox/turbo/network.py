"""The T3 of Chatterbox Turbo and Nano: speaker, prompt, text and speech tokens through GPT-2 (Radford et al. 2019).

Positions count from the speaker vector on and are learned; text and speech have none of their own, no marks stand
around the text, and one start before the speech. B utterances, N text tokens, S speech tokens, P prompt tokens, D
channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_chatterbox.t3.network import fixed_vectors
from amtts_chatterbox.turbo.config import TurboConfig
from amtts_core.speech_lm.backend import INITIAL_DEVIATION
from amtts_core.speech_lm.codebooks import SingleCodebook
from amtts_core.speech_lm.learner import PackedStates
from amtts_core.speech_lm.length_model import LengthModel
from amtts_core.speech_lm.packing import pack
from amtts_core.speech_lm.speaker_memory import LongestClip
from amtts_core.speech_lm.step_model import BlockModules, DecoderModules

gelu = partial(functional.gelu, approximate="tanh")
"""GPT-2's activation."""


class TextTables(nn.Module):
    """Embedding and head of text tokens, without positions and biases."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(count, width)
        self.head = nn.Linear(width, count, bias=False)


class Block(nn.Module):
    """Pre-norm attention and feed-forward of four times the width, both residual."""

    def __init__(self, config: TurboConfig) -> None:
        super().__init__()
        width = config.hidden
        self.heads = config.heads
        self.attention_norm = nn.LayerNorm(width, eps=config.norm_eps)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.feed_norm = nn.LayerNorm(width, eps=config.norm_eps)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """hidden (R, L, D), mask (R, 1, L, L) true where visible; None is causal."""
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.qkv(self.attention_norm(hidden)).chunk(3, dim=-1)
        )
        mixed = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=mask is None
        )
        hidden = hidden + self.out(mixed.transpose(1, 2).flatten(2))
        out: Tensor = hidden + self.down(gelu(self.up(self.feed_norm(hidden))))
        return out

    def modules_by_role(self) -> BlockModules:
        """For decoding."""
        return BlockModules(self.attention_norm, self.qkv, self.out, self.feed_norm, self.up, self.down)


class Transformer(nn.Module):
    """Blocks and a final norm."""

    def __init__(self, config: TurboConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.hidden, eps=config.norm_eps)

    def forward(
        self, hidden: Tensor, *, mask: Tensor | None = None, tap: int | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """(R, L, D) after the final norm, and the input of block `tap`."""
        tapped = None
        for number, block in enumerate(self.blocks):
            tapped = hidden if number == tap else tapped
            hidden = block(hidden, mask)
        return self.norm(hidden), tapped


class TurboT3(nn.Module):
    """Text tokens and a voice to speech tokens.

    Args:
        config: sizes.
        num_text_tokens: rows of the text embedding and head.
        num_voices: as of `amtts_chatterbox.t3.network.T3`.
    """

    codec_hash: Tensor
    segments = 2, 3
    """Of text and speech, behind speaker and prompt."""

    def __init__(self, config: TurboConfig, *, num_text_tokens: int, num_voices: int = 0) -> None:
        super().__init__()
        self.config = config
        width = config.hidden
        self.speaker = nn.Linear(config.speaker_size, width)
        self.text = TextTables(num_text_tokens, width)
        self.speech = SingleCodebook(
            config.speech_rows,
            num_codes=config.speech_codes,
            start=config.start_speech,
            end=config.stop_speech,
            positions=config.positions,
            dim=width,
            bias=True,
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
        """As GPT-2: normal weights, smaller the deeper for what adds to the residual stream; biases 0."""
        for name, parameter in self.named_parameters():
            if "norm" in name:
                continue
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
                continue
            deep = name.endswith(("out.weight", "down.weight"))
            nn.init.normal_(parameter, std=INITIAL_DEVIATION / (2 * self.config.layers) ** (0.5 * deep))

    def decoder_modules(self) -> DecoderModules:
        """See `SpeechLm`."""
        return DecoderModules(
            blocks=[block.modules_by_role() for block in self.transformer.blocks if isinstance(block, Block)],
            norms=[self.transformer.norm],
            head=self.speech.head,
            head_rows=self.speech.used_outputs,
            heads=self.config.heads,
            activation=gelu,
        )

    def forward(
        self,
        text: Tensor,
        text_lengths: Tensor,
        inputs: Tensor,
        input_lengths: Tensor,
        speaker: Tensor,
        prompt: Tensor,
        prompt_lengths: Tensor,
        keep_text: Tensor | None = None,
        emotion: Tensor | None = None,
        *,
        row_tokens: int | None = None,
        tap: int | None = None,
    ) -> PackedStates:
        """The training pass over packed rows; arguments as of `T3.forward`, `emotion` without effect."""
        embedded = self.text.embedding(text)
        if keep_text is not None:
            embedded = embedded * keep_text[:, None, None]
        lengths = [
            (1, prompt, letters, codes)
            for prompt, letters, codes in zip(
                prompt_lengths.tolist(), text_lengths.tolist(), input_lengths.tolist(), strict=True
            )
        ]
        packing = pack(
            lengths,
            (1, prompt.shape[1], text.shape[1], inputs.shape[1]),
            row_tokens=self.config.row_tokens if row_tokens is None else row_tokens,
            device=text.device,
        )
        codes = self.speech.embedding
        rows = packing.gather(self.speaker(speaker)[:, None], codes(prompt), embedded, codes(inputs[..., 0]))
        rows = rows + self.speech.positions(packing.positions)
        hidden, tapped = self.transformer(rows, mask=packing.mask(), tap=tap)
        return PackedStates(hidden, packing, tapped)

    def prefix(
        self, speaker: Tensor, prompt: Sequence[int], text: Sequence[int], *, keep_text: bool = True
    ) -> Tensor:
        """All that is read before the first code, (L, D): the vector (E,), the prompt, the text, a start."""
        device = self.speech.head.weight.device
        embedded = self.text.embedding(torch.tensor(list(text), device=device))
        rows = torch.cat(
            [
                self.speaker(speaker[None].to(self.speaker.weight)),
                self.speech.embedding(torch.tensor(list(prompt), dtype=torch.long, device=device)),
                embedded if keep_text else torch.zeros_like(embedded),
                self.speech.embedding(self.speech.start()[:, 0]),
            ]
        )
        return rows + self.speech.positions.weight[: len(rows)]

    def score_text(self, ids: Sequence[int], speaker: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of a text (N,) and of the start behind it: (N, text tokens), (1, speech ids); no prompt."""
        text, start = torch.tensor([list(ids)], device=speaker.device), self.speech.start()[None]
        none = torch.zeros(1, dtype=torch.int64, device=speaker.device)
        states = self(text, none + text.shape[1], start, none + 1, speaker, none[None], none)
        of_text, of_speech = (
            states.packing.segment(states.hidden, segment, part.shape[1])[0]
            for segment, part in zip(self.segments, (text, start), strict=True)
        )
        return self.text.head(of_text), self.speech.head(of_speech)
