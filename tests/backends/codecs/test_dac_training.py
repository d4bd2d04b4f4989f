"""DAC in training: the published losses, weights in and out, codebooks in use, a codec from a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_codecs import write_pth
from tiny_voice import (
    ExampleList,
    fit_statistics,
    make_corpus,
    overfit,
    tiny_backend,
    tiny_config,
    tiny_examples,
)
from torch.nn import functional

from amtts_codecs.dac.backend import DacBackend
from amtts_codecs.dac.codec import DacCodec
from amtts_codecs.dac.config import DacSettings
from amtts_codecs.dac.learner import mel_distance
from amtts_codecs.dac.network import DacNetwork, plain_codec, quantize
from amtts_codecs.dac.usage import CodebookUse
from amtts_core.audio.mel import hz_to_mel, mel_to_hz
from amtts_core.config.run_config import resolve_config
from amtts_core.contract.types import SynthesisRequest
from amtts_core.errors import AmttsError, ConfigError
from amtts_core.run.export import export_network
from amtts_core.run.options import RunOptions
from amtts_core.run.run import train
from amtts_core.settings import merged
from amtts_core.training.statistics import SingleProcess

SIZES = {
    "encoder_channels": 4,
    "decoder_channels": 32,
    "num_codebooks": 3,
    "cardinality": 16,
    "code_dim": 4,
}
"""Those of `tiny_codecs.write_pth`."""


@pytest.fixture(scope="module")
def trained() -> DacBackend:
    backend = tiny_backend("dac")
    assert isinstance(backend, DacBackend)
    examples = tiny_examples(backend, 4)
    fit_statistics(backend, examples)
    overfit(backend, examples, 30)
    return backend


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dac")
    config, kind = tiny_config("dac", training={"max_steps": 2, "validate_every": 2, "save_every": 2})
    train(
        config,
        kind,
        RunOptions(data=make_corpus(folder / "data", train_items=4, val_items=2), run=folder / "run"),
    )
    return folder / "run"


def test_mel_distance_is_that_of_the_published_loss() -> None:
    """MelSpectrogramLoss of descript-audio-codec, written again in numpy (reflected frames, Hann, Slaney mels)."""
    random = np.random.default_rng(0)
    real, fake = (random.standard_normal(4096) * 0.1 for _ in range(2))
    expected = 0.0
    for window, channels in ((128, 20), (1024, 80)):
        bins = np.linspace(0, 8000, window // 2 + 1)
        edges = mel_to_hz(np.linspace(hz_to_mel(np.array(0.0)), hz_to_mel(np.array(8000.0)), channels + 2))
        shape = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
        logs = []
        for wave in (real, fake):
            padded = np.pad(wave, window // 2, mode="reflect")
            frames = np.lib.stride_tricks.sliding_window_view(padded, window)[:: window // 4]
            magnitude = np.abs(np.fft.rfft(frames * shape, axis=1))
            mels = np.zeros((len(frames), channels))
            for m, (low, mid, high) in enumerate(zip(edges[:-2], edges[1:-1], edges[2:], strict=True)):
                rise, fall = (bins - low) / (mid - low), (high - bins) / (high - mid)
                mels[:, m] = magnitude @ np.clip(np.minimum(rise, fall), 0, None) * 2 / (high - low)
            logs.append(np.log10(np.maximum(mels, 1e-5)))
        expected += np.abs(logs[0] - logs[1]).mean()
    found = mel_distance(
        torch.tensor(real, dtype=torch.float32)[None],
        torch.tensor(fake, dtype=torch.float32)[None],
        (128, 1024),
        (20, 80),
    )
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_quantising_agrees_with_transformers_where_that_is_right() -> None:
    torch.manual_seed(0)
    network = DacNetwork(DacSettings.model_validate(SIZES)).eval()
    hidden = torch.randn(2, 64, 7)
    values, codes, commitment, codebook = quantize(network.codec, hidden, torch.tensor([3, 3]))
    theirs = network.codec.quantizer(hidden, 3)
    torch.testing.assert_close(values, theirs[0])
    assert torch.equal(codes, theirs[1])
    torch.testing.assert_close(commitment, theirs[3].mean())
    torch.testing.assert_close(codebook, theirs[4].mean())


def test_dropped_codebooks_count_for_no_loss_of_their_item() -> None:
    torch.manual_seed(0)
    network = DacNetwork(DacSettings.model_validate(SIZES)).eval()
    hidden = torch.randn(2, 64, 7)
    alone = [quantize(network.codec, hidden[i : i + 1], torch.tensor([k]))[2] for i, k in ((0, 1), (1, 3))]
    together = quantize(network.codec, hidden, torch.tensor([1, 3]))
    torch.testing.assert_close(together[2], torch.stack(alone).mean())
    only_first = network.codec.quantizer(hidden[:1], 1)[0]
    torch.testing.assert_close(together[0][:1], only_first)


def test_unused_entries_restart_towards_values_that_occur() -> None:
    usage = CodebookUse(1, 8, 2, restart_below=0.01)
    entries = torch.nn.Parameter(torch.tensor([3.0, 4.0]).repeat(8, 1))
    latents = torch.tensor([[[0.001, 0.0], [0.0, -0.002]]])

    def step(values: torch.Tensor, codes: list[int]) -> None:
        usage.begin_step()
        usage.watch(0, values, torch.tensor([codes]))
        usage.end_step(SingleProcess(), [entries])

    step(latents, [0, 1])
    assert {tuple(v) for v in entries.detach().tolist()} <= {(5.0, 0.0), (0.0, -5.0)}, "of the usual length"
    assert float(usage.perplexity()) == pytest.approx(8)
    before = entries.detach().clone()
    step(-latents, [3, 3])
    assert torch.equal(before, entries.detach()), "all count as used now"
    for _ in range(300):
        step(-latents, [3, 3])
    assert torch.equal(before[3], entries.detach()[3])
    others = [i for i in range(8) if i != 3]
    assert {tuple(v) for v in entries.detach()[others].tolist()} <= {(-5.0, 0.0), (0.0, 5.0)}
    off, kept = CodebookUse(1, 8, 2, restart_below=0.0), entries.detach().clone()
    off.begin_step()
    off.watch(0, latents, torch.tensor([[0, 1]]))
    off.end_step(SingleProcess(), [entries])
    assert torch.equal(kept, entries.detach())


def test_a_short_training_keeps_the_codebooks_in_use(trained: DacBackend) -> None:
    in_use = float(trained.network.usage.perplexity())
    assert in_use > 0.4 * trained.config.cardinality, f"{in_use:.2f} entries"


def test_without_discriminators_there_is_one_phase() -> None:
    config, kind = tiny_config("dac", model={"adversarial": False})
    backend = kind(config.model_config_of(kind.spec), tokenizer=None)
    assert backend.learner().phases == ("generator",)
    batch = backend.collate(tiny_examples(backend, 2))
    terms = next(iter(backend.learner().losses(batch))).terms
    assert "mel" in terms
    assert "feature" not in terms


def test_published_weights_start_a_training_and_come_back_unchanged(tmp_path: Path) -> None:
    write_pth(tmp_path / "w.pth")
    values = {"backend": "dac", "preset": "tiny", "model": {**SIZES, "start": str(tmp_path / "w.pth")}}
    config, kind = resolve_config(values)
    backend = kind(config.model_config_of(kind.spec), tokenizer=None)
    assert isinstance(backend, DacBackend)
    backend.initialize(ExampleList([]))
    official, wave = DacCodec.open(tmp_path / "w.pth"), torch.randn(1, 6400) * 0.1
    own = backend.as_codec()
    assert torch.equal(own.encode(wave), official.encode(wave))
    torch.testing.assert_close(own.decode(own.encode(wave)), official.decode(official.encode(wave)))
    hidden = backend.network.codec.encoder(wave[:, None])
    torch.testing.assert_close(hidden, official.network.encoder(wave[:, None]), rtol=1e-3, atol=1e-4)
    other, _ = resolve_config(merged(values, {"model": {"num_codebooks": 2}}))
    with pytest.raises(AmttsError, match="num_codebooks 3, the settings say 2") as caught:
        kind(other.model_config_of(kind.spec), tokenizer=None).initialize(ExampleList([]))
    assert caught.value.remedy == "Set model.num_codebooks=3"


def test_a_run_is_a_codec(run: Path) -> None:
    codec = DacCodec.open(run, num_codebooks=1)
    assert (codec.num_codebooks, codec.frame_rate, codec.cardinality) == (1, 50, 64)
    wave = torch.randn(2, 5000) * 0.1
    codes = codec.encode(wave, torch.tensor([5000, 3000]))
    assert torch.equal(codes[1:, :, :10], codec.encode(wave[1:, :3000])[:, :, :10])
    assert codec.decode(codes).shape[0] == 2


def test_a_run_of_another_backend_is_refused(tmp_path: Path) -> None:
    config, kind = tiny_config("mel-codes", training={"max_steps": 1, "validate_every": 1, "save_every": 1})
    train(
        config,
        kind,
        RunOptions(data=make_corpus(tmp_path / "data", train_items=3, val_items=1), run=tmp_path / "run"),
    )
    with pytest.raises(AmttsError, match="backend 'mel-codes', expected 'dac'"):
        DacCodec.open(tmp_path / "run")


def test_an_exported_folder_is_the_same_codec(trained: DacBackend, tmp_path: Path) -> None:
    trained.export(tmp_path / "hf", format="hf")
    assert DacCodec.open(tmp_path / "hf").weights_hash == trained.as_codec().weights_hash
    with pytest.raises(AmttsError, match="known formats: hf"):
        export_network(trained, tmp_path, format="onnx")


def test_it_speaks_codes(trained: DacBackend) -> None:
    num_codebooks = trained.config.num_codebooks
    wave = trained.synthesize([SynthesisRequest(tokens=[1, 2] * 10)])[0]
    assert len(wave) == pytest.approx(10 * trained.config.hop, abs=8)
    assert num_codebooks == 2
    with pytest.raises(AmttsError, match="3 codes are no whole frames of 2"):
        trained.synthesize([SynthesisRequest(tokens=[1, 2, 3])])


def test_validation_judges_the_middle_of_each_utterance(trained: DacBackend) -> None:
    batch = trained.collate(tiny_examples(trained, 2, letters=[5, 30]))
    stretches = trained.learner()._stretches(batch["waveform"], batch["lengths"])
    size = trained.config.segment * 4
    assert stretches.shape == (2, 1, size)
    middle = (int(batch["lengths"][1]) - size) // 2
    assert torch.equal(stretches[1, 0], batch["waveform"][1, middle : middle + size])
    short = int(batch["lengths"][0])
    expected = functional.pad(batch["waveform"][0, : min(short, size)], (0, max(0, size - short)))
    if short < size:
        assert torch.equal(stretches[0, 0], expected)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cardinality": 100}, "cardinality 100 is no power of 2"),
        ({"decoder_channels": 24}, "cannot be halved 4 times"),
        ({"segment": 6000}, "segment 6000 must be a multiple of 320"),
        ({"loss": {"windows": [64], "n_mels": [5, 10]}}, "1 windows and 2 n_mels"),
        ({"discriminator": {"band_edges": [0.5, 0.1]}}, "must rise"),
        ({"discriminator": {"periods": [], "windows": []}}, "model.adversarial=false"),
    ],
)
def test_settings_that_cannot_work_are_told(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        resolve_config({"backend": "dac", "model": changes})


def test_the_plain_copy_has_no_weight_norm(trained: DacBackend) -> None:
    assert not [name for name in plain_codec(trained.network).state_dict() if "parametrizations" in name]
