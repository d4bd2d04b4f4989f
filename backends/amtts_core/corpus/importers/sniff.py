"""The one step that says what a file is: by its first bytes, its name, its keys and its lines.

The answer names the importer that reads it, or says what the file is and what to do about it. Raises nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from amtts_core.audio.kinds import HEAD, kind_of, pointer
from amtts_core.corpus.importers.json_rows import is_json_name
from amtts_core.corpus.importers.sheet import SHEET_SUFFIXES
from amtts_core.corpus.importers.walk import SOUND_SUFFIXES, suffix_of
from amtts_core.corpus.subtitles.read import ANNOTATIONS, CAPTIONS, is_timed

TIMED = "texts with times"
"""What a label track is: it needs its recording."""
_PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ")
_COLUMNAR = (".parquet", ".arrow")
_DOCUMENTS = {
    "word/": ("a Word document", "save the list as a table: CSV UTF-8, or .xlsx"),
    "ppt/": ("a PowerPoint document", "save the list as a table: CSV UTF-8, or .xlsx"),
    "Index/": ("a file of Apple Numbers, Pages or Keynote", "export it as CSV or Excel"),
    "content.xml": ("an OpenDocument text", "save the list as a table: CSV UTF-8, or .ods"),
}
_UNREADABLE = {
    "a PDF document": "copy the list into a table: CSV UTF-8",
    "a gzip file": "unpack it first: gunzip",
    "a bzip2 file": "unpack it first: bunzip2",
    "an xz file": "unpack it first: unxz",
    "a 7z archive": "unpack it first, or pack it as .zip or .tar.gz",
    "a RAR archive": "unpack it first, or pack it as .zip or .tar.gz",
    "a Zstandard file": "unpack it first: unzstd",
    "an SQLite database": "export the table as CSV UTF-8",
    "an old Office document": "save it as .xlsx or CSV UTF-8",
    "a web page": "download the data itself",
    "a NumPy array": "write the samples to WAV files and list them in a table",
    "a MIDI file": "MIDI holds notes and no voice",
    "a JPEG picture": "give recordings and a table",
    "a PNG picture": "give recordings and a table",
    "a GIF picture": "give recordings and a table",
}
_SUFFIXES = {
    ".rttm": ("a list of who speaks when (RTTM), without words", "give a table with start, end and text"),
    ".stm": ("a NIST list of segments (stm)", "write it as a table with start, end, speaker and text"),
    ".ctm": ("a NIST list of words (ctm)", "write it as a table with start, end and text"),
    ".trs": (
        "a file of Transcriber",
        "open it in ELAN or Transcriber and export captions (.srt) or a TextGrid",
    ),
    ".docx": _DOCUMENTS["word/"],
    ".pkl": ("a pickle, which is never opened", "write it as JSON lines or CSV"),
    ".pickle": ("a pickle, which is never opened", "write it as JSON lines or CSV"),
    ".pt": ("a file of torch, which is never opened", "write it as JSON lines or CSV"),
    ".npz": ("NumPy arrays", "write the samples to WAV files and list them in a table"),
    ".tfrecord": ("TensorFlow records", "export the recordings and a table"),
    ".ark": ("a Kaldi archive", "write the recordings to files: wav-copy ark:x.ark scp,t:..."),
    ".raw": (
        "sound without a header",
        "convert it to WAV: sox -t raw -r 16000 -e signed -b 16 -c 1 x.raw x.wav",
    ),
    ".lrc": ("timed lyrics", "convert them to .srt"),
    ".srv1": ("YouTube's own captions", "download them as .vtt: yt-dlp --sub-format vtt"),
    ".srv2": ("YouTube's own captions", "download them as .vtt: yt-dlp --sub-format vtt"),
    ".srv3": ("YouTube's own captions", "download them as .vtt: yt-dlp --sub-format vtt"),
    ".json3": ("YouTube's own captions", "download them as .vtt: yt-dlp --sub-format vtt"),
}


@dataclass(frozen=True)
class Sniffed:
    """What a file is.

    Attributes:
        what: for people: "this is ...".
        importers: names of the importers that may read it; empty where none does.
        remedy: what to do where none does.
    """

    what: str
    importers: tuple[str, ...] = ()
    remedy: str = ""


def sniff(path: Path) -> Sniffed:
    """What a file is, whatever it is called."""
    try:
        with path.open("rb") as handle:
            head = handle.read(HEAD)
    except OSError as error:
        return Sniffed(f"a file that cannot be opened: {error.strerror}")
    suffix = suffix_of(path.name)
    if not head:
        return Sniffed("an empty file", ("csv",))
    if problem := pointer(head):
        return Sniffed(f"no data: it {problem}", (), problem)
    kind, name = kind_of(head)
    if suffix in SHEET_SUFFIXES and (head.startswith(b"PK") or name == "an old Office document"):
        return Sniffed("a spreadsheet", ("csv",))
    if head.startswith(b"PAR1") or head.startswith(b"ARROW1") or suffix in _COLUMNAR:
        return Sniffed("a columnar file", ("hf",))
    if head.startswith(b"PK"):
        return _zipped(path)
    if head.startswith(_PACKED) or name == "a tar archive":
        from amtts_core.corpus.importers.archive import is_archive

        if is_archive(path):
            return Sniffed("an archive", ("archive",))
    if is_json_name(path):
        return Sniffed("JSON", ("subtitles",) if is_timed(path) else ("amtts", "nemo", "hf", "json"))
    if suffix in _SUFFIXES:
        return Sniffed(*_SUFFIXES[suffix][:1], (), _SUFFIXES[suffix][1])
    if suffix in CAPTIONS or suffix in ANNOTATIONS:
        return Sniffed("captions or annotations", ("subtitles",))
    if kind in ("wav", "ogg", "flac", "mp3", "sndfile", "media") or (
        suffix in SOUND_SUFFIXES and kind != "text"
    ):
        return Sniffed(f"a recording ({name})", ("subtitles", "wav-txt"))
    if name in _UNREADABLE:
        return Sniffed(name, (), _UNREADABLE[name])
    if is_timed(path):
        return Sniffed(TIMED, ("subtitles", "wav-txt"))
    if kind == "text" or b"\0" in head:  # UTF-16 holds zero bytes
        text = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
        if text in (b"{", b"[") and kind == "text":
            return Sniffed("JSON", ("json", "csv"))
        return Sniffed("text", ("csv", "ljspeech", "common-voice", "fleurs", "hf", "wav-txt"))
    return Sniffed(name, ("csv",))


def _zipped(path: Path) -> Sniffed:
    """What a zip file is: an archive, or a document that is packed as one."""
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, NotImplementedError):
        return Sniffed("a damaged zip archive", (), "Fetch it again")
    if any(name.startswith("xl/") for name in names) or "styles.xml" in names and "content.xml" in names:
        return Sniffed("a spreadsheet", ("csv",))
    for inner, (what, remedy) in _DOCUMENTS.items():
        if any(name.startswith(inner) for name in names) and (
            "[Content_Types].xml" in names or inner != "word/"
        ):
            if inner == "content.xml" and "mimetype" not in names:
                continue
            if inner == "Index/" and not any(name.endswith(".iwa") for name in names):
                continue
            return Sniffed(what, (), remedy)
    return Sniffed("an archive", ("archive",))
