"""Chatterbox Turbo and Nano as a backend: T3's, over GPT-2. Reads and writes the published weights."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from amtts_chatterbox.s3.voiced import VoicedS3
from amtts_chatterbox.t3.backend import ChatterboxT3Backend
from amtts_chatterbox.t3.inference import bounded
from amtts_chatterbox.t3.learner import T3Learner
from amtts_chatterbox.turbo.config import PRESETS, TurboConfig
from amtts_chatterbox.turbo.network import TurboT3
from amtts_chatterbox.turbo.published import LICENSE, PUBLISHED, to_published
from amtts_chatterbox.turbo.reference import reference_checks
from amtts_core.contract.backend import BackendSpec, TextInput
from amtts_core.contract.capabilities import FineTuning
from amtts_core.contract.codec import SpeechCodec
from amtts_core.contract.reference_check import ReferenceCheck
from amtts_core.contract.types import SynthesisRequest, TextTensor
from amtts_core.errors import AmttsError
from amtts_core.speech_lm.codec_of import codec_of
from amtts_core.speech_lm.generate import Prompt
from amtts_core.speech_lm.settings import MUTABLE
from amtts_core.speech_lm.synthesizer import SpeechLmSynthesizer

NAME = "chatterbox-turbo"
SILENCE = 4299
"""The S3 token of silence."""
FILES = {1024: "t3_turbo_v1.safetensors", 768: "t3_nano_v1.safetensors"}
"""By the width; another width has the first name."""


class ChatterboxTurboBackend(ChatterboxT3Backend):
    """GPT-2 over speech codes: no perceiver, no emotion, no marks around the text, no guidance."""

    spec: ClassVar[BackendSpec[Any]] = replace(
        cast("BackendSpec[Any]", ChatterboxT3Backend.spec),
        name=NAME,
        summary="T3 of Chatterbox Turbo and Nano: GPT-2 from text to speech codes",
        config=TurboConfig,
        mutable_settings=(*MUTABLE, "voice_dropout", "voice_encoder", "voice_clip", "s3gen", "silence"),
        presets=PRESETS,
        training_defaults=ChatterboxT3Backend.spec.training_defaults,
        text=TextInput(),
        published=PUBLISHED,
        fine_tuning=FineTuning(lora_targets=("qkv", "out", "up", "down")),
        weights_license=LICENSE,
    )
    learner_class = T3Learner

    def build_network(self) -> Any:
        """Text embedding and head have one row per token."""
        voices = max(1, self.speakers.num_embeddings)
        return TurboT3(self.config, num_text_tokens=self.tokenizer.vocab_size, num_voices=voices)

    def open_codec(self, *, device: str = "cpu") -> SpeechCodec:
        """See `SpeechLmBackend`."""
        config = self.config
        return codec_of(
            config.codec,
            config.codec_weights,
            backend=NAME,
            num_codebooks=1,
            num_codes=config.speech_codes,
            remedy="Set model.speech_codes={codes}, model.start_speech={start}, model.stop_speech={stop} and "
            "model.speech_rows={rows}",
            device=device,
        )

    def text_tensors(self) -> tuple[TextTensor, ...]:
        """Embedding and head; neither has a bias."""
        return TextTensor("text.embedding.weight", "embedding"), TextTensor("text.head.weight", "head")

    def framed(self, tokens: Sequence[int]) -> list[int]:
        """The text as it is: nothing stands around it."""
        return list(tokens)

    def check_example(self, num_tokens: int, lengths: Mapping[str, int]) -> str:
        """The one position table has an end."""
        needed = 1 + self.config.prompt_tokens + num_tokens + lengths["codes"] + 1
        if needed > self.config.positions:
            return f"{needed} positions with the longest prompt; the network has {self.config.positions}"
        if not num_tokens:
            return "no text"
        return "" if lengths["codes"] else "no speech code"

    def longest_text(self) -> int:
        """Half of the positions that voice, longest prompt and start leave: as much speech has to fit behind it."""
        return int(self.config.positions - self.config.prompt_tokens - 2) // 2

    def text_logits(self, tokens: Sequence[int]) -> tuple[Tensor, Tensor]:
        """See `amtts_core.forgetting.old_text`; with the first speaker's vector, no prompt and no speech behind."""
        ids = list(tokens)[: self.config.positions - 2]
        logits, _ = self.network.score_text(ids, self.network.voices.vectors[:1])
        return logits, torch.tensor(ids, device=logits.device)

    def prompts(self, requests: Sequence[SynthesisRequest], frames: Sequence[int]) -> list[Prompt]:
        """See `SpeechLmBackend`."""
        sampling = bounded(self.config.sampling, self.network.length_model)
        return [self._prompt(request, sampling) for request in requests]

    def _prompt(self, request: SynthesisRequest, sampling: Any) -> Prompt:
        voice, text = self._voice(request.speaker), list(request.tokens)
        room = self.config.positions - 2 - len(voice.prompt) - len(text)
        if not text or room < 1:
            raise AmttsError(
                f"a text of {len(text)} tokens behind a prompt of {len(voice.prompt)}; the network has "
                f"{self.config.positions} positions for text, prompt and speech",
                remedy="Split it into sentences",
            )
        prefix = self.network.prefix(voice.speaker, voice.prompt, text)
        limit = min(sampling.max_tokens, math.ceil(sampling.most_per_symbol * len(text)), room)
        silent = None
        if sampling.guidance_scale > 1:
            silent = self.network.prefix(voice.speaker, voice.prompt, text, keep_text=False)
        return Prompt(
            embeds=prefix,
            without_text=silent,
            max_frames=limit,
            shortest=math.ceil(sampling.least_per_symbol * len(text)),
            seed=request.seed,
            first_position=len(prefix) - 1,
        )

    def _synthesizer(self) -> SpeechLmSynthesizer:
        """See `ChatterboxT3Backend`; three tokens of silence follow, as released."""
        found = super()._synthesizer()
        if isinstance(found.codec, VoicedS3) and self.config.silence:
            return replace(found, codec=found.codec.ending_with([SILENCE] * 3))
        return found

    @classmethod
    def reference_checks(cls, folder: Path) -> list[ReferenceCheck]:
        """See `reference`."""
        return reference_checks(folder)

    def export(self, folder: Path, *, format: str) -> None:
        """`chatterbox`: the weights under the published names, with their sizes and the tokenizer."""
        from safetensors.torch import save_file

        config = self.config
        weights = to_published(self.network.state_dict(), unused_rows=config.unused_rows)
        name = FILES.get(config.hidden, FILES[1024])
        save_file(
            {n: t.cpu().contiguous() for n, t in weights.items()}, folder / name, metadata={"format": "pt"}
        )
        sizes = {
            "gpt2": {
                "model_type": "gpt2",
                "activation_function": "gelu_new",
                "n_embd": config.hidden,
                "hidden_size": config.hidden,
                "n_head": config.heads,
                "n_layer": config.layers,
                "n_positions": config.positions,
                "layer_norm_epsilon": config.norm_eps,
                "vocab_size": config.unused_rows,
            },
            "t3": {
                "text_tokens_dict_size": len(self.network.text.embedding.weight),
                "start_speech_token": config.start_speech,
                "stop_speech_token": config.stop_speech,
                "speech_tokens_dict_size": config.speech_rows,
                "speech_cond_prompt_len": config.prompt_tokens,
                "input_pos_emb": None,
                "use_perceiver_resampler": False,
                "emotion_adv": False,
            },
        }
        (folder / "config.json").write_text(json.dumps(sizes, indent=1) + "\n", encoding="utf-8")
        self.tokenizer.save(folder / "tokenizer")
