"""What requests and replies hold; the OpenAPI document is made from these."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StringConstraints, field_validator

LARGEST_SEED = 2**63 - 1
NAME = Annotated[str, StringConstraints(max_length=256)]
Format = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]


class Request(BaseModel):
    """Unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class VoiceId(Request):
    """A voice as an object."""

    id: NAME = Field(description="Name of the voice.")


class SpeakRequest(Request):
    """What every request for speech holds."""

    input: str = Field(min_length=1, description="The text to speak.", examples=["ሰላም ለዓለም።"])
    model: NAME = Field(
        "amtts", description="`amtts`, or one of the names that OpenAI's clients send; all mean amtts."
    )
    voice: NAME | VoiceId = Field(
        "default",
        description="Name of a voice, or NAME:SPEAKER; `default` is the first.",
        examples=["default"],
    )
    speed: float = Field(1.0, ge=0.25, le=4.0, allow_inf_nan=False, description="1 is the voice's own pace.")
    language: NAME | None = Field(None, description="Refuses a voice of another language.", examples=["am"])
    seed: Annotated[StrictInt, Field(ge=0, le=LARGEST_SEED)] = Field(
        0, description="The same seed gives the same speech."
    )
    sample_rate: StrictInt | None = Field(
        None, ge=8000, le=48_000, description="Hz; without it the voice's own, and 24000 for pcm."
    )
    instructions: str | None = Field(None, description="Taken for the sake of clients, without effect.")

    @field_validator("input")
    @classmethod
    def _is_text(cls, value: str) -> str:
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise ValueError("holds half a surrogate pair, which is no character")
        return value

    @property
    def voice_name(self) -> str:
        """Name of the voice."""
        return self.voice if isinstance(self.voice, str) else self.voice.id


class SpeechRequest(SpeakRequest):
    """Body of POST /v1/audio/speech."""

    response_format: Format = Field("mp3", description="Coding of the speech.")
    stream_format: Literal["audio", "sse"] | None = Field(
        None,
        description="`audio` sends the file as it is made, `sse` events with pieces of it. Without it mp3, opus, aac "
        "and pcm are sent as they are made, and wav and flac, whose header holds their length, as a whole.",
    )


class LineRequest(SpeakRequest):
    """A line for the websocket."""

    response_format: Format = Field("pcm", description="Coding of the speech.")


class TimestampsRequest(SpeakRequest):
    """Body of POST /v1/audio/speech/timestamps."""

    response_format: Format = Field("wav", description="Coding of the speech.")


class WordTime(BaseModel):
    """A word and its seconds from the beginning."""

    word: str
    start: float
    end: float


class TimestampsReply(BaseModel):
    """Speech with the times of its words."""

    audio: str = Field(description="The file, in base64.")
    format: Format
    sample_rate: int = Field(description="Hz.")
    duration: float = Field(description="Seconds.")
    text: str = Field(description="The text as it was read: numbers and abbreviations written out.")
    words: list[WordTime] = Field(
        description="In order; a word that was not found in the speech is left out."
    )
    unread: dict[str, int] = Field(description="Characters that the voice does not know, with counts.")


class NormalizeRequest(Request):
    """Body of POST /v1/text/normalize."""

    input: str = Field(description="The text.", examples=["በ1984 ዓ.ም. 27 ብር ከፈለ።"])
    language: NAME = Field("am", description="Code of the language.", examples=["am"])

    _is_text = field_validator("input")(SpeakRequest._is_text.__func__)  # type: ignore[attr-defined]


class NormalizeReply(BaseModel):
    """A text as it is read aloud."""

    text: str = Field(examples=["በአንድ ሺህ ዘጠኝ መቶ ሰማንያ አራት አመተ ምህረት ሀያ ሰባት ብር ከፈለ።"])
    language: str


class Model(BaseModel):
    """A model in OpenAI's format."""

    id: str = Field(examples=["amtts"])
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "amtts"


class ModelList(BaseModel):
    """Models in OpenAI's format."""

    object: Literal["list"] = "list"
    data: list[Model]


class VoiceInfo(BaseModel):
    """A voice of the server."""

    id: str = Field(examples=["selam"])
    name: str
    loaded: bool = Field(description="Whether it is in memory.")
    language: str | None = Field(None, description="Known once it was loaded.")
    sample_rate: int | None = Field(None, description="Hz; known once it was loaded.")
    speakers: list[str] = Field(default_factory=list, description="Known once it was loaded.")


class VoiceList(BaseModel):
    """Voices of the server."""

    voices: list[VoiceInfo]


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorReply(BaseModel):
    """An error in OpenAI's format."""

    error: ErrorDetail
