"""Every word of the interface, in English and in Amharic: one table, a section a tab."""

from __future__ import annotations

from typing import Literal, get_args

Language = Literal["am", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

# key: (English, Amharic)
STRINGS: dict[str, tuple[str, str]] = {
    # everywhere
    "title": ("amtts studio", "አማርኛ ንግግር ስቱዲዮ"),
    "subtitle": ("From recordings to a voice, on this machine.", "ከቅጂ እስከ ድምፅ፣ በዚህ ኮምፒውተር ላይ።"),
    "other_language": ("አማርኛ", "English"),
    "dark": ("Light or dark", "ብሩህ ወይም ጨለማ"),
    "workspace": ("Workspace", "የሥራ ማኅደር"),
    "refresh": ("Look again", "እንደገና ፈልግ"),
    "stop": ("Stop", "አቁም"),
    "log": ("Log", "መዝገብ"),
    "state": ("State", "ሁኔታ"),
    "none_yet": ("Nothing yet.", "እስካሁን ምንም የለም።"),
    "started": ("Job {id} was started.", "ሥራ {id} ተጀምሯል።"),
    "stopping": ("Job {id} was asked to stop.", "ሥራ {id} እንዲቆም ተጠይቋል።"),
    "no_job": ("No job runs.", "የሚሠራ ሥራ የለም።"),
    # states of jobs
    "state.queued": ("waits for its turn", "ተራ ይጠብቃል"),
    "state.running": ("runs", "በሥራ ላይ"),
    "state.done": ("done", "ተጠናቋል"),
    "state.failed": ("failed", "አልተሳካም"),
    "state.stopped": ("stopped", "ቆሟል"),
    "state.lost": ("ended unseen", "ሳይታወቅ አብቅቷል"),
    # jobs
    "jobs": ("Jobs", "ሥራዎች"),
    "jobs.id": ("Job", "ሥራ"),
    "jobs.title": ("What", "ምን"),
    "jobs.began": ("Asked for", "የተጠየቀበት"),
    "jobs.took": ("Time", "ጊዜ"),
    "jobs.choose": ("Job", "ሥራ"),
    "jobs.choose_info": ("Its log is shown below.", "መዝገቡ ከታች ይታያል።"),
    # names of tabs
    "tab.speak": ("Speak", "አናግር"),
    "tab.import": ("Import", "አስገባ"),
    "tab.datasets": ("Datasets", "መረጃዎች"),
    "tab.tokenizer": ("Tokenizer", "ፊደል መለያ"),
    "tab.model": ("Model setup", "ሞዴል ማዘጋጃ"),
    "tab.train": ("Train", "አሠልጥን"),
    "tab.evaluate": ("Evaluate", "መዝን"),
    "tab.record": ("Record", "ቅዳ"),
    "tab.jobs": ("Jobs", "ሥራዎች"),
    # speak
    "speak.text": ("Text", "ጽሑፍ"),
    "speak.text_info": (
        "As a person writes it; numbers and abbreviations are read out. Blank lines end paragraphs.",
        "ሰው እንደሚጽፈው፤ ቁጥሮችና ምሕጻረ ቃላት ተነብበው ይነገራሉ። ባዶ መስመር አንቀጽን ይዘጋል።",
    ),
    "speak.example": ("ሰላም ለዓለም። እንዴት ናችሁ?", "ሰላም ለዓለም። እንዴት ናችሁ?"),
    "speak.voice": ("Voice", "ድምፅ"),
    "speak.voice_info": (
        "base comes along; the others are runs of this workspace, heard at their best checkpoint.",
        "base አብሮ የመጣ ነው፤ ሌሎቹ በዚህ ማኅደር የሠለጠኑ ናቸው።",
    ),
    "speak.other": ("Second voice, to compare", "ለማወዳደር ሁለተኛ ድምፅ"),
    "speak.other_info": ("Speaks the same text with the same seed.", "ያንኑ ጽሑፍ በዚያው ዘር ይናገራል።"),
    "speak.how": ("How", "አነጋገር"),
    "speak.speed": ("Speed", "ፍጥነት"),
    "speak.speed_info": ("1 is the voice's own pace.", "1 የድምፁ የራሱ ፍጥነት ነው።"),
    "speak.seed": ("Seed", "ዘር"),
    "speak.seed_info": ("The same seed gives the same speech.", "ያው ዘር ያንኑ ንግግር ይሰጣል።"),
    "speak.sentence_pause": ("Pause between sentences, s", "በዓረፍተ ነገሮች መካከል ዕረፍት፣ ሰከንድ"),
    "speak.paragraph_pause": ("Pause between paragraphs, s", "በአንቀጾች መካከል ዕረፍት፣ ሰከንድ"),
    "speak.reference": ("Recording to speak like", "እንደዚህ ቅጂ ተናገር"),
    "speak.reference_info": (
        "For voices that can; leave it empty otherwise.",
        "ለሚችሉ ድምፆች ብቻ፤ አለበለዚያ ባዶ ይተዉት።",
    ),
    "speak.words": ("Word times", "የቃላት ሰዓት"),
    "speak.words_info": ("When each word begins and ends.", "እያንዳንዱ ቃል የሚጀምርበትና የሚያበቃበት።"),
    "speak.format": ("Format of the download", "የፋይሉ ዓይነት"),
    "speak.go": ("Speak", "ተናገር"),
    "speak.heard": ("Speech", "ንግግር"),
    "speak.heard_other": ("Speech of the second voice", "የሁለተኛው ድምፅ ንግግር"),
    "speak.download": ("Download", "አውርድ"),
    "speak.read_as": ("Read as: {text}", "የተነበበው፦ {text}"),
    "speak.seconds": ("{seconds:.1f} s, {rate} Hz", "{seconds:.1f} ሰከንድ፣ {rate} Hz"),
    "speak.unread": ("Not known to this voice and left out: {text}", "ይህ ድምፅ የማያውቃቸው፣ የተተዉ፦ {text}"),
    "speak.guesses": ("Readings that are a guess: {text}", "በግምት የተነበቡ፦ {text}"),
    "speak.word": ("Word", "ቃል"),
    "speak.from": ("From, s", "ከ፣ ሰከንድ"),
    "speak.to": ("To, s", "እስከ፣ ሰከንድ"),
    "speak.batch": ("A file of many texts", "የብዙ ጽሑፎች ፋይል"),
    "speak.batch_file": (
        "Texts: .txt .csv .tsv .jsonl .srt .vtt .md .html .ssml .epub",
        "ጽሑፎች፦ .txt .csv .tsv .jsonl .srt .vtt .md .html .ssml .epub",
    ),
    "speak.batch_out": ("Folder for the speech", "የንግግሩ ማኅደር"),
    "speak.batch_out_info": (
        "In the workspace; a file a line or row. The same folder again: only what is missing.",
        "በሥራ ማኅደሩ ውስጥ፤ ለእያንዳንዱ መስመር አንድ ፋይል። በዚያው ማኅደር ሲደገም የጎደለው ብቻ ይሠራል።",
    ),
    "speak.batch_go": ("Speak the file", "ፋይሉን ተናገር"),
    "speak.batch_title": ("speak {file} with {voice} into {out}", "{file}ን በ{voice} ወደ {out} መናገር"),
}


class Say:
    """The words of a language.

    Args:
        language: "am" or "en".
    """

    def __init__(self, language: Language) -> None:
        self.language = language
        self._column = 1 if language == "am" else 0

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key, its `{name}` places filled in.

        Raises:
            KeyError: there is no such key.
        """
        text = STRINGS[key][self._column]
        return text.format(**values) if values else text
