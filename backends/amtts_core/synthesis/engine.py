"""The way of a text to speech: sentences, normalised text, tokens, waveforms, one recording.

Knows no model: the backend speaks token ids. Reports what it could not read instead of dropping it in silence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.contract.backend import Backend
from amtts_core.contract.types import SynthesisRequest
from amtts_core.contract.vocoder import choose_vocoder
from amtts_core.errors import AmttsError, CheckpointError
from amtts_core.synthesis.stitch import (
    CLAUSE_ENDS,
    CLAUSE_PAUSE,
    PARAGRAPH_PAUSE,
    SENTENCE_PAUSE,
    Stretch,
    cut_long,
    faded_stream,
    join,
    places_of,
)
from amtts_core.text.normalizer import Normalizer, split_sentences
from amtts_core.units import Hertz, Seconds

if TYPE_CHECKING:
    from torch import Tensor

LONGEST = 180
"""Characters spoken in one go, about 20 seconds."""
TOGETHER = 8
"""Stretches a backend speaks as one batch."""


@dataclass(frozen=True)
class Tone:
    """How high a voice speaks.

    Attributes:
        pitch: semitones above its own pitch, below where negative; -12 to 12.
        range: width of the contour; 1 is the voice's own, 0 a monotone; 0 to 3.
    """

    pitch: float = 0.0
    range: float = 1.0


PLAIN = Tone()
"""The voice as it is."""


@dataclass(frozen=True)
class Speech:
    """What was spoken.

    Attributes:
        waveform: (T,) float32 in [-1, 1].
        sample_rate: Hz.
        stretches: the normalised text, piece by piece.
        unread: characters that this voice never learnt, with counts; they are not in the audio.
        places: first sample of each stretch and one after its last.
    """

    waveform: np.ndarray
    sample_rate: int
    stretches: list[Stretch]
    unread: Counter[str] = field(default_factory=Counter)
    places: list[tuple[int, int]] = field(default_factory=list)

    @property
    def duration(self) -> Seconds:
        """Length of the waveform."""
        return len(self.waveform) / self.sample_rate


@dataclass(frozen=True)
class SpeechStream:
    """What is being spoken.

    Attributes:
        pieces: (T,) float32 in [-1, 1] each, as they are made.
        sample_rate: Hz.
        unread: as of `Speech`.
    """

    pieces: Iterator[np.ndarray]
    sample_rate: int
    unread: Counter[str]


class Synthesizer:
    """Speaks with one backend and one normaliser.

    Args:
        backend: in evaluation mode, with a tokenizer.
        normalizer: the one its training text went through.
        untrained: token ids that training never met; speaking them would be noise, so they are left out and told.
    """

    def __init__(self, backend: Backend, normalizer: Normalizer, *, untrained: Collection[int] = ()) -> None:
        if backend.text_tokenizer is None or not backend.spec.speaks:
            raise AmttsError(
                f"backend '{backend.spec.name}' cannot speak a text", remedy="Give a checkpoint of a voice"
            )
        self.backend = backend
        self.normalizer = normalizer
        self._tokenizer = backend.text_tokenizer
        self._silent = frozenset(untrained) | {self._tokenizer.unk_id}

    @classmethod
    def from_checkpoint(
        cls,
        path: Path,
        *,
        device: str = "cpu",
        settings: Mapping[str, Any] | None = None,
        vocoder: str | None = None,
        lexicon: Mapping[str, str] | None = None,
    ) -> Synthesizer:
        """Loads a checkpoint folder or the best checkpoint of a run folder; needs nothing else but the codec it names.

        Args:
            path: of the folder.
            device: where the network speaks.
            settings: of the network, see `Checkpoint.load_backend`.
            vocoder: speaks its mels in place of its own one, see `open_vocoder`; None keeps its own.
            lexicon: word to its reading; wins over the rules and over the lexicon of the checkpoint.

        Raises:
            AmttsError: the checkpoint cannot be used, or its codec is not the one whose codes it has learnt.
        """
        checkpoint = read_checkpoint(path)
        backend = checkpoint.load_backend(settings)
        learnt = checkpoint.info.codec
        if learnt and (codes := backend.spec.speech_codes):
            there = str(codes.of(backend).codec_identity())
            if there != learnt and not codes.of(backend).speech_codec().can_decode(learnt):
                raise CheckpointError(
                    f"checkpoint {checkpoint.folder} has learnt the codes of {learnt}, its codec is {there}",
                    remedy="Name the codec's own weights: --set model.codec_weights=PATH",
                )
        backend.network.to(device)
        if vocoder is not None:
            choose_vocoder(backend, vocoder)
        normalizer = checkpoint.normalizer().with_lexicon(lexicon or {})
        return cls(backend, normalizer, untrained=checkpoint.info.untrained_tokens)

    @property
    def sample_rate(self) -> Hertz:
        """Of the speech."""
        return self.backend.sample_rate

    def guesses(self, text: str) -> Counter[str]:
        """Words of a text that the normalizer reads by guess, counted; a lexicon settles them."""
        language = self.normalizer.settings.language
        sentences = (s for line in text.splitlines() for s in split_sentences(line, language=language))
        return sum((self.normalizer.read(sentence).guesses for sentence in sentences), Counter())

    def stretches(self, text: str) -> list[Stretch]:
        """The pieces of a text in speaking order.

        Raises:
            AmttsError: nothing in it can be spoken.
        """
        out: list[Stretch] = []
        language = self.normalizer.settings.language
        for paragraph in text.splitlines():
            for sentence in split_sentences(paragraph, language=language):
                normalized = self.normalizer(sentence)
                pieces = cut_long(normalized, longest=LONGEST) if normalized.strip() else []
                for number, piece in enumerate(pieces, 1):
                    if any(character.isalnum() for character in piece):
                        goes_on = number < len(pieces) or piece.endswith(CLAUSE_ENDS)
                        out.append(Stretch(piece, CLAUSE_PAUSE if goes_on else SENTENCE_PAUSE))
            if out:
                out[-1] = Stretch(out[-1].text, PARAGRAPH_PAUSE)
        if not out:
            raise AmttsError(f"nothing to speak in {_shown(text)}: no letter is left after normalisation")
        return out

    def speak(
        self,
        text: str,
        *,
        speed: float = 1.0,
        seed: int = 0,
        speaker: str = "",
        tone: Tone = PLAIN,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Speech:
        """Speaks a text of any length.

        Args:
            text: as a person writes it.
            speed: 1.0 is the voice's own pace; 0.25 to 4.
            seed: makes it reproducible.
            speaker: a speaker of the checkpoint, empty for its first.
            tone: pitch and the width of its contour.
            on_progress: called with (stretches done, stretches in all).

        Raises:
            AmttsError: an impossible speed, an unknown speaker, or nothing that can be read.
        """
        spoken, requests, unread = self._requests(text, speed=speed, seed=seed, speaker=speaker, tone=tone)
        waveforms: list[np.ndarray] = []
        for start in range(0, len(requests), TOGETHER):
            waveforms += self.backend.synthesize(requests[start : start + TOGETHER])
            if on_progress:
                on_progress(len(waveforms), len(requests))
        pauses = [s.pause / speed for s in spoken]
        waveform = join(waveforms, pauses, self.sample_rate)
        places = places_of([len(w) for w in waveforms], pauses, self.sample_rate)
        return Speech(waveform, self.sample_rate, spoken, unread, places)

    def stream(
        self, text: str, *, speed: float = 1.0, seed: int = 0, speaker: str = "", tone: Tone = PLAIN
    ) -> SpeechStream:
        """Speaks a text and hands each piece over as soon as it is there.

        Joined, the pieces are what `speak` says where the backend speaks a sentence alone as it does among others. A
        backend that streams is heard before its first sentence is over, any other sentence by sentence.

        Args:
            text: as a person writes it.
            speed: 1.0 is the voice's own pace; 0.25 to 4.
            seed: makes it reproducible.
            speaker: a speaker of the checkpoint, empty for its first.
            tone: pitch and the width of its contour.

        Raises:
            AmttsError: an impossible speed, an unknown speaker, or nothing that can be read.
        """
        kept, requests, unread = self._requests(text, speed=speed, seed=seed, speaker=speaker, tone=tone)
        return SpeechStream(self._pieces(kept, requests), self.sample_rate, unread)

    def _pieces(self, kept: list[Stretch], requests: list[SynthesisRequest]) -> Iterator[np.ndarray]:
        for number, (stretch, request) in enumerate(zip(kept, requests, strict=True), 1):
            streaming = self.backend.spec.streaming
            spoken = (
                streaming.of(self.backend).stream(request)
                if streaming
                else self.backend.synthesize([request])
            )
            yield from faded_stream(spoken, self.sample_rate)
            if number < len(kept):
                yield np.zeros(round(stretch.pause / request.speed * self.sample_rate), dtype=np.float32)

    def _requests(
        self, text: str, *, speed: float, seed: int, speaker: str, tone: Tone = PLAIN
    ) -> tuple[list[Stretch], list[SynthesisRequest], Counter[str]]:
        """What is spoken of a text, as requests, and what of it is not known."""
        if not 0.25 <= speed <= 4:
            raise AmttsError(f"speed {speed:g} is out of range; expected 0.25 to 4")
        self._check_tone(tone)
        kept, unread = self._readable(text)
        number = self.backend.speakers.id_of(speaker)
        requests = [
            SynthesisRequest(
                tokens=tokens,
                speed=speed,
                seed=seed,
                speaker=number,
                pitch=tone.pitch,
                pitch_range=tone.range,
            )
            for _, tokens in kept
        ]
        return [stretch for stretch, _ in kept], requests, unread

    def _check_tone(self, tone: Tone) -> None:
        """Refuses a tone that this voice cannot have."""
        if not -12 <= tone.pitch <= 12:
            raise AmttsError(f"pitch {tone.pitch:g} is out of range; expected -12 to 12 semitones")
        if not 0 <= tone.range <= 3:
            raise AmttsError(f"pitch range {tone.range:g} is out of range; expected 0 to 3")
        control = self.backend.spec.pitch_control
        if tone != PLAIN and (control is None or not control.of(self.backend).has_pitch()):
            raise AmttsError(
                f"this checkpoint of backend '{self.backend.spec.name}' has no pitch that can be changed",
                remedy="Leave --pitch and --pitch-range out, or train chatterbox-mel with model.pitch.layers=4",
            )

    def attention(self, text: str, *, seed: int = 0, speaker: str = "") -> list[tuple[str, Tensor]]:
        """Where the speech of a text looks in it, piece by piece: (piece, (tokens, speech) shares).

        Args:
            text: as a person writes it.
            seed: of the speech that is looked into.
            speaker: as for `speak`.

        Raises:
            AmttsError: the backend has no such attention, or nothing can be read.
        """
        spec = self.backend.spec
        if spec.attention is None:
            raise AmttsError(
                f"backend '{spec.name}' has no attention between speech and text to show",
                remedy="Leave --attention out",
            )
        attention = spec.attention
        kept, requests, _ = self._requests(text, speed=1.0, seed=seed, speaker=speaker)
        pairs = zip(kept, requests, strict=True)
        return [(stretch.text, attention.of(self.backend).attention(request)) for stretch, request in pairs]

    def readable_stretches(self, text: str) -> tuple[list[Stretch], Counter[str]]:
        """The pieces of a text in which this voice knows a letter, and the characters that it does not know.

        Raises:
            AmttsError: nothing in it can be spoken.
        """
        kept, unread = self._readable(text)
        return [stretch for stretch, _ in kept], unread

    def check(self, text: str) -> None:
        """Raises the `AmttsError` that `speak` would raise because of the text, without speaking."""
        self._readable(text)

    def _readable(self, text: str) -> tuple[list[tuple[Stretch, list[int]]], Counter[str]]:
        """The stretches that hold a known letter, with their tokens, and the characters that are not known."""
        unread: Counter[str] = Counter()
        encoded = [(stretch, self._encode(stretch.text, unread)) for stretch in self.stretches(text)]
        kept = [(stretch, tokens) for stretch, tokens in encoded if tokens]
        if not kept:
            raise AmttsError(
                f"no letter of {_shown(text)} is known to this checkpoint",
                remedy="It reads the letters it was trained on; see: amtts normalize TEXT",
            )
        return kept, unread

    def _encode(self, text: str, unread: Counter[str]) -> list[int]:
        """Tokens of `text` that can be spoken; the others are counted. Empty where no letter is left."""
        tokens = self._tokenizer.encode(text)
        if not self._silent.isdisjoint(tokens):
            unread.update(c for c in text if not self._silent.isdisjoint(self._tokenizer.encode(c)))
            tokens = [token for token in tokens if token not in self._silent]
        known = self._tokenizer.decode(tokens)
        return tokens if any(character.isalnum() for character in known) else []


def _shown(text: str) -> str:
    flat = " ".join(text.split())
    return repr(flat if len(flat) <= 40 else flat[:40] + "…")
