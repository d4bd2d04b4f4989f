"""The way of a text to speech: sentences, normalized text, tokens, waveforms, one recording.

Knows no model: the backend speaks token ids. Reports what it could not read instead of dropping it in silence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.contract.backend import Backend
from amtts_core.contract.types import SynthesisRequest
from amtts_core.contract.vocoder import choose_vocoder
from amtts_core.errors import AmttsError, CheckpointError
from amtts_core.synthesis.script import Say, Silence, read_script
from amtts_core.synthesis.stitch import (
    CLAUSE_ENDS,
    Pauses,
    Stretch,
    cut_long,
    cut_words,
    faded_stream,
    with_silence,
)
from amtts_core.text.normalizer import Normalizer, split_sentences
from amtts_core.units import Hertz, Seconds

if TYPE_CHECKING:
    from torch import Tensor

LONGEST = 180
"""Characters spoken in one go, about 20 seconds."""
SLOWEST, FASTEST = 0.25, 4.0
TOGETHER = 8
"""Stretches a backend speaks as one batch."""


@dataclass(frozen=True)
class Tone:
    """How high a voice speaks.

    Attributes:
        pitch: semitones above its own pitch, below where negative; -12 to 12.
        range: width of the contour; 1 is the voice's own, 0 a monotone; 0 to 3.
        question_rise: semitones by which the last syllables rise where a sentence ends in a question mark; -12 to 12.
    """

    pitch: float = 0.0
    range: float = 1.0
    question_rise: float = 0.0


def is_question(text: str) -> bool:
    """Whether a sentence ends in a question mark, quotation marks and brackets aside."""
    return text.rstrip("»”\"')]›’ ").endswith(("?", "፧"))


PLAIN = Tone()
"""The voice as it is."""


@dataclass(frozen=True)
class Speech:
    """What was spoken.

    Attributes:
        waveform: (T,) float32 in [-1, 1].
        sample_rate: Hz.
        stretches: the normalized text, piece by piece.
        unread: characters that this voice never learnt, with counts; they are not in the audio.
        places: first sample of each stretch and one after its last.
        notes: notes of the backend on parts of the text (cut off, tried again): (part, note).
    """

    waveform: np.ndarray
    sample_rate: int
    stretches: list[Stretch]
    unread: Counter[str] = field(default_factory=Counter)
    places: list[tuple[int, int]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)

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
        notes: as of `Speech`; complete when the pieces are through.
    """

    pieces: Iterator[np.ndarray]
    sample_rate: int
    unread: Counter[str]
    notes: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class TextReading:
    """How a text is read.

    Attributes:
        stretches: in speaking order.
        guesses: words whose reading is a guess, with counts.
        left_out: what is no text (markup, emoji), with counts.
    """

    stretches: list[Stretch]
    guesses: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)


Speak = Callable[[Sequence[Stretch], Sequence[SynthesisRequest]], Sequence[np.ndarray]]
"""Stretches and their requests -> a waveform (T,) each."""


class SpeechMaking:
    """Speech in the making; iterate over it for its parts (T,), several stretches each, silence included.

    Attributes:
        done: stretches that are spoken.
        total: stretches in all.
        unread: as of `Speech`.
    """

    def __init__(
        self,
        backend: Backend,
        stretches: list[Stretch],
        requests: list[SynthesisRequest],
        unread: Counter[str],
        speed: float,
        speak: Speak | None = None,
    ) -> None:
        self._speak: Speak = speak or (lambda _, requests: backend.synthesize(requests))
        self._backend, self._stretches, self._requests, self._speed = backend, stretches, requests, speed
        self.unread, self.done, self.total = unread, 0, len(stretches)
        self._places: list[tuple[int, int]] = []
        self._samples = 0

    @property
    def notes(self) -> list[tuple[str, str]]:
        """(part of the text, note of the backend on it)."""
        return _notes(self._stretches, self._requests)

    def __iter__(self) -> Iterator[np.ndarray]:
        rate = self._backend.sample_rate
        for start in range(0, self.total, TOGETHER):
            here = slice(start, start + TOGETHER)
            waveforms = self._speak(self._stretches[here], self._requests[here])
            parts: list[np.ndarray] = []
            for waveform in waveforms:
                stretch, last = self._stretches[self.done], self.done == self.total - 1
                before, sound, after = with_silence(stretch, waveform, rate, speed=self._speed, last=last)
                self._samples += len(before)
                self._places.append((self._samples, self._samples + len(sound)))
                self._samples += len(sound) + len(after)
                self.done += 1
                parts += [before, sound, after]
            yield np.concatenate(parts)

    def speech(self, waveform: np.ndarray) -> Speech:
        """The finished speech, given the joined parts."""
        rate = self._backend.sample_rate
        return Speech(waveform, rate, self._stretches, self.unread, self._places, self.notes)


class Synthesizer:
    """Speaks with one backend and one normalizer.

    Args:
        backend: in evaluation mode, with a tokenizer.
        normalizer: the one its training text went through.
        untrained: token ids that training never met; speaking them would be noise, so they are left out and reported.
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
        return self.read(text).guesses

    def stretches(self, text: str) -> list[Stretch]:
        """The pieces of a text in speaking order.

        Raises:
            AmttsError: nothing in it can be spoken.
        """
        found = self.read(text).stretches
        if not found:
            raise AmttsError(f"nothing to speak in {_shown(text)}: no letter is left after normalization")
        return found

    def read(self, text: str, *, pauses: Pauses | None = None) -> TextReading:
        """How a text is read; without stretches where no letter is in it.

        Raises:
            AmttsError: a tag or a pause in it that cannot be read.
        """
        language, pauses = self.normalizer.settings.language, pauses or Pauses()
        found = TextReading([])
        out, silence = found.stretches, 0.0
        for part in read_script(text, language=language):
            if isinstance(part, Silence):
                silence += part.seconds
                continue
            pieces = self._pieces_of(part, pauses, found)
            if not pieces:
                continue
            if silence and out:
                out[-1] = replace(out[-1], asked=silence)
            elif silence:
                pieces[0] = replace(pieces[0], before=silence)
            silence = 0.0
            out += pieces
        if silence and out:
            out[-1] = replace(out[-1], asked=silence)
        return found

    def written(self, text: str) -> str:
        """The words of a text as they are written, without markup and pauses."""
        parts = read_script(text, language=self.normalizer.settings.language)
        return " ".join(part.text for part in parts if isinstance(part, Say))

    def _pieces_of(self, part: Say, pauses: Pauses, found: TextReading) -> list[Stretch]:
        """The stretches of words in a row; what is guessed at and left out is counted in `found`."""
        out: list[Stretch] = []
        for sentence in split_sentences(part.text, language=self.normalizer.settings.language):
            reading = self.normalizer.read(sentence)
            found.guesses.update(reading.guesses)
            found.left_out.update(reading.dropped)
            pieces = self._cut(reading.text) if reading.text.strip() else []
            for number, piece in enumerate(pieces, 1):
                if any(character.isalnum() for character in piece):
                    goes_on = number < len(pieces) or piece.endswith(CLAUSE_ENDS)
                    out.append(Stretch(piece, pauses.clause if goes_on else pauses.sentence, part.rate))
        if out and part.ends:
            out[-1] = replace(out[-1], pause=pauses.paragraph)
        elif out and out[-1].text[-1].isalnum():  # goes on in the words that follow
            out[-1] = replace(out[-1], pause=0.0)
        return out

    def _cut(self, sentence: str) -> list[str]:
        """A sentence in pieces that are not too long to listen to, nor for the network: between words, if need be in
        one."""
        pieces = cut_long(sentence, longest=LONGEST)
        most = self.backend.longest_text()
        if most is None:
            return pieces
        out: list[str] = []
        for piece in pieces:
            longest = len(piece)
            while (
                tokens := max(len(self._tokenizer.encode(p)) for p in cut_words(piece, longest=longest))
            ) > most:
                longest = max(1, min(longest - 1, int(longest * most / tokens)))
                if longest == 1:
                    break
            out += cut_words(piece, longest=longest)
        return out

    def speak(
        self,
        text: str,
        *,
        speed: float = 1.0,
        seed: int = 0,
        speaker: str = "",
        tone: Tone = PLAIN,
        pauses: Pauses | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Speech:
        """Speaks a text of any length.

        Args:
            text: as a person writes it, see `amtts_core.synthesis.script`.
            speed: 1.0 is the voice's own pace; 0.25 to 4.
            seed: makes it reproducible.
            speaker: a speaker of the checkpoint, empty for its first.
            tone: pitch and the width of its contour.
            pauses: between sentences and paragraphs.
            on_progress: called with (stretches done, stretches in all).

        Raises:
            AmttsError: an impossible speed, an unknown speaker, or nothing that can be read.
        """
        making = self.making(text, speed=speed, seed=seed, speaker=speaker, tone=tone, pauses=pauses)
        parts: list[np.ndarray] = []
        for part in making:
            parts.append(part)
            if on_progress:
                on_progress(making.done, making.total)
        return making.speech(np.concatenate(parts))

    def making(
        self,
        text: str,
        *,
        speed: float = 1.0,
        seed: int = 0,
        speaker: str = "",
        tone: Tone = PLAIN,
        pauses: Pauses | None = None,
        by: Speak | None = None,
    ) -> SpeechMaking:
        """The speech of `speak`, part by part as it is made: for texts so long that they are written meanwhile.

        Args:
            text, speed, seed, speaker, tone, pauses: as for `speak`.
            by: speaks the stretches in place of the backend.

        Raises:
            AmttsError: as `speak`.
        """
        spoken, requests, unread = self._requests(
            text, speed=speed, seed=seed, speaker=speaker, tone=tone, pauses=pauses
        )
        return SpeechMaking(self.backend, spoken, requests, unread, speed, by)

    def stream(
        self,
        text: str,
        *,
        speed: float = 1.0,
        seed: int = 0,
        speaker: str = "",
        tone: Tone = PLAIN,
        pauses: Pauses | None = None,
    ) -> SpeechStream:
        """Speaks a text and hands each piece over as soon as it is there.

        Joined, the pieces are what `speak` says where the backend speaks a sentence alone as it does among others. A
        backend that streams gives sound before its first sentence is complete, any other sentence by sentence.

        Args:
            text: as a person writes it, see `amtts_core.synthesis.script`.
            speed: 1.0 is the voice's own pace; 0.25 to 4.
            seed: makes it reproducible.
            speaker: a speaker of the checkpoint, empty for its first.
            tone: pitch and the width of its contour.
            pauses: between sentences and paragraphs.

        Raises:
            AmttsError: an impossible speed, an unknown speaker, or nothing that can be read.
        """
        kept, requests, unread = self._requests(
            text, speed=speed, seed=seed, speaker=speaker, tone=tone, pauses=pauses
        )
        notes: list[tuple[str, str]] = []
        return SpeechStream(self._pieces(kept, requests, speed, notes), self.sample_rate, unread, notes)

    def _pieces(
        self,
        kept: list[Stretch],
        requests: list[SynthesisRequest],
        speed: float,
        notes: list[tuple[str, str]],
    ) -> Iterator[np.ndarray]:
        for number, (stretch, request) in enumerate(zip(kept, requests, strict=True), 1):
            streaming = self.backend.spec.streaming
            spoken = (
                streaming.of(self.backend).stream(request)
                if streaming
                else self.backend.synthesize([request])
            )
            yield from self._silence(stretch.before)
            yield from faded_stream(spoken, self.sample_rate)
            notes += _notes([stretch], [request])
            yield from self._silence(stretch.silence(speed, last=number == len(kept)))

    def _silence(self, seconds: Seconds) -> Iterator[np.ndarray]:
        if samples := round(seconds * self.sample_rate):
            yield np.zeros(samples, dtype=np.float32)

    def _requests(
        self,
        text: str,
        *,
        speed: float,
        seed: int,
        speaker: str,
        tone: Tone = PLAIN,
        pauses: Pauses | None = None,
    ) -> tuple[list[Stretch], list[SynthesisRequest], Counter[str]]:
        """What is spoken of a text, as requests, and what of it is not known."""
        if not SLOWEST <= speed <= FASTEST:
            raise AmttsError(f"speed {speed:g} is out of range; expected {SLOWEST:g} to {FASTEST:g}")
        self._check_tone(tone)
        kept, unread = self._readable(text, pauses)
        number = self.backend.speakers.id_of(speaker)
        requests = [
            SynthesisRequest(
                tokens=tokens,
                speed=min(max(speed * stretch.rate, SLOWEST), FASTEST),
                seed=seed,
                speaker=number,
                pitch=tone.pitch,
                pitch_range=tone.range,
                final_rise=tone.question_rise if is_question(stretch.text) else 0.0,
                notes=[],
            )
            for stretch, tokens in kept
        ]
        return [stretch for stretch, _ in kept], requests, unread

    def _check_tone(self, tone: Tone) -> None:
        """Refuses a tone that this voice cannot have."""
        if not -12 <= tone.pitch <= 12:
            raise AmttsError(f"pitch {tone.pitch:g} is out of range; expected -12 to 12 semitones")
        if not 0 <= tone.range <= 3:
            raise AmttsError(f"pitch range {tone.range:g} is out of range; expected 0 to 3")
        if not -12 <= tone.question_rise <= 12:
            raise AmttsError(
                f"question rise {tone.question_rise:g} is out of range; expected -12 to 12 semitones"
            )
        control = self.backend.spec.pitch_control
        if tone != PLAIN and (control is None or not control.of(self.backend).has_pitch()):
            raise AmttsError(
                f"this checkpoint of backend '{self.backend.spec.name}' has no pitch that can be changed",
                remedy="Leave --pitch, --pitch-range and --question-rise out, or take a voice that models pitch:"
                " --checkpoint base",
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

    def check(self, text: str) -> None:
        """Raises the `AmttsError` that `speak` would raise because of the text, without speaking."""
        self._readable(text)

    def _readable(
        self, text: str, pauses: Pauses | None = None
    ) -> tuple[list[tuple[Stretch, list[int]]], Counter[str]]:
        """The stretches that hold a known letter, with their tokens, and the characters that are not known."""
        unread: Counter[str] = Counter()
        found = self.read(text, pauses=pauses).stretches or self.stretches(text)
        encoded = [(stretch, self._encode(stretch.text, unread)) for stretch in found]
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


def _notes(stretches: list[Stretch], requests: list[SynthesisRequest]) -> list[tuple[str, str]]:
    return [
        (s.text, note) for s, request in zip(stretches, requests, strict=True) for note in request.notes or ()
    ]


def _shown(text: str) -> str:
    flat = " ".join(text.split())
    return repr(flat if len(flat) <= 40 else flat[:40] + "…")
