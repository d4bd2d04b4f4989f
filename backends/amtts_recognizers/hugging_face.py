"""Recognizers of Hugging Face by folder or name: CTC models (Wav2Vec2, w2v-BERT, MMS), sequence models (Whisper)."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from amtts_core.contract.recognizer import Emissions, Transcript
from amtts_core.errors import AmttsError

logger = logging.getLogger(__name__)
TOGETHER = 60.0
"""Seconds of audio, padding included, that are recognized as one batch."""
LANGUAGES = {"am": ("amh", "amharic")}
"""Language code -> adapter of an MMS model, and Whisper's name."""


class HuggingFaceRecognizer:
    """What `open` gives is one of the two classes below."""

    @classmethod
    def reads(cls, source: str) -> bool:
        """True for a folder with a config.json of transformers, and for OWNER/NAME."""
        folder = Path(source)
        if folder.is_dir():
            return "architectures" in _config(folder)
        return source.count("/") == 1 and not source.startswith(("/", "."))

    @classmethod
    def open(cls, source: str, *, device: str = "cpu") -> CtcModel | SequenceModel:
        """See `RecognizerClass`. Pickled weights are refused.

        Raises:
            AmttsError: no such model, not a recognizer, or its weights are no safetensors.
        """
        if not source:
            raise AmttsError("recognizer 'hf' needs a model", remedy="Give hf:FOLDER or hf:OWNER/NAME")
        import transformers

        try:
            with _without_retries_in_the_log():
                config = transformers.AutoConfig.from_pretrained(source)
                names = config.architectures or []
                kind = (
                    SequenceModel
                    if any("ConditionalGeneration" in n or "Seq2Seq" in n for n in names)
                    else CtcModel
                )
                auto = (
                    transformers.AutoModelForSpeechSeq2Seq
                    if kind is SequenceModel
                    else transformers.AutoModelForCTC
                )
                processor = transformers.AutoProcessor.from_pretrained(source)
                model = auto.from_pretrained(source, use_safetensors=True)
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise AmttsError(
                f"recognizer '{source}' cannot be opened: {str(error).splitlines()[0].rstrip('.')}",
                remedy="Give a folder or hub name of a CTC or sequence model with model.safetensors, tokenizer and "
                "preprocessor_config.json",
            ) from None
        return kind(
            model.to(device).eval(), processor, name=source, revision=str(getattr(config, "_commit_hash", ""))
        )


@contextmanager
def _without_retries_in_the_log() -> Iterator[None]:
    """The hub's client logs each of its tries to connect, twice; the error at the end says it once."""
    hub = logging.getLogger("huggingface_hub")
    level = hub.level
    hub.setLevel(logging.ERROR)
    try:
        yield
    finally:
        hub.setLevel(level)


def _config(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


class _Model:
    """What both kinds share.

    Args:
        model: in evaluation mode.
        processor: features and tokenizer.
        name: folder or hub name.
        revision: of a hub model.
    """

    def __init__(self, model: Any, processor: Any, *, name: str, revision: str) -> None:
        self._model, self._processor = model, processor
        self.name = f"hf ({name})"
        self.sample_rate = int(processor.feature_extractor.sampling_rate)
        size = sum(p.numel() for p in model.parameters())
        print_of = sum(float(p.detach().float().abs().mean()) for p in model.parameters())
        self.identity = f"hf:{name}:{revision}:{size}:{print_of:.6g}"

    def _inputs(self, waveforms: Sequence[np.ndarray]) -> Any:
        inputs = self._processor.feature_extractor(
            list(waveforms), sampling_rate=self.sample_rate, return_tensors="pt", padding=True
        )
        return inputs.to(self._model.device)

    def _in_batches(self, waveforms: Sequence[np.ndarray]) -> list[list[int]]:
        order = sorted(range(len(waveforms)), key=lambda n: len(waveforms[n]))
        groups: list[list[int]] = []
        for number in order:
            seconds = len(waveforms[number]) / self.sample_rate
            if groups and (len(groups[-1]) + 1) * seconds <= TOGETHER:
                groups[-1].append(number)
            else:
                groups.append([number])
        return groups


class CtcModel(_Model):
    """A CTC model; it gives frame times, so text can be aligned with it."""

    def __init__(self, model: Any, processor: Any, *, name: str, revision: str) -> None:
        super().__init__(model, processor, name=name, revision=revision)
        tokenizer = processor.tokenizer
        self._blank = int(tokenizer.pad_token_id)
        self._vocabulary: dict[str, int] = tokenizer.get_vocab()
        self._space = self._vocabulary.get(getattr(tokenizer, "word_delimiter_token", "|") or "|")

    @torch.inference_mode()
    def _log_probs(self, waveforms: Sequence[np.ndarray]) -> list[torch.Tensor]:
        found = [torch.empty(0)] * len(waveforms)
        for group in self._in_batches(waveforms):
            batch = [waveforms[n] for n in group]
            logits = self._model(**self._inputs(batch)).logits.float().log_softmax(-1).cpu()
            longest = max(len(w) for w in batch)
            for row, number in enumerate(group):  # padding has frames, too
                frames = max(1, round(logits.shape[1] * len(waveforms[number]) / longest))
                found[number] = logits[row, :frames].clone()
        return found

    def transcribe(self, waveforms: Sequence[np.ndarray]) -> list[Transcript]:
        """See `Recognizer`."""
        out = []
        for log_probs in self._log_probs(waveforms):
            best, path = log_probs.max(-1)
            text = self._processor.tokenizer.decode(path)
            said = best[path != self._blank]
            out.append(
                Transcript(
                    text=" ".join(text.split()), confidence=float((said if len(said) else best).exp().mean())
                )
            )
        return out

    @torch.inference_mode()
    def emissions(self, waveforms: Sequence[np.ndarray]) -> list[Emissions]:
        """See `FrameRecognizer`."""
        out = []
        for waveform, log_probs in zip(waveforms, self._log_probs(waveforms), strict=True):
            if self._space is not None:
                log_probs[:, self._blank] = torch.logaddexp(
                    log_probs[:, self._blank], log_probs[:, self._space]
                )
            seconds = len(waveform) / self.sample_rate / len(log_probs)
            out.append(Emissions(log_probs=log_probs.numpy(), frame_seconds=seconds, blank=self._blank))
        return out

    def symbol_ids(self, word: str) -> list[int]:
        """See `FrameRecognizer`."""
        known = (self._vocabulary.get(c, self._vocabulary.get(c.lower())) for c in word)
        return [n for n in known if n is not None and n not in (self._blank, self._space)]

    def best_path(self, emissions: Emissions) -> list[int]:
        """See `FrameRecognizer`."""
        return [int(symbol) for symbol in emissions.log_probs.argmax(1)]

    def text_of(self, symbols: Sequence[int]) -> str:
        """See `FrameRecognizer`."""
        return "".join(self._processor.tokenizer.convert_ids_to_tokens(list(symbols)))


class SequenceModel(_Model):
    """A sequence model such as Whisper; it gives text without frame times."""

    @torch.inference_mode()
    def transcribe(self, waveforms: Sequence[np.ndarray]) -> list[Transcript]:
        """See `Recognizer`."""
        texts = [""] * len(waveforms)
        multilingual = getattr(self._model.generation_config, "is_multilingual", False)
        language = {"language": LANGUAGES["am"][1], "task": "transcribe"} if multilingual else {}
        for group in self._in_batches(waveforms):
            inputs = self._inputs([waveforms[n] for n in group])
            ids = self._model.generate(**inputs, do_sample=False, **language)
            for number, text in zip(
                group, self._processor.batch_decode(ids, skip_special_tokens=True), strict=True
            ):
                texts[number] = " ".join(text.split())
        return [Transcript(text=text) for text in texts]
