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
    # train
    "train.what": ("What is trained", "ምን ይሠልጥን"),
    "train.data": ("Corpus", "የድምፅ መረጃ"),
    "train.data_info": ("Made by Import, with a tokenizer.", "በ«አስገባ» የተሠራ፣ ፊደል መለያ ያለው።"),
    "train.out": ("Name of the run", "የሥልጠናው ስም"),
    "train.out_info": ("A new folder in the workspace.", "በሥራ ማኅደሩ ውስጥ አዲስ ማኅደር።"),
    "train.start": ("Start from", "የሚጀምረው ከ"),
    "train.start_info": (
        "base and your runs know speech already: minutes in place of hours. Empty starts from nothing.",
        "base እና ያሠለጠኗቸው ንግግርን ያውቃሉ፤ ከሰዓታት ይልቅ ደቂቃዎች ይበቃሉ። ባዶ ከምንም ይጀምራል።",
    ),
    "train.backend": ("Backend", "የሞዴል ዓይነት"),
    "train.backend_info": ("Of a run that starts from nothing.", "ከምንም ለሚጀምር ሥልጠና።"),
    "train.preset": ("Preset", "መጠን"),
    "train.preset_info": ("Named size of the network.", "የሞዴሉ መጠን።"),
    "train.file": ("Settings file", "የቅንብር ፋይል"),
    "train.file_info": (
        "The gpu- files are for GPUs of that memory; others are the .yaml files of the workspace.",
        "gpu- የተባሉት ያን ያህል ማኅደረ ትውስታ ላላቸው GPU ናቸው፤ ሌሎቹ የሥራ ማኅደሩ .yaml ፋይሎች ናቸው።",
    ),
    "train.tokenizer": ("Tokenizer", "ፊደል መለያ"),
    "train.tokenizer_info": (
        "Empty takes that of the start, or the corpus's own.",
        "ባዶ የመነሻውን ወይም የመረጃውን የራሱን ይወስዳል።",
    ),
    "train.codes": ("Stored codes", "የተቀመጡ ኮዶች"),
    "train.codes_info": (
        "A folder made under Model setup; empty makes codes from the audio.",
        "በ«ሞዴል ማዘጋጃ» የተሠራ፤ ባዶ ከድምፁ ይሠራል።",
    ),
    "train.at_once": ("Do not wait for other trainings", "ሌሎች ሥልጠናዎችን አትጠብቅ"),
    "train.at_once_info": (
        "Usually one training runs at a time; the next waits for its turn.",
        "በተለምዶ በአንድ ጊዜ አንድ ሥልጠና ይሠራል፤ ቀጣዩ ተራ ይጠብቃል።",
    ),
    "train.settings": ("Settings", "ቅንብሮች"),
    "train.essential": ("Settings that most people look at", "ብዙ ሰው የሚያያቸው ቅንብሮች"),
    "train.default": ("default {value}", "መነሻ {value}"),
    "train.no_form": ("These settings cannot be shown:", "እነዚህ ቅንብሮች ሊታዩ አይችሉም፦"),
    "train.dry": ("Dry run", "ሙከራ"),
    "train.go": ("Start training", "ሥልጠና ጀምር"),
    "train.faults": ("To be mended first", "መጀመሪያ የሚስተካከሉ"),
    "train.title": ("train {out} on {data}", "{out}ን በ{data} ማሠልጠን"),
    "train.dry_title": ("dry run on {data}", "በ{data} ሙከራ"),
    "train.resume_title": ("go on with {out}", "{out}ን መቀጠል"),
    "train.runs": ("Runs", "ሥልጠናዎች"),
    "train.watch": ("Run", "ሥልጠና"),
    "train.watch_info": (
        "What is shown below, and what Pause, Continue and Resume act on.",
        "ከታች የሚታየው፣ አቁም፣ ቀጥልና ከቆመበት ጀምር የሚሠሩበት።",
    ),
    "train.pause": ("Pause", "ለጊዜው አቁም"),
    "train.go_on": ("Continue", "ቀጥል"),
    "train.resume": ("Resume a stopped run", "የቆመን ከቆመበት ጀምር"),
    "train.paused": ("{run} saves and waits.", "{run} አስቀምጦ ይጠብቃል።"),
    "train.goes_on": ("{run} goes on.", "{run} ይቀጥላል።"),
    "train.curves": ("Curves", "መሥመሮች"),
    "train.samples": ("Samples", "ናሙናዎች"),
    "train.step": ("step {step}", "ደረጃ {step}"),
    "train.machine": ("Machine", "ኮምፒውተር"),
    "train.cpu": ("{cores} processors, {busy:.0%} busy", "{cores} ፕሮሰሰሮች፣ {busy:.0%} በሥራ ላይ"),
    "train.memory": ("memory {used:.1f} of {total:.1f} GiB", "ማኅደረ ትውስታ {used:.1f} ከ{total:.1f} GiB"),
    "train.gpu": (
        "{name}: {busy:.0%} busy, {used:.1f} of {total:.1f} GiB",
        "{name}፦ {busy:.0%} በሥራ ላይ፣ {used:.1f} ከ{total:.1f} GiB",
    ),
    "train.no_gpu": ("no GPU that nvidia-smi knows", "nvidia-smi የሚያውቀው GPU የለም"),
    "train.queue": ("Waiting: {titles}", "ተራ የሚጠብቁ፦ {titles}"),
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
