"""IndexTTS2's training batches: some utterances have no text (for guidance), some no wanted length."""

from __future__ import annotations

import torch

from amtts_core.contract.types import Batch
from amtts_core.speech_lm.learner import PassInputs, SpeechLmLearner
from amtts_core.speech_lm.losses import next_tokens


class IndexTTS2Learner(SpeechLmLearner):
    """See `SpeechLmLearner`; in evaluation all utterances have their text and their length."""

    def codebook_weights(self) -> tuple[float, ...]:
        """See `SpeechLmLearner`."""
        weights: tuple[float, ...] = self.config.head.all_weights
        return weights

    def prepare(self, batch: Batch) -> PassInputs:
        """See `SpeechLmLearner`."""
        text, lengths, wanted = batch["tokens"], batch["token_lengths"], batch["frames"]
        has_text = torch.ones_like(lengths, dtype=torch.bool)
        if self.network.training:
            chance = torch.rand(2, len(lengths), device=lengths.device)
            has_text = chance[0] >= self.config.text_dropout
            stops = text.gather(1, lengths[:, None] - 1)
            behind_start = torch.arange(text.shape[1], device=text.device) == 1
            text = torch.where(~has_text[:, None] & behind_start, stops, text)
            lengths = lengths.where(has_text, torch.full_like(lengths, 2))  # start and stop
            wanted = wanted.masked_fill(chance[1] < self.config.free_length, 0)
        return PassInputs(
            arguments={
                "text": text,
                "text_lengths": lengths,
                "inputs": self.noisy(batch["inputs"]),
                "input_lengths": batch["input_lengths"],
                "speakers": batch["speakers"],
                "clips": {name: value for name, value in batch.items() if name.startswith("prompt_")},
                "wanted": wanted,
            },
            text_lengths=lengths,
            # an empty text teaches the text head nothing
            text_targets=next_tokens(text, lengths * has_text),
            targets=batch["targets"],
            input_lengths=batch["input_lengths"],
            has_text=has_text,
        )
