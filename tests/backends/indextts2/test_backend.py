"""The backend over DAC codes: from waveforms to a checkpoint that speaks, by the common trainer; and its refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_codecs import write_pth
from tiny_gpt import clips, memorize, prompt, small_network, tiny_gpt
from tiny_voice import fidel_tokenizer, make_corpus, overfit, tiny_config, tiny_examples

from amtts_core.checkpoints.checkpoint import load_strict, read_checkpoint
from amtts_core.contract.types import SynthesisRequest
from amtts_core.errors import AmttsError, CheckpointError, ConfigError
from amtts_core.finetune.init_weights import open_init_weights
from amtts_core.run.options import RunOptions
from amtts_core.run.run import train
from amtts_core.speech_lm.generate import Decoding, generate
from amtts_core.speech_lm.runtime import open_step_model
from amtts_core.speech_lm.sampling import SamplingConfig
from amtts_indextts2.backend import IndexTTS2Backend
from amtts_indextts2.config import IndexTTS2Config
from amtts_indextts2.network import IndexTTS2Gpt
from amtts_indextts2.published import config_of_shapes, probe, to_published


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Settings of a tiny network over three DAC codebooks of 16."""
    path = tmp_path_factory.mktemp("codec") / "dac.pth"
    write_pth(path)
    head = {"kind": "dac", "num_codebooks": 3, "cardinality": 16}
    return {"codec": "dac", "codec_weights": str(path), "head": head}


@pytest.fixture(scope="module")
def run(model: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    config, kind = tiny_config("indextts2", model=model)
    data = make_corpus(folder / "data", train_items=6, val_items=2, speakers=("ሀና", "በላይ"))
    train(config, kind, RunOptions(data=data, run=folder / "run"))
    return folder / "run"


def build(model: dict[str, object]) -> IndexTTS2Backend:
    torch.manual_seed(0)
    config, kind = tiny_config("indextts2", model=model)
    backend = kind(config.model_config_of(kind.spec), tokenizer=fidel_tokenizer())
    assert isinstance(backend, IndexTTS2Backend)
    return backend


def test_features_are_the_codecs_codes(model: dict[str, object]) -> None:
    backend = build(model)
    wave = np.random.default_rng(0).standard_normal(5000).astype(np.float32) * 0.1
    codes = backend.features(wave).arrays["codes"]
    expected = backend.speech_codec().encode(torch.from_numpy(wave)[None])[0].T
    np.testing.assert_array_equal(codes, expected.numpy())
    key = backend.feature_key()
    assert backend.speech_codec().weights_hash in key


def test_a_checkpoint_speaks_with_nothing_but_its_codec(run: Path) -> None:
    checkpoint = read_checkpoint(run)
    assert checkpoint.info.base_weights_license == "none: trained from scratch"
    backend = checkpoint.load_backend()
    tokens = fidel_tokenizer().encode("ለመሰረ በተነአ።")
    first, second = backend.synthesize(
        [SynthesisRequest(tokens=tokens, speaker=1), SynthesisRequest(tokens=tokens, speaker=0)]
    )
    for wave in (first, second):
        assert wave.dtype == np.float32
        assert np.isfinite(wave).all()
        assert 0.2 < len(wave) / 16000 < 4
    with pytest.raises(AmttsError, match="unknown speaker 'x'; this checkpoint has: ሀና, በላይ"):
        backend.speakers.id_of("x")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"sampling": {"topk": 5}}, r"model\.sampling\.topk: unknown key.* 'top_k'"),
        (
            {"sampling": {"top_p": 2}},
            r"model\.sampling\.top_p: .* less than or equal to 1, got 2\. .*amtts config",
        ),
        ({"position_skp": True}, r"model\.position_skp: unknown key.* 'position_skip'"),
        ({"model_dim": 32}, r"model\.model_dim of a trained 'indextts2' cannot be set; what can: .*sampling"),
    ],
)
def test_settings_of_speaking_that_are_wrong_are_told(
    run: Path, settings: dict[str, object], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        read_checkpoint(run).load_backend(settings)


def test_a_start_with_other_sizes_says_what_to_leave_out(run: Path) -> None:
    start = open_init_weights(run)
    config, kind = tiny_config("indextts2", model={**start.model, "num_latents": 3, "dropout": 0.5})
    backend = kind(config.model_config_of(kind.spec), tokenizer=fidel_tokenizer(), speakers=("ሀና", "በላይ"))
    with pytest.raises(CheckpointError, match=r"shape .*: leave model\.num_latents out$"):
        start.fill(backend)


def test_other_weights_of_the_codec_are_refused(run: Path, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(run)
    learnt = checkpoint.load_backend().speech_codec().weights_hash
    write_pth(tmp_path / "other.pth", seed=9)
    checkpoint.info.backend_config["codec_weights"] = str(tmp_path / "other.pth")
    with pytest.raises(AmttsError, match=f"dac:{learnt[:12]}"):
        checkpoint.load_backend().synthesize([SynthesisRequest(tokens=[5, 6])])


def test_every_codebook_is_logged(model: dict[str, object]) -> None:
    backend = build(model)
    loss = next(backend.learner().losses(backend.collate(tiny_examples(backend, 2))))
    assert set(loss.terms) == {"speech", "text", "codebook0", "codebook1", "codebook2"}


def test_an_untrained_network_does_not_pretend_to_speak(model: dict[str, object]) -> None:
    with pytest.raises(AmttsError, match="was never trained"):
        build(model).synthesize([SynthesisRequest(tokens=[5, 6])])


def test_what_runs_on_is_cut_and_told(model: dict[str, object], caplog: pytest.LogCaptureFixture) -> None:
    backend = build(model)
    overfit(backend, tiny_examples(backend, 2), 1)
    with torch.no_grad():
        backend.network.speech.head.bias.view(3, 17)[0, 16] = -1e4  # it can never end
    tokens = fidel_tokenizer().encode("ለመሰረ።")
    wave = backend.synthesize([SynthesisRequest(tokens=tokens)])[0]
    assert "no end-of-speech token, truncated" in caplog.text
    assert len(wave) / 16000 < 3


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"codec_weights": ""}, "needs its weights.*--set model.codec_weights"),
        ({"codec_weights": "no/such/file"}, "do not exist.*moved.*--set model.codec_weights=PATH"),
        (
            {"head": {"kind": "dac", "num_codebooks": 3, "cardinality": 32}},
            "16 codes a codebook.*expects 32.*model.head.cardinality=16",
        ),
        (
            {"head": {"kind": "dac", "num_codebooks": 5, "cardinality": 16}},
            "5 codebooks were asked for.*has 3",
        ),
        ({"codec": "dak"}, "unknown codec 'dak'"),
    ],
)
def test_codecs_that_do_not_fit_are_told(
    model: dict[str, object], change: dict[str, object], told: str
) -> None:
    with pytest.raises(AmttsError, match=told):
        IndexTTS2Backend(
            IndexTTS2Config.model_validate({**model, **change}), tokenizer=fidel_tokenizer()
        ).open_codec()


def test_what_does_not_fit_the_tables_is_told(model: dict[str, object]) -> None:
    backend = build(model)
    assert backend.check_example(100, {"codes": 398}) == ""
    assert "max_text_tokens" in backend.check_example(101, {"codes": 10})
    assert "399 code frames" in backend.check_example(5, {"codes": 399})


def test_guidance_and_draws_speak_what_is_known() -> None:
    network, batch = tiny_gpt(), clips(2)
    memorize(network, batch)
    prompts = [prompt(network, clip) for clip in batch]
    cold = SamplingConfig(temperature=0.3, top_k=50, min_p=0.1, guidance_scale=1.5)
    for clip, found in zip(batch, generate(network, prompts, Decoding(sampling=cold)), strict=True):
        assert torch.equal(found.codes, clip.codes)


def test_eight_bits_speak_what_is_known_and_follow_the_network() -> None:
    network, batch = tiny_gpt(), clips(2)
    memorize(network, batch)
    asked, decoding = prompt(network, batch[0]), Decoding(precision="int8")
    assert torch.equal(generate(network, [asked], decoding)[0].codes, batch[0].codes)
    first, again = (open_step_model(network, rows=1, precision="int8")[0].weights for _ in range(2))
    assert first is again, "made once"
    assert first.int8
    with torch.no_grad():
        network.speech.head.bias[3] += 1000.0
    assert open_step_model(network, rows=1, precision="int8")[0].weights is not first
    assert set(generate(network, [asked], decoding)[0].codes[:, 0].tolist()) == {3}, (
        "the changed network speaks"
    )


def test_the_text_probe_reads_sizes_off_tensors_and_sees_the_text() -> None:
    network = small_network()
    weights = to_published(network)
    config, num_text_tokens = config_of_shapes(weights, heads=4)
    assert config.model_dump(exclude={"speaker", "emotion"}) == network.config.model_dump(
        exclude={"speaker", "emotion"}
    )
    assert num_text_tokens == network.num_text_tokens
    first = probe(weights, {"gpt": {"heads": 4}}, [[3, 4, 5], [6]])
    second = probe(weights, {"gpt": {"heads": 4}}, [[3, 4, 7], [6]])
    assert first["text_logits"].shape == (5 + 3, 12)
    assert not torch.equal(first["speech_logits"][:3], second["speech_logits"][:3])
    torch.testing.assert_close(first["speech_logits"][3:], second["speech_logits"][3:])
    del weights["mel_embedding.weight"]
    with pytest.raises(CheckpointError, match="mel_embedding"):
        probe(weights, {}, [[3]])


def test_a_checkpoint_of_another_size_is_refused() -> None:
    network = tiny_gpt()
    assert isinstance(network, IndexTTS2Gpt)
    tokenizer = fidel_tokenizer()
    config = network.config
    with pytest.raises(CheckpointError, match=r"text\.embedding\.weight"):
        load_strict(
            IndexTTS2Backend(config, tokenizer=tokenizer).network, network.state_dict(), backend="indextts2"
        )
