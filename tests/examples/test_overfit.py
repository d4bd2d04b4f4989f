"""The examples of the autoregressive backends in small: four utterances that were overfitted are spoken again."""

from __future__ import annotations

from difflib import SequenceMatcher
from pathlib import Path

import pytest
import torch
from command_line import call
from torch import Tensor

from amtts_codecs.mel_codes.codec import MelCodesCodec
from amtts_core.audio.io import read_audio
from amtts_core.corpus.manifest import read_manifest
from amtts_core.synthesis.engine import Synthesizer

ROOT = Path(__file__).resolve().parents[2]
CODEC = ROOT / "examples" / "codecs" / "mel-codes-am"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("overfit") / "data"
    assert call("prepare", ROOT / "examples" / "corpus", "--out", folder, "--jobs", "1").code == 0
    assert call("tokenize", "--data", folder, "--kind", "fidel").code == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["chatterbox", "indextts2"])
def test_what_was_overfitted_is_spoken(
    backend: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    config = f"examples/{backend}/overfit.yaml"
    done = call("train", "--config", config, "--data", data, "--out", tmp_path / "run")
    assert done.code == 0, done.err
    spoken: list[Tensor] = []
    decode = MelCodesCodec.decode

    def listen(self: MelCodesCodec, codes: Tensor) -> Tensor:
        spoken.append(codes[0, 0])
        return decode(self, codes)

    monkeypatch.setattr(MelCodesCodec, "decode", listen)
    voice, codec = Synthesizer.from_checkpoint(tmp_path / "run"), MelCodesCodec.open(CODEC)
    alike = []
    for utterance in list(read_manifest(data / "train.jsonl"))[:4]:
        wave = read_audio(utterance.audio_path(data / "train.jsonl"), sample_rate=codec.sample_rate)
        true = codec.encode(torch.from_numpy(wave)[None])[0, 0].tolist()
        voice.speak(utterance.text)
        alike.append(SequenceMatcher(None, true, spoken[-1].tolist(), autojunk=False).ratio())
    assert len(spoken) == 4, "one sentence, one stretch of speech"
    assert min(alike) > 0.9, alike
