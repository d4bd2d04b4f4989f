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
    # import
    "import.intro": (
        "Recordings with their texts become a dataset. Nothing that you give is changed.",
        "ቅጂዎች ከነጽሑፋቸው የመረጃ ስብስብ ይሆናሉ። የሰጡት ምንም ነገር አይለወጥም።",
    ),
    "import.files": (
        "Upload: recordings or a video with subtitles, a table, a .zip of a folder",
        "ይጫኑ፦ ቅጂዎች ወይም ቪዲዮ ከነግርጌ ጽሑፉ፣ ሠንጠረዥ፣ የማኅደር .zip",
    ),
    "import.source": ("Source", "ምንጭ"),
    "import.source_info": (
        "An upload, or a folder or file that lies in the workspace.",
        "የተጫነ፣ ወይም በሥራ ማኅደሩ ውስጥ ያለ ማኅደር ወይም ፋይል።",
    ),
    "import.taken": ("Kept as {name}.", "{name} ተብሎ ተቀምጧል።"),
    "import.speaker": ("Speaker", "ተናጋሪ"),
    "import.speaker_info": ("Of rows that name none.", "ስም ለሌላቸው ረድፎች።"),
    "import.language": ("Language", "ቋንቋ"),
    "import.look": ("See how it is read", "እንዴት እንደሚነበብ አሳይ"),
    "import.columns": ("The table: which column is what?", "ሠንጠረዡ፦ የትኛው ዓምድ ምንድን ነው?"),
    "import.again": ("Read again with these columns", "በእነዚህ ዓምዶች እንደገና አንብብ"),
    "import.unused": ("not used", "የማይጠቅም"),
    "import.role.audio": ("Recording", "ቅጂ"),
    "import.role.text": ("Text", "ጽሑፍ"),
    "import.role.speaker": ("Speaker", "ተናጋሪ"),
    "import.role.spoken": ("Normalized text", "የተስተካከለ ጽሑፍ"),
    "import.role.start": ("Start", "መጀመሪያ"),
    "import.role.end": ("End", "መጨረሻ"),
    "import.role.duration": ("Length", "ርዝመት"),
    "import.found": ("{clips} clips, {minutes} minutes", "{clips} ቅንጭብ፣ {minutes} ደቂቃ"),
    "import.about": ("about", "ወደ"),
    "import.speakers": ("{count} speakers", "{count} ተናጋሪ"),
    "import.faults": ("Entries that are no clips:", "ቅንጭብ ያልሆኑ፦"),
    "import.name": ("Name of the dataset", "የመረጃ ስብስቡ ስም"),
    "import.license": ("License", "ፈቃድ"),
    "import.consent": ("Consent", "የተናጋሪ ስምምነት"),
    "import.consent_info": (
        "How the speakers agreed to the use of their voices; it travels with the voice.",
        "ተናጋሪዎች በድምፃቸው አጠቃቀም እንዴት እንደተስማሙ፤ ከድምፁ ጋር ይጓዛል።",
    ),
    "import.check": ("Check the texts by a recognizer", "ጽሑፎቹን በንግግር መለያ ፈትሽ"),
    "import.check_info": (
        "Clips in which other words are said are left out. The recognizer knows synthetic speech.",
        "ሌላ ቃል የተነገረባቸው ይወጣሉ። መለያው የሚያውቀው ሰው ሠራሽ ንግግርን ነው።",
    ),
    "import.make": ("Make the dataset", "የመረጃ ስብስቡን ሥራ"),
    "import.job": ("{source} becomes {out}", "{source} → {out}"),
    "import.ledger": ("What was left out, and why", "የተተወው ምን ነው፣ ለምን?"),
    "import.ledger_of": ("Dataset", "የመረጃ ስብስብ"),
    "import.ledger.where": ("Where", "የት"),
    "import.ledger.rule": ("Why", "ለምን"),
    "import.ledger.text": ("Text", "ጽሑፍ"),
    "import.nothing_left_out": ("Nothing was left out.", "የተተወ የለም።"),
    "import.more": ("and {count} more, in rejected.jsonl", "ሌላም {count}፣ በ rejected.jsonl ውስጥ"),
    # datasets
    "datasets.intro": (
        "Listen, correct and reject. The dataset stays as it is; “New version” applies what you decided.",
        "ያዳምጡ፣ ያርሙ፣ ይጣሉ። ስብስቡ እንዳለ ይቆያል፤ “አዲስ ዕትም” ውሳኔዎን ይፈጽማል።",
    ),
    "datasets.corpus": ("Dataset", "የመረጃ ስብስብ"),
    "datasets.search": ("Search", "ፈልግ"),
    "datasets.search_info": ("In text, name and speaker.", "በጽሑፍ፣ በስምና በተናጋሪ።"),
    "datasets.show": ("Show", "አሳይ"),
    "datasets.show.all": ("all", "ሁሉንም"),
    "datasets.show.edited": ("corrected or rejected", "የታረሙና የተጣሉ"),
    "datasets.show.flagged": ("those that stand out", "አጠራጣሪዎች"),
    "datasets.page": ("Page", "ገጽ"),
    "datasets.rows": ("{count} utterances, page {page} of {pages}", "{count} ንግግሮች፣ ገጽ {page} ከ{pages}"),
    "datasets.col.number": ("No.", "ቁ."),
    "datasets.col.id": ("Name", "ስም"),
    "datasets.col.text": ("Text", "ጽሑፍ"),
    "datasets.col.speaker": ("Speaker", "ተናጋሪ"),
    "datasets.col.seconds": ("s", "ሰከንድ"),
    "datasets.col.split": ("Part", "ክፍል"),
    "datasets.col.decision": ("Decision", "ውሳኔ"),
    "datasets.table": ("Utterances: choose a row to hear it", "ንግግሮች፦ ለመስማት ረድፍ ይምረጡ"),
    "datasets.none": ("No utterance fits.", "የሚስማማ ንግግር የለም።"),
    "datasets.choose_first": ("Choose a row first.", "መጀመሪያ ረድፍ ይምረጡ።"),
    "datasets.sound": ("Recording", "ቅጂ"),
    "datasets.autoplay": ("Play at once", "ወዲያው አሰማ"),
    "datasets.text": ("Text", "ጽሑፍ"),
    "datasets.spoken": ("Read as", "የሚነበበው"),
    "datasets.previous": ("Previous (←)", "ቀዳሚ (←)"),
    "datasets.next": ("Next (→)", "ቀጣይ (→)"),
    "datasets.save": ("Save the text (S)", "ጽሑፉን አስቀምጥ (S)"),
    "datasets.keep": ("Keep (K)", "አቆይ (K)"),
    "datasets.reject": ("Reject (R)", "ጣል (R)"),
    "datasets.keys": (
        "Keys, outside of text fields: K keeps, R rejects, S saves, ← and → go on, space plays.",
        "ቁልፎች (ከጽሑፍ ሳጥን ውጭ)፦ K ያቆያል፣ R ይጥላል፣ S ያስቀምጣል፣ ← → ያንቀሳቅሳሉ፣ ክፍተት ያሰማል።",
    ),
    "datasets.rejected": ("rejected", "የተጣለ"),
    "datasets.corrected": ("corrected", "የታረመ"),
    "datasets.saved": ("Saved.", "ተቀምጧል።"),
    "datasets.version": ("New version", "አዲስ ዕትም"),
    "datasets.version_info": (
        "{rejected} rejected, {corrected} corrected. A new dataset is written, this one stays.",
        "{rejected} የተጣሉ፣ {corrected} የታረሙ። አዲስ ስብስብ ይጻፋል፣ ይህኛው ይቆያል።",
    ),
    "datasets.nothing": ("Nothing was corrected or rejected.", "የታረመም የተጣለም የለም።"),
    "datasets.new_name": ("Name of the new dataset", "የአዲሱ ስብስብ ስም"),
    "datasets.write": ("Write the new version", "አዲሱን ዕትም ጻፍ"),
    "datasets.merge": ("Merge", "አዋህድ"),
    "datasets.merge_which": ("Datasets to join", "የሚዋሃዱ ስብስቦች"),
    "datasets.same_speakers": ("Equal names are the same person", "ተመሳሳይ ስም አንድ ሰው ነው"),
    "datasets.rate": ("Sample rate, Hz; 0 wants equal ones", "የናሙና ፍጥነት Hz፤ 0 = እኩል ይሁኑ"),
    "datasets.do_merge": ("Merge them", "አዋህድ"),
    "datasets.split": ("Split into train, val and test", "ለማሠልጠን፣ ለማረጋገጥና ለመፈተን ክፈል"),
    "datasets.val": ("Share for validation", "ለማረጋገጥ ድርሻ"),
    "datasets.test": ("Share for the test", "ለመፈተን ድርሻ"),
    "datasets.by": ("Hold out", "የሚለየው"),
    "datasets.by.sentence": ("sentences", "ዓረፍተ ነገር"),
    "datasets.by.speaker": ("speakers too", "ተናጋሪም"),
    "datasets.do_split": ("Split anew", "እንደገና ክፈል"),
    "datasets.report": ("Quality, consent and license", "ጥራት፣ ስምምነትና ፈቃድ"),
    "datasets.report.minutes": ("minutes of speech", "ደቂቃ ንግግር"),
    "datasets.report.kept": ("kept", "የቆዩ"),
    "datasets.report.rejected": ("left out", "የተተዉ"),
    "datasets.report.speakers": ("speakers", "ተናጋሪዎች"),
    "datasets.report.letters": ("of {count} letters", "ከ{count} ፊደላት"),
    "datasets.report.worst": ("Listen to these first", "መጀመሪያ እነዚህን ያዳምጡ"),
    "datasets.report.license": ("License", "ፈቃድ"),
    "datasets.report.consent": ("Consent", "ስምምነት"),
    "datasets.report.not_stated": ("not stated", "አልተገለጸም"),
    "datasets.report.none": (
        "There is no report.json; `amtts report` writes it.",
        "report.json የለም፤ `amtts report` ይጽፈዋል።",
    ),
    "datasets.report.file": ("The whole report", "ሙሉው ዘገባ"),
    # tokenizer
    "tokenizer.intro": (
        "A tokenizer turns text into symbols. `fidel` suits small datasets; training from a voice brings its own.",
        "ፊደል መለያ ጽሑፍን ወደ ምልክቶች ይለውጣል። `fidel` ለትንሽ ስብስብ ይሆናል፤ ከድምፅ የሚጀምር ሥልጠና የራሱን ይዞ ይመጣል።",
    ),
    "tokenizer.corpus": ("Dataset", "የመረጃ ስብስብ"),
    "tokenizer.kind": ("Kind", "ዓይነት"),
    "tokenizer.size": ("Pieces", "ቁራጮች"),
    "tokenizer.size_info": (
        "Of unigram and bpe; 0 lets the dataset decide.",
        "ለ unigram እና bpe፤ 0 = ስብስቡ ይወስን።",
    ),
    "tokenizer.backend": ("For the published weights of", "ለታተሙ ክብደቶች"),
    "tokenizer.bytes": ("Write unknown characters as bytes", "የማይታወቁን በባይት ጻፍ"),
    "tokenizer.replace": ("Replace the tokenizer that is there", "ያለውን ተካ"),
    "tokenizer.train": ("Train", "አሠልጥን"),
    "tokenizer.job": ("Tokenizer {kind} of {corpus}", "ፊደል መለያ {kind}፣ {corpus}"),
    "tokenizer.coverage": ("Coverage of the 33 × 7 letters", "የ33 × 7 ፊደላት ሽፋን"),
    "tokenizer.which": ("Tokenizer", "ፊደል መለያ"),
    "tokenizer.other": ("Compare with", "ከዚህ ጋር አወዳድር"),
    "tokenizer.show": ("Show", "አሳይ"),
    "tokenizer.seen": (
        "{seen} of {count} letters occur in the dataset; the tokenizer cannot write {unknown}.",
        "ከ{count} ፊደላት {seen} በስብስቡ ውስጥ አሉ፤ ፊደል መለያው {unknown} መጻፍ አይችልም።",
    ),
    "tokenizer.legend.often": ("often", "ብዙ ጊዜ"),
    "tokenizer.legend.rare": ("fewer than 5 times", "ከ5 ጊዜ በታች"),
    "tokenizer.legend.never": ("never", "ፈጽሞ"),
    "tokenizer.legend.unknown": ("cannot be written", "ሊጻፍ የማይችል"),
    "tokenizer.compare": ("Compare two on a text", "ሁለቱን በጽሑፍ አወዳድር"),
    "tokenizer.text": ("Text", "ጽሑፍ"),
    "tokenizer.col.name": ("Tokenizer", "ፊደል መለያ"),
    "tokenizer.col.kind": ("Kind", "ዓይነት"),
    "tokenizer.col.size": ("Symbols", "ምልክቶች"),
    "tokenizer.col.tokens": ("Tokens", "ቁራጮች"),
    "tokenizer.col.per_word": ("per word", "በቃል"),
    "tokenizer.col.unknown": ("Unknown", "የማይታወቁ"),
    "tokenizer.col.pieces": ("Pieces", "አከፋፈል"),
    # record
    "record.intro": (
        "Read sentence after sentence. Recordings and texts lie side by side as x.wav and x.txt, which "
        "`amtts train --feedback` and Import read.",
        "ዓረፍተ ነገሮችን በተራ ያንብቡ። ቅጂና ጽሑፍ x.wav እና x.txt ሆነው ጎን ለጎን ይቀመጣሉ፤ `amtts train --feedback` እና አስገባ ያነቧቸዋል።",
    ),
    "record.sheet": ("Sheet", "የንባብ ዝርዝር"),
    "record.sheet_info": (
        "A folder of `amtts feedback collect`, or one that you make below.",
        "የ `amtts feedback collect` ማኅደር፣ ወይም ከታች የሚሠሩት።",
    ),
    "record.make": ("A sheet from your own list", "ከራስዎ ዝርዝር"),
    "record.list": ("Sentences, a line each", "ዓረፍተ ነገሮች፣ በየመስመሩ"),
    "record.name": ("Name of the sheet", "የዝርዝሩ ስም"),
    "record.do_make": ("Make the sheet", "ዝርዝሩን ሥራ"),
    "record.made": ("{count} sentences in {name}.", "በ{name} ውስጥ {count} ዓረፍተ ነገሮች።"),
    "record.none": ("Choose a sheet, or make one.", "ዝርዝር ይምረጡ ወይም ይሥሩ።"),
    "record.progress": ("{number} of {count} · {done} recorded", "{number} ከ{count} · {done} ተቀድተዋል"),
    "record.audio": ("Recording: microphone or file", "ቅጂ፦ ማይክሮፎን ወይም ፋይል"),
    "record.kept": ("What is kept", "የተቀመጠው"),
    "record.previous": ("Previous", "ቀዳሚ"),
    "record.again": ("Again", "እንደገና"),
    "record.next": ("Next", "ቀጣይ"),
    "record.save": ("Keep and next", "አስቀምጥና ቀጥል"),
    "record.nothing": ("There is no recording yet.", "ገና ቅጂ የለም።"),
    "record.saved": ("{name} is kept.", "{name} ተቀምጧል።"),
    "record.level": ("Level", "መጠን"),
    "record.level.good": ("good", "ጥሩ"),
    "record.level.clipped": ("clipped: move away from the microphone", "ተቆርጧል፦ ከማይክሮፎኑ ራቅ ይበሉ"),
    "record.level.quiet": ("too quiet: come closer", "በጣም ዝቅተኛ፦ ጠጋ ይበሉ"),
    "record.level.silent": ("silence: is the right microphone on?", "ዝምታ፦ ትክክለኛው ማይክሮፎን በርቷል?"),
    "record.level.short": ("very short: was all of it recorded?", "በጣም አጭር፦ ሁሉም ተቀድቷል?"),
    "record.figures": (
        "{seconds} s · peak {peak} dBFS · {loudness} LUFS · clipped {clipped}",
        "{seconds} ሰከንድ · ጫፍ {peak} dBFS · {loudness} LUFS · የተቆረጠ {clipped}",
    ),
    "record.done": (
        "All are recorded. Train with: {command}",
        "ሁሉም ተቀድተዋል። በዚህ ያሠልጥኑ፦ {command}",
    ),
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
