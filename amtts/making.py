"""From recordings to a voice, and how good it is: prepare, tokenize, train, evaluate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from amtts_core.contract.tokenizer import TextTokenizer
    from amtts_core.corpus.prepare import PrepareProgress
    from amtts_core.corpus.prepare_report import PrepareReport
    from amtts_core.evaluation.caption_times import CaptionTimes
    from amtts_core.evaluation.evaluate import Evaluation
    from amtts_core.run.run import TrainingResult
    from amtts_core.text.settings import NormalizerSettings
    from amtts_core.training.callbacks.base import Callback

AnyPath = str | PathLike[str]


def prepare(
    source: AnyPath | Sequence[AnyPath],
    out: AnyPath,
    *,
    settings: Mapping[str, Any] | None = None,
    importer: str = "",
    audio_root: AnyPath | None = None,
    speakers: AnyPath | None = None,
    recognizer: str | None = None,
    force: bool = False,
    executor: str = "local",
    jobs: int = 1,
    on_progress: Callable[[PrepareProgress], None] | None = None,
) -> PrepareReport:
    """Makes a corpus: decodes, trims, levels and resamples the audio, normalizes the text, splits train, val and test.

    Run again over the same `out` it does only what is new. What is left out stands in `out/rejected.jsonl` with its
    reason.

    Args:
        source: corpus folder, table, manifest or recording, or several of them.
        out: corpus folder to write.
        settings: in place of defaults, such as `{"sample_rate": 24000, "normalizer": {"language": "ti"}}`; the page
            of settings lists them.
        importer: kind of source; empty looks.
        audio_root: folder with recordings that the source names.
        speakers: table of license, consent and more by speaker; None takes the speakers.tsv of the source.
        recognizer: CTC recognizer by whose word times captions are cut; empty for the one that comes along, of
            synthetic speech; None goes by the captions' own times and by where there is voice.
        force: do everything again, also with other settings.
        executor: local, or ray.
        jobs: processes; 0 uses every core. More than one needs the usual `if __name__ == "__main__":` in a script.
        on_progress: called at the start and after each clip.

    Returns:
        what was kept and dropped.

    Raises:
        AmttsError: source, settings or `out` cannot be used, or too much is rejected.
    """
    from amtts_core.corpus.prepare import prepare_corpus
    from amtts_core.corpus.settings import resolve_settings

    given = [source] if isinstance(source, (str, PathLike)) else list(source)
    chosen = resolve_settings(dict(settings or {}))
    times = None if recognizer is None else _word_times(recognizer, chosen.normalizer, Path(out))

    def report(progress: PrepareProgress) -> None:
        if times is not None:
            times.save()
        if on_progress is not None:
            on_progress(progress)

    return prepare_corpus(
        [Path(path) for path in given],
        Path(out),
        chosen,
        importer=importer,
        jobs=jobs,
        executor=executor,
        force=force,
        audio_root=_path(audio_root),
        speakers=_path(speakers),
        word_times=times,
        on_progress=report,
    )


def _word_times(recognizer: str, settings: NormalizerSettings, out: Path) -> CaptionTimes:
    from amtts_core.contract.recognizer_registry import frame_recognizer
    from amtts_core.evaluation.caption_times import CaptionTimes
    from amtts_core.evaluation.check_corpus import CACHE
    from amtts_core.text.normalizer import Normalizer

    return CaptionTimes(
        frame_recognizer(recognizer), Normalizer(settings), language=settings.language, cache=out / CACHE
    )


def tokenize(
    data: AnyPath,
    *,
    kind: str = "fidel",
    vocab_size: int | None = None,
    backend: str = "",
    force: bool = False,
) -> Path:
    """Trains a tokenizer on the texts of a corpus and writes it into the corpus, where `train` finds it.

    Args:
        data: corpus folder made by `prepare`.
        kind: fidel (the choice for small corpora), unigram, bpe or char.
        vocab_size: number of pieces of unigram and bpe; None lets the corpus decide.
        backend: write the format and special ids that this backend's published weights expect.
        force: replace another tokenizer.

    Returns:
        the tokenizer's folder.

    Raises:
        AmttsError: the corpus cannot be read, holds no text, or another tokenizer is there.
    """
    from amtts_core.contract.registry import get_backend
    from amtts_core.corpus.coverage import measure
    from amtts_core.corpus.manifest import empty_manifest, read_manifest
    from amtts_core.tokenizers.factory import train_tokenizer
    from amtts_core.tokenizers.folder import check_target, install_tokenizer
    from amtts_core.tokenizers.registry import check_kind

    manifest, target = Path(data) / "train.jsonl", Path(data) / "tokenizer"
    check_kind(kind)
    check_target(target, force=force)
    published = get_backend(backend).spec.published if backend else None
    made: TextTokenizer = train_tokenizer(
        kind,
        (utterance.spoken_text() for utterance in read_manifest(manifest)),
        vocab_size=vocab_size,
        format=published.tokenizer if published is not None else None,
    )
    report = measure(made, read_manifest(manifest), held_out=iter(()))
    if not report.train.tokens:
        raise empty_manifest(manifest)
    install_tokenizer(made, target, report.to_json() | {"manifest": str(manifest)}, force=force)
    return target


def train(
    data: AnyPath,
    out: AnyPath,
    *,
    backend: str = "",
    preset: str = "",
    config: AnyPath | Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    start_from: AnyPath | None = None,
    tokenizer: AnyPath | None = None,
    resume: bool = False,
    force: bool = False,
    from_scratch: bool = False,
    auto_batch: bool = False,
    feedback: AnyPath | None = None,
    jobs: int = 0,
    callbacks: Sequence[Callback] = (),
    on_progress: Callable[[str, int, int], None] | None = None,
) -> TrainingResult:
    """Trains a voice on a prepared corpus.

    Args:
        data: corpus folder made by `prepare`, with a tokenizer.
        out: folder of the run.
        backend: model family, such as chatterbox-mel; empty takes that of `start_from` or `config`.
        preset: named size of the network.
        config: settings file (YAML), or its values.
        settings: nested settings that win over `config`, such as `{"training": {"max_steps": 2000}}`.
        start_from: weights to begin with: a run, a checkpoint, `org/name` on the hub, or a folder of `extend-vocab`.
        tokenizer: tokenizer folder; None takes that of `start_from`, or the corpus' own.
        resume: continue the run in `out`.
        force: with `resume`, go on with other data or settings where that is safe.
        from_scratch: begin again in `out`; the earlier run is moved to previous/N.
        auto_batch: look for the largest batches that fit into memory.
        feedback: folder with corrected words, x.wav and x.txt each.
        jobs: threads for features; 0 uses every core.
        callbacks: called with steps, validations and checkpoints.
        on_progress: called with (what, done, total) while features are computed.

    Returns:
        how the run ended, with its metrics.

    Raises:
        AmttsError: data, weights or settings cannot be used; nothing is half-written then.
    """
    from amtts_core.checkpoints.hub import local_checkpoint
    from amtts_core.run.run import train as run_training
    from amtts_core.run.start import StartRequest, resolve_start

    asked = StartRequest(
        data=Path(data),
        run=Path(out),
        backend=backend,
        preset=preset,
        config=config if config is None or isinstance(config, Mapping) else Path(config),
        overrides=settings,
        start_from=None if start_from is None else local_checkpoint(start_from),
        tokenizer=_path(tokenizer),
        resume=resume,
        force=force,
        from_scratch=from_scratch,
        auto_batch=auto_batch,
        feedback=_path(feedback),
        jobs=jobs,
    )
    resolved, chosen, options = resolve_start(asked)
    return run_training(resolved, chosen, options, callbacks=callbacks, on_progress=on_progress)


def evaluate(
    checkpoints: AnyPath | Sequence[AnyPath] = (),
    out: AnyPath = "evaluation",
    *,
    manifest: AnyPath | None = None,
    wavs: Sequence[AnyPath] = (),
    names: Sequence[str] = (),
    limit: int = 0,
    public_list: bool = True,
    recognizer: str = "",
    copies: bool = False,
    metrics: Sequence[str] | None = None,
    language: str = "am",
    speaker: str = "",
    seed: int = 0,
    players: int = 60,
    device: str = "cpu",
    executor: str = "local",
    jobs: int = 1,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> Evaluation:
    """Measures voices: errors by a recognizer beside its floor, naturalness, similarity, prosody, with intervals.

    An interrupted evaluation goes on where it stopped when it is started again with the same `out`.

    Args:
        checkpoints: run or checkpoint folder, or `org/name` on the hub, or several of them.
        out: folder for report.html, report.json and the speech.
        manifest: test texts with recordings, such as `data/test.jsonl`.
        wavs: folders with ID.wav, the speech of other systems.
        names: of the systems in the report, checkpoints first.
        limit: so many of the manifest; 0 takes all.
        public_list: speak the fixed public list of texts, too.
        recognizer: run of a recognizer, or a Hugging Face model; empty takes the one that comes along.
        copies: measure copies of the recordings through each checkpoint's vocoder, too.
        metrics: groups of figures: text, quality, speaker, prosody, signal, alignment; None takes what is installed.
        language: of the texts.
        speaker: of checkpoints with several.
        seed: of the checkpoints' sampling.
        players: texts with sound inside the page.
        device: where networks compute.
        executor: local, or ray.
        jobs: processes; 0 uses every core.
        on_progress: called with (system, texts done, texts in all).

    Returns:
        every figure, also written to `out`.

    Raises:
        AmttsError: there is nothing to evaluate, or a voice, a manifest or a metric cannot be used.
    """
    from amtts_core.checkpoints.hub import local_checkpoint
    from amtts_core.evaluation.voices import EvaluationRequest, evaluate_voices

    given = [checkpoints] if isinstance(checkpoints, (str, PathLike)) else list(checkpoints)
    asked = EvaluationRequest(
        out=Path(out),
        checkpoints=[local_checkpoint(path) for path in given],
        wavs=[Path(path) for path in wavs],
        names=list(names),
        manifest=_path(manifest),
        limit=limit,
        public_list=public_list,
        recognizer=recognizer,
        copies=copies,
        metrics=metrics,
        language=language,
        speaker=speaker,
        seed=seed,
        players=players,
        device=device,
        executor=executor,
        jobs=jobs,
    )
    return evaluate_voices(asked, on_progress=on_progress)


def _path(path: AnyPath | None) -> Path | None:
    return None if path is None else Path(path)
