"""A loaded voice: text in, speech out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amtts.speech import Piece, Speech, SpeechStream
from amtts_core.errors import AmttsError

if TYPE_CHECKING:
    from amtts_core.synthesis.engine import Synthesizer, TextReading
    from amtts_core.synthesis.stitch import Pauses

AnyPath = str | PathLike[str]
LONGEST_PAUSE = 60.0


def load(
    source: AnyPath,
    *,
    device: str = "cpu",
    voice: AnyPath | None = None,
    vocoder: AnyPath | None = None,
    lexicon: AnyPath | Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
    revision: str | None = None,
) -> Voice:
    """Loads a voice. It needs nothing else, except the codec that a checkpoint over speech codes names.

    So that memory stays flat over many texts, oneDNN is asked to keep few kernels (ONEDNN_PRIMITIVE_CACHE_CAPACITY,
    where the environment says nothing): that counts in a process that has not computed with torch before.

    Args:
        source: run folder (its best checkpoint), checkpoint folder, or a repository `org/name` on the Hugging Face hub.
        device: where the network computes: cpu, cuda, cuda:1.
        voice: recording to speak like, or the name of a voice kept with the checkpoint.
        vocoder: what turns mels into sound in place of its own: griffin-lim, or a file or folder of weights.
        lexicon: word to its reading, or a file of `word<TAB>reading` lines; wins over every rule.
        settings: of the network, such as `{"sampling": {"temperature": 0.0}}`; `amtts config` lists them.
        revision: branch, tag or commit of a repository on the hub.

    Raises:
        AmttsError: there is no voice, it is damaged, or one of the arguments does not fit it; says what mends it.

    Example:
        >>> voice = amtts.load("run")
        >>> voice.speak("ሰላም ለዓለም።").save("hello.wav")
    """
    from amtts_core.checkpoints.hub import local_checkpoint
    from amtts_core.memory import KERNELS, limit_prepared_kernels
    from amtts_core.synthesis.engine import Synthesizer
    from amtts_core.text.lexicon import read_lexicon

    limit_prepared_kernels(KERNELS)
    _check_device(device)
    folder = local_checkpoint(source, revision=revision)
    chosen = dict(settings or {})
    if voice is not None:
        from amtts_core.synthesis.kept_voices import find_voice

        if "voice_clip" in chosen:
            raise AmttsError(
                "the voice is given twice: as voice and as settings['voice_clip']", remedy="Give one"
            )
        chosen["voice_clip"] = str(find_voice(folder, str(voice)))
    readings = lexicon if isinstance(lexicon, Mapping) else read_lexicon(Path(lexicon)) if lexicon else {}
    synthesizer = Synthesizer.from_checkpoint(
        folder,
        device=device,
        settings=chosen or None,
        lexicon=readings,
        vocoder=None if vocoder is None else str(vocoder),
    )
    return Voice(synthesizer, folder)


class Voice:
    """A voice that speaks; made by `amtts.load`.

    Safe to share between threads: a call keeps what it computes to itself, so the same text and seed give the same
    samples however many calls run at once.
    """

    def __init__(self, synthesizer: Synthesizer, folder: Path) -> None:
        self._synthesizer = synthesizer
        self._folder = folder

    def __repr__(self) -> str:
        return f"<amtts.Voice {self.backend} of {self._folder}, {self.sample_rate} Hz>"

    @property
    def folder(self) -> Path:
        """Where it was loaded from."""
        return self._folder

    @property
    def backend(self) -> str:
        """Name of its model family, such as `vits`."""
        return self._synthesizer.backend.spec.name

    @property
    def sample_rate(self) -> int:
        """Of its speech, Hz."""
        return self._synthesizer.sample_rate

    @property
    def language(self) -> str:
        """Code of the language that it reads."""
        return self._synthesizer.normalizer.settings.language

    @property
    def speakers(self) -> tuple[str, ...]:
        """Names of its speakers; empty for a single voice without a name. The first speaks where none is named."""
        return tuple(name for name in self._synthesizer.backend.speakers.names if name)

    @property
    def synthesizer(self) -> Synthesizer:
        """What speaks, an object of the core; not part of the stable interface."""
        return self._synthesizer

    def speak(
        self,
        text: str,
        *,
        speaker: str = "",
        speed: float = 1.0,
        pitch: float = 0.0,
        pitch_range: float = 1.0,
        question_rise: float = 0.0,
        seed: int = 0,
        sentence_pause: float | None = None,
        paragraph_pause: float | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Speech:
        """Speaks a text of any length.

        Args:
            text: as a person writes it. Blank lines end paragraphs; `[pause:1.5s]` and a subset of SSML are read.
            speaker: one of `speakers`; empty for the first.
            speed: 1.0 is the voice's own pace; 0.25 to 4.
            pitch: semitones above the voice's own pitch, below where negative; -12 to 12.
            pitch_range: width of the contour; 1 is the voice's own, 0 a monotone; 0 to 3.
            question_rise: semitones by which the end of a question rises; -12 to 12.
            seed: the same seed gives the same speech.
            sentence_pause: seconds between sentences; None takes 0.35.
            paragraph_pause: seconds between paragraphs; None takes 0.7.
            on_progress: called with (sentences spoken, sentences in all).

        Raises:
            AmttsError: no letter of the text is known to the voice, an unknown speaker, an impossible speed, or a
                pitch for a voice that has none.
        """
        from amtts_core.synthesis.engine import Tone

        tone = Tone(pitch, pitch_range, question_rise)
        spoken = self._synthesizer.speak(
            text,
            speed=speed,
            seed=seed,
            speaker=speaker,
            tone=tone,
            pauses=pauses_of(sentence_pause, paragraph_pause),
            on_progress=on_progress,
        )
        return speech_of(spoken, self._synthesizer.read(text))

    def stream(
        self,
        text: str,
        *,
        speaker: str = "",
        speed: float = 1.0,
        pitch: float = 0.0,
        pitch_range: float = 1.0,
        question_rise: float = 0.0,
        seed: int = 0,
        sentence_pause: float | None = None,
        paragraph_pause: float | None = None,
    ) -> SpeechStream:
        """Speaks a text and hands over each piece of sound as soon as it is there.

        Args:
            text: as for `speak`.
            speaker: one of `speakers`; empty for the first.
            speed: 1.0 is the voice's own pace; 0.25 to 4.
            pitch: semitones above the voice's own pitch, below where negative; -12 to 12.
            pitch_range: width of the contour; 1 is the voice's own, 0 a monotone; 0 to 3.
            question_rise: semitones by which the end of a question rises; -12 to 12.
            seed: the same seed gives the same speech.
            sentence_pause: seconds between sentences; None takes 0.35.
            paragraph_pause: seconds between paragraphs; None takes 0.7.

        Raises:
            AmttsError: as `speak`, before the first piece.

        Example:
            >>> for samples in voice.stream("ሰላም። እንዴት ነህ?"):
            ...     player.write(samples)
        """
        from amtts_core.synthesis.engine import Tone

        made = self._synthesizer.stream(
            text,
            speed=speed,
            seed=seed,
            speaker=speaker,
            tone=Tone(pitch, pitch_range, question_rise),
            pauses=pauses_of(sentence_pause, paragraph_pause),
        )
        return SpeechStream(made.pieces, made.sample_rate, made.unread, made.notes)

    def guesses(self, text: str) -> Counter[str]:
        """Words of a text whose reading is a guess, with counts; readings for `load(lexicon=...)` settle them."""
        return self._synthesizer.guesses(text)

    def check(self, text: str) -> None:
        """Raises the `AmttsError` that `speak` would raise because of the text, without speaking."""
        self._synthesizer.check(text)


def speech_of(spoken: Any, reading: TextReading) -> Speech:
    """The public form of a speech of the engine and of how its text was read."""
    places = spoken.places or [(0, 0)] * len(spoken.stretches)
    pieces = tuple(
        Piece(stretch.text, *place) for stretch, place in zip(spoken.stretches, places, strict=True)
    )
    return Speech(
        spoken.waveform,
        spoken.sample_rate,
        pieces,
        spoken.unread,
        reading.guesses,
        reading.left_out,
        tuple(spoken.notes),
    )


def pauses_of(sentence: float | None, paragraph: float | None) -> Pauses:
    """Pauses of the engine; None keeps its own."""
    from amtts_core.synthesis.stitch import Pauses

    given = {"sentence": sentence, "paragraph": paragraph}
    for name, seconds in given.items():
        if seconds is not None and not 0 <= seconds <= LONGEST_PAUSE:
            raise AmttsError(f"{name} pause {seconds:g} s is out of range; expected 0 to {LONGEST_PAUSE:g} s")
    return Pauses(**{name: seconds for name, seconds in given.items() if seconds is not None})


def _check_device(device: str) -> None:
    """Refuses a device that torch cannot use here."""
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise AmttsError(
            f"device '{device}' cannot be used: {str(error).splitlines()[0]}", remedy="Use --device cpu"
        ) from None
