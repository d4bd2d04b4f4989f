"""Which role a column has by its name: the names that other tools and people give."""

from __future__ import annotations

import re
import unicodedata

AUDIO_NAMES = (
    "audio_file", "audio", "audio_filepath", "audio_path", "audio_filename", "audio_file_path", "audio_file_name",
    "audio_url", "path", "file", "file_name", "filename", "file_path", "filepath", "wav", "wav_path", "wav_file",
    "wav_filename", "wav_filepath", "wav_name", "wavs", "clip", "clip_path", "recording", "sound", "sound_file",
    "sound_path", "speech", "audios", "utterance_path", "ፋይል", "ድምፅ", "ድምጽ", "የድምፅ_ፋይል", "የድምጽ_ፋይል", "id", "name",
    "utt_id", "utterance_id", "audio_id", "clip_id", "key", "basename",
)  # fmt: skip
TEXT_NAMES = (
    "text", "transcription", "transcript", "sentence", "raw_text", "raw", "raw_transcription", "txt", "words",
    "utterance", "characters", "caption", "content", "label_text", "orthographic", "ጽሑፍ", "ጽሁፍ", "አረፍተ_ነገር", "ዓረፍተ_ነገር",
)  # fmt: skip
SPOKEN_NAMES = (
    "normalized_text", "normalised_text", "normalized_transcription", "normalized", "normalised", "text_normalized",
    "normalized_transcript", "norm_text", "text_norm", "clean_text", "cleaned_text",
)  # fmt: skip
SPEAKER_NAMES = (
    "speaker_name", "speaker", "speaker_id", "client_id", "spk", "spk_id", "spkid", "spk_name", "speakerid", "speakers",
    "speaker_label", "reader", "reader_id", "narrator", "voice", "voice_id", "user_id", "contributor_id", "sid",
    "person", "talker", "participant", "participant_id", "subject", "informant", "actor", "voice_actor", "performer",
    "ተናጋሪ", "አንባቢ",
)  # fmt: skip
START_NAMES = (
    "start", "start_time", "begin", "begin_time", "offset", "onset", "start_s", "start_sec", "start_seconds",
    "start_ms", "start_time_s", "start_time_ms", "begin_s", "begin_ms", "segment_start", "starttime", "tmin", "xmin",
    "from", "from_s", "audio_start", "timestamp_start",
    "t0", "t_start", "start_sample", "start_frame", "von", "debut", "inicio", "መነሻ", "መጀመሪያ",
)  # fmt: skip
END_NAMES = (
    "end", "end_time", "stop", "stop_time", "offset_end", "end_s", "end_sec", "end_seconds", "end_ms", "end_time_s",
    "end_time_ms", "segment_end", "endtime", "tmax", "xmax", "to", "to_s", "audio_end", "timestamp_end",
    "t1", "t_end", "end_sample", "end_frame", "bis", "fin", "መድረሻ", "መጨረሻ", "ማብቂያ",
)  # fmt: skip
DURATION_NAMES = (
    "duration", "dur", "duration_s", "duration_sec", "duration_seconds", "duration_ms", "length", "length_s",
    "length_ms", "audio_duration", "audio_length", "seconds", "clip_duration",
)  # fmt: skip
LANGUAGE_NAMES = ("language", "lang", "language_id", "lang_id", "locale", "lang_code", "language_code", "ቋንቋ")
CHANNEL_NAMES = ("channel", "channels", "channel_id", "audio_channel")
SPLIT_NAMES = ("split", "subset", "partition", "fold", "set")
TAG_NAMES = (
    "gender", "sex", "age", "age_group", "accent", "accents", "dialect", "variant", "licence", "license", "emotion",
    "emotion_name", "style", "quality", "domain",
)  # fmt: skip

NAMES: dict[str, tuple[str, ...]] = {
    "audio": AUDIO_NAMES,
    "text": TEXT_NAMES,
    "spoken": SPOKEN_NAMES,
    "speaker": SPEAKER_NAMES,
    "start": START_NAMES,
    "end": END_NAMES,
    "duration": DURATION_NAMES,
    "language": LANGUAGE_NAMES,
    "channel": CHANNEL_NAMES,
    "split": SPLIT_NAMES,
}
"""Role -> names, those that are surest first."""
ROLES = (*NAMES, "name")
_WORDS = {
    "audio": {
        "audio",
        "wav",
        "file",
        "filename",
        "filepath",
        "path",
        "clip",
        "recording",
        "sound",
        "ፋይል",
        "ድምፅ",
        "ድምጽ",
    },
    "text": {"text", "transcript", "transcription", "sentence", "utterance", "ጽሑፍ", "ጽሁፍ"},
    "speaker": {"speaker", "spk", "reader", "narrator", "ተናጋሪ"},
    "start": {"start", "begin", "onset"},
    "end": {"end", "stop"},
}
LANGUAGES = frozenset((
    "am", "amh", "ti", "tir", "om", "orm", "so", "som", "en", "eng", "fr", "fra", "fre", "de", "deu", "es", "spa",
    "it", "ita", "pt", "por", "ru", "rus", "ar", "ara", "zh", "zho", "cmn", "yue", "jp", "ja", "jpn", "ko", "kor", "hi",
    "hin", "sw", "swa", "nl", "pl", "tr", "vi", "th", "id", "fa", "ur", "bn", "ta", "te", "he", "el", "uk", "amharic",
    "tigrinya", "oromo", "somali", "english", "french", "arabic", "chinese", "japanese", "korean",
))  # fmt: skip
"""Codes and names of languages, as columns and names of files carry them."""
_BRACKET = re.compile(r"[\[(](?P<inside>[^\])]*)[\])]")


def plain_name(name: str) -> str:
    """A column's name as the lists have it: small letters, words joined by `_`, nothing in brackets."""
    text = unicodedata.normalize("NFC", name).strip().lstrip("\ufeff").casefold()
    return re.sub(r"[^\w]+", "_", _BRACKET.sub(" ", text)).strip("_")


def unit_in_name(name: str) -> str:
    """The unit of time that a column's name carries, as in `start_ms` and `duration[ms]`; empty where it has none."""
    text = name.strip().casefold()
    bracket = _BRACKET.search(text)
    last = bracket["inside"].strip() if bracket else plain_name(name).rpartition("_")[2]
    units = {
        "ms": "ms",
        "msec": "ms",
        "milliseconds": "ms",
        "millis": "ms",
        "samples": "samples",
        "frames": "samples",
    }
    seconds = {"s": "s", "sec": "s", "secs": "s", "seconds": "s", "second": "s"}
    return (units | seconds).get(last, "")


def has_word_of(role: str, name: str) -> bool:
    """True where a name holds one of the words by which a role is called."""
    return bool(_WORDS.get(role, set()) & set(plain_name(name).split("_")))


def is_known(name: str) -> bool:
    """True for a name of any role."""
    plain = plain_name(name)
    return any(plain in names for names in NAMES.values())
