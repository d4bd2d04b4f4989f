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
