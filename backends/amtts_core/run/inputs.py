"""What a run reads besides weights and audio: corpus folder, tokenizer, normalizer, speakers, corrected words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from amtts_core.checkpoints.checkpoint import Checkpoint
from amtts_core.config.run_config import RunConfig
from amtts_core.contract.backend import Backend, BackendSpec
from amtts_core.contract.speakers import SpeakerTable
from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.corpus.corpus import DataProvenance, corpus_normalizer, corpus_provenance
from amtts_core.data.mixed_dataset import speakers_of
from amtts_core.finetune.init_weights import Provenance
from amtts_core.finetune.speakers import speaker_table, speakers_of_checkpoint
from amtts_core.run.datasets import training_manifest
from amtts_core.run.feedback import FeedbackReport, open_feedback, with_replay
from amtts_core.run.options import RunOptions
from amtts_core.text.normalizer import Normalizer
from amtts_core.tokenizers.factory import load_tokenizer


@dataclass(frozen=True, kw_only=True)
class RunInputs:
    """What a run reads, opened.

    Attributes:
        config: settings; with replay of the original corpus where corrected words are trained on.
        data: corpus folder to train on; that of the corrected words where there are such.
        tokenizer: None where the backend uses no text.
        normalizer: of the corpus.
        speakers: of the corpus, sorted by name.
        provenance: of the weights that the run begins with.
        data_provenance: license and consent of the recordings.
        feedback: report on corrected words; None without such.
    """

    config: RunConfig
    data: Path
    tokenizer: TextTokenizer | None
    normalizer: Normalizer
    speakers: SpeakerTable
    provenance: Provenance
    data_provenance: DataProvenance
    feedback: FeedbackReport | None

    def build_backend(self, backend_class: type[Backend]) -> Backend:
        """A fresh network of the sizes that settings, tokenizer and speakers say."""
        settings = self.config.model_config_of(backend_class.spec)
        if self.provenance.own_weights:
            settings = settings.model_copy(update=dict(backend_class.spec.fine_tuning.init_weight_settings))
        return backend_class(settings, tokenizer=self.tokenizer, speakers=self.speakers)


def open_inputs(
    config: RunConfig, spec: BackendSpec, options: RunOptions, previous: Checkpoint | None
) -> RunInputs:
    """Opens everything that a run reads.

    Args:
        config: resolved settings.
        spec: of the backend.
        options: where things are.
        previous: checkpoint to resume; None for a new run.

    Raises:
        AmttsError: the corpus is not prepared, or a part of it cannot be read.
    """
    manifest = training_manifest(options.data)
    provenance = Provenance.of(options.init, previous)
    tokenizer = _tokenizer(options, provenance) if spec.text else None
    speakers = speaker_table(
        speakers_of(manifest, config.data.replay), spec, _initial_speakers(options, previous)
    )
    data, feedback = options.data, None
    if options.feedback is not None:
        feedback = open_feedback(
            options.feedback, options.run, data=data, tokenizer=tokenizer, config=config, jobs=options.jobs
        )
        data, config = feedback.corpus.folder, with_replay(config, options.data)
    return RunInputs(
        config=config,
        data=data,
        tokenizer=tokenizer,
        normalizer=corpus_normalizer(data),
        speakers=speakers,
        provenance=provenance,
        data_provenance=corpus_provenance(options.data),
        feedback=feedback,
    )


def _initial_speakers(options: RunOptions, previous: Checkpoint | None) -> SpeakerTable:
    """The speakers of the weights that the run begins with."""
    if previous is not None:
        return speakers_of_checkpoint(previous.info)
    return options.init.speakers if options.init else SpeakerTable()


def _tokenizer(options: RunOptions, provenance: Provenance) -> TextTokenizer:
    """That of the initial weights; of a resumed run its own, unless another is named (and then compared)."""
    opened = options.init.tokenizer if options.init else None if options.tokenizer else provenance.tokenizer
    return opened or load_tokenizer(options.tokenizer or options.data / "tokenizer")
