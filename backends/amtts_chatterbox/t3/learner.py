"""T3's training batches: the text of some utterances is dropped, the prompt is a stretch of another clip of the
speaker.

In training some utterances have no text (what the sampler's rows without text need) and some no prompt; the prompt has
its true length. In validation nothing is random: all text, the speaker's remembered prompt.
"""

from __future__ import annotations

import torch
from torch import Tensor

from amtts_core.contract.types import Batch
from amtts_core.speech_lm.learner import PassInputs, SpeechLmLearner
from amtts_core.speech_lm.losses import next_tokens

_LEAST_PROMPT = 1 / 3
"""Of the longest prompt: 2 of 6 seconds."""


class T3Learner(SpeechLmLearner):
    """See `SpeechLmLearner`."""

    def prepare(self, batch: Batch) -> PassInputs:
        """See `SpeechLmLearner`; in training the speakers' clips are remembered too."""
        text, lengths = batch["tokens"], batch["token_lengths"]
        keep = torch.ones_like(lengths, dtype=torch.bool)
        if self.network.training:
            self._remember(batch)
            prompt, prompt_lengths = self._other_clips(batch)
            if self.config.text_dropout:
                keep = (torch.rand(len(lengths)) >= self.config.text_dropout).to(lengths.device)
        else:
            prompt, prompt_lengths = self._remembered(batch)
        return PassInputs(
            arguments={
                "text": text,
                "text_lengths": lengths,
                "inputs": self.noisy(batch["inputs"]),
                "input_lengths": batch["input_lengths"],
                "speaker": batch["speaker_vectors"],
                "emotion": torch.full_like(lengths, self.config.emotion, dtype=torch.float32),
                "prompt": prompt,
                "prompt_lengths": prompt_lengths,
                "keep_text": keep,
            },
            text_lengths=lengths,
            text_targets=next_tokens(text, lengths),
            targets=batch["targets"],
            input_lengths=batch["input_lengths"],
            has_text=keep,
        )

    def _codes_of(self, batch: Batch, item: int) -> Tensor:
        """Codes (T,) behind the starts."""
        return batch["inputs"][item, self.config.start_tokens : int(batch["input_lengths"][item]), 0]

    def _remember(self, batch: Batch) -> None:
        voices = self.network.voices
        for item, speaker in enumerate(batch["speakers"].tolist() if voices is not None else ()):
            voices.update(speaker, self._codes_of(batch, item), {"vectors": batch["speaker_vectors"][item]})

    def _remembered(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The speakers' kept prompts (B, P) and their lengths (B,)."""
        voices = self.network.voices
        if voices is None:
            none = torch.zeros_like(batch["input_lengths"])
            return none[:, None], none
        return voices.prompts[batch["speakers"]], voices.lengths[batch["speakers"]]

    def _other_clips(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """For each utterance a stretch of another clip of its speaker in the batch; none where there is none."""
        speakers = batch["speakers"].tolist()
        longest = self.config.prompt_tokens
        prompt = torch.zeros(len(speakers), longest, dtype=torch.long, device=batch["inputs"].device)
        lengths = [0] * len(speakers)
        for item, speaker in enumerate(speakers):
            others = [n for n, other in enumerate(speakers) if other == speaker and n != item]
            if not others or float(torch.rand(())) < self.config.voice_dropout:
                continue
            codes = self._codes_of(batch, others[_random_below(len(others))])
            most = min(longest, len(codes))
            least = min(most, round(longest * _LEAST_PROMPT))
            lengths[item] = length = least + _random_below(most - least + 1)
            begin = _random_below(len(codes) - length + 1)
            prompt[item, :length] = codes[begin : begin + length]
        return prompt[:, : max(1, *lengths)], torch.tensor(lengths, device=prompt.device)


def _random_below(count: int) -> int:
    return int(torch.randint(count, ()))
