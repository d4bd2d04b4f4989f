"""mel-codes: exact batches, a codebook in use, training by the common trainer, a codec from its checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_voice import (
    fit_statistics,
    make_corpus,
    overfit,
    tiny_backend,
    tiny_config,
    tiny_examples,
    tiny_speech,
    tiny_text,
)

from amtts_codecs.mel_codes.backend import MelCodesBackend
from amtts_codecs.mel_codes.codec import MelCodesCodec
from amtts_codecs.mel_codes.config import MelCodesConfig
from amtts_codecs.mel_codes.network import MelCodes
from amtts_codecs.mel_codes.quantizer import ResidualQuantizer
from amtts_core.contract.codec import SpeechCodec
from amtts_core.contract.codec_registry import open_codec
from amtts_core.contract.types import SynthesisRequest
from amtts_core.errors import AmttsError, CheckpointError, ConfigError
from amtts_core.run.options import RunOptions
from amtts_core.run.run import train
from amtts_core.training.statistics import SingleProcess


@pytest.fixture(scope="module")
def trained() -> MelCodesBackend:
    backend = tiny_backend("mel-codes")
    assert isinstance(backend, MelCodesBackend)
    examples = tiny_examples(backend, 6)
    fit_statistics(backend, examples)
    history = overfit(backend, examples, 80)
    assert np.mean(history[-10:]) < 0.6 * history[0]
    return backend


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mel-codes")
    config, kind = tiny_config("mel-codes")
    train(
        config,
        kind,
        RunOptions(data=make_corpus(folder / "data", train_items=6, val_items=2), run=folder / "run"),
    )
    return folder / "run"


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("codebooks", [1, 2])
def test_every_stride_keeps_lengths(stride: int, codebooks: int) -> None:
    config = MelCodesConfig(
        stride=stride, num_codebooks=codebooks, hidden=16, code_dim=4, cardinality=8, segment=24
    )
    codec = MelCodesCodec(config, MelCodes(config).eval(), num_codebooks=codebooks)
    for samples in (1, 300, 5000):
        codes = codec.encode(torch.randn(2, samples) * 0.1)
        assert codes.shape == (2, codebooks, codec.num_frames(samples))
        assert codec.decode(codes).shape == (2, codes.shape[2] * 256 * stride)


def test_a_batch_encodes_as_its_items_do(trained: MelCodesBackend) -> None:
    torch.manual_seed(0)
    codec, lengths = trained.as_codec(), [16000, 9001, 700]
    wave = torch.randn(3, 16000) * 0.2
    together = codec.encode(wave, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        alone = codec.encode(wave[row : row + 1, :length])[0]
        assert torch.equal(together[row, :, : alone.shape[1]], alone)


def test_codes_carry_the_sound(trained: MelCodesBackend) -> None:
    """The rebuilt mel of an utterance is nearer to its own than to another's."""
    codec = trained.as_codec()
    first, second = (e.features["mel"] for e in tiny_examples(trained, 2, letters=[8, 8]))
    mels = torch.from_numpy(np.stack([first[:50], second[:50]]))
    frames = torch.tensor([25, 25])
    hidden = trained.network.encode(trained.network.normalize(mels), frames)
    codes = trained.network.quantizer(hidden.flatten(0, 1)).codes.reshape(2, 25, 1).transpose(1, 2)
    rebuilt = codec.decode_mel(codes)
    own, other = (rebuilt - mels).abs().mean(), (rebuilt - mels.flip(0)).abs().mean()
    assert own < 0.75 * other


def test_the_codebook_does_not_collapse(trained: MelCodesBackend) -> None:
    random = np.random.default_rng(3)
    wave = tiny_speech(tiny_text(random, 12), random, rate=16000)
    used = trained.as_codec().encode(torch.from_numpy(wave)[None]).unique()
    assert len(used) > 20
    assert 20 < float(trained.network.quantizer.perplexity()) <= 256


def test_a_quantizer_finds_the_clusters_of_its_input() -> None:
    torch.manual_seed(0)
    centres = torch.randn(16, 4) * 5
    quantizer = ResidualQuantizer(1, 32, 4, decay=0.9, restart_below=0.02).train()
    for _ in range(120):
        quantizer.begin_step()
        quantizer(centres[torch.randint(16, (256,))] + 0.01 * torch.randn(256, 4))
        quantizer.end_step(SingleProcess())
    quantizer.eval()
    before = quantizer.codebook.clone()
    found = quantizer(centres)
    assert float(found.commitment) < 1e-3
    assert torch.equal(before, quantizer.codebook), "evaluation moves nothing"
    torch.testing.assert_close(quantizer.lookup(found.codes), found.values)


def test_a_second_codebook_codes_what_the_first_leaves() -> None:
    torch.manual_seed(0)
    vectors = torch.randn(2048, 4)
    errors = []
    for codebooks in (1, 2):
        quantizer = ResidualQuantizer(codebooks, 16, 4, decay=0.9, restart_below=0.02).train()
        for _ in range(60):
            quantizer.begin_step()
            quantizer(vectors[torch.randint(2048, (512,))])
            quantizer.end_step(SingleProcess())
        errors.append(float(quantizer.eval()(vectors).commitment))
    assert errors[1] < 0.6 * errors[0]


def test_gradient_passes_straight_through() -> None:
    vectors = torch.randn(8, 4, requires_grad=True)
    weights = torch.randn(8, 4)
    (
        ResidualQuantizer(2, 8, 4, decay=0.9, restart_below=0.0).eval()(vectors).values * weights
    ).sum().backward()
    torch.testing.assert_close(vectors.grad, weights)


def test_the_trainer_trains_it_and_the_codec_opens_the_run(run: Path) -> None:
    codec = open_codec("mel-codes", run)
    assert isinstance(codec, SpeechCodec)
    assert (codec.sample_rate, codec.frame_rate, codec.num_codebooks, codec.cardinality) == (
        16000,
        31.25,
        1,
        256,
    )
    again = open_codec("mel-codes", run / "checkpoints" / "step-00000006")
    assert again.weights_hash == codec.weights_hash
    wave = torch.randn(1, 8000) * 0.1
    assert torch.equal(codec.encode(wave), again.encode(wave))
    with pytest.raises(AmttsError, match=r"2 codebooks were asked for.* has 1"):
        open_codec("mel-codes", run, num_codebooks=2)
    with pytest.raises(CheckpointError, match="neither a checkpoint"):
        open_codec("mel-codes", run.parent)


def test_the_backend_speaks_codes(trained: MelCodesBackend) -> None:
    codes = trained.as_codec().encode(torch.randn(1, 8000) * 0.1)[0, 0].tolist()
    wave = trained.synthesize([SynthesisRequest(tokens=codes)])[0]
    assert len(wave) == len(codes) * 512
    assert np.abs(wave).max() <= 1
    with pytest.raises(AmttsError, match="range from 99999"):
        trained.synthesize([SynthesisRequest(tokens=[99999])])
    with pytest.raises(AmttsError, match="no whole frames"):
        trained.synthesize([SynthesisRequest(tokens=[])])


def test_another_sample_rate_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"mel-codes reads 16000 Hz"):
        tiny_config("mel-codes", model={"mel": {"sample_rate": 22050}})
