"""chatterbox-mel with a pitch and a generative decoder: combs, losses, noise, controls, export."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_vocoder import tiny_vocoder
from tiny_voice import fidel_tokenizer, fit_statistics, make_corpus, tiny_config, tiny_examples, train_tiny

from amtts_chatterbox.mel.backend import ChatterboxMelBackend, voice_change
from amtts_chatterbox.mel.config import ChatterboxMelConfig
from amtts_chatterbox.mel.flow import noise_of
from amtts_chatterbox.mel.learner import deviance, voice_of
from amtts_chatterbox.mel.network import FlowDraws, Voice, with_contrast
from amtts_chatterbox.mel.pitch import SPREAD, PitchDrawing, comb_table, normalized_pitch
from amtts_core.audio.mel import MelConfig, log_mel
from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.contract.types import SynthesisRequest
from amtts_core.errors import AmttsError, ConfigError
from amtts_core.synthesis.engine import Synthesizer, Tone
from amtts_core.text.normalizer import Normalizer

pytest.importorskip("swift_f0")
FULL = {
    "contrast": 0.5,
    "pitch": {"layers": 1, "hidden": 16},
    "flow": {"layers": 2, "hidden": 32, "segment": 24, "steps": 3},
}


def built(speakers: tuple[str, ...] = (), **model: Any) -> ChatterboxMelBackend:
    torch.manual_seed(0)
    config, kind = tiny_config("chatterbox-mel", model=model or FULL)
    backend = kind(config.model_config_of(kind.spec), tokenizer=fidel_tokenizer(), speakers=speakers)
    assert isinstance(backend, ChatterboxMelBackend)
    fit_statistics(backend, tiny_examples(backend, 4))
    torch.nn.init.normal_(backend.network.flow.leave.weight, std=0.1)  # type: ignore[union-attr]
    return backend


@pytest.fixture
def backend() -> ChatterboxMelBackend:
    return built()


# ---- the comb ----


@pytest.mark.parametrize("hertz", [90.0, 160.0, 300.0])
def test_a_comb_is_the_mel_of_a_pulse_train_without_its_envelope(hertz: float) -> None:
    mel = MelConfig()
    time = torch.arange(mel.sample_rate // 2) / mel.sample_rate
    count = int(mel.sample_rate / 2 / hertz)
    phases = torch.rand(count, generator=torch.Generator().manual_seed(1)) * 6.28
    train = sum(torch.cos(2 * torch.pi * hertz * n * time + phases[n - 1]) for n in range(1, count + 1))
    logs = log_mel(0.01 * train[None], mel)[0, :, 8:-8].mean(1)
    padded = torch.nn.functional.pad(logs[None, None], (9, 9), mode="replicate")
    expected = logs - torch.nn.functional.avg_pool1d(padded, 19, 1)[0, 0]
    drawing = PitchDrawing(ChatterboxMelConfig())
    drawn = drawing(normalized_pitch(torch.tensor([[hertz]])), torch.ones(1, 1))[0, 0]
    low = slice(0, int(1000 / (200 / 3)))  # single harmonics are apart there
    similar = torch.nn.functional.cosine_similarity(drawn[:80][low], expected[low], dim=0)
    assert float(similar) > 0.9
    assert float(drawn[80]) == pytest.approx(float(normalized_pitch(torch.tensor(hertz))))


def test_no_voicing_draws_nothing_and_combs_end_at_the_range() -> None:
    drawing = PitchDrawing(ChatterboxMelConfig())
    assert float(drawing(torch.randn(2, 5), torch.zeros(2, 5)).abs().max()) == 0
    table = comb_table(MelConfig(), 50.0, 550.0)
    far = drawing(torch.tensor([[-50.0, 50.0]]), torch.ones(1, 2))[0, :, :80]
    torch.testing.assert_close(far[0], table[0])
    assert float((far[1] - table[-1]).abs().max()) < 0.05


# ---- learning ----


def test_features_and_batch_hold_pitch_and_voicing(backend: ChatterboxMelBackend) -> None:
    examples = tiny_examples(backend, 2)
    batch = backend.collate(examples)
    assert batch["pitch"].shape == batch["voicing"].shape == batch["mel"].shape[:2]
    assert float(batch["voicing"].min()) >= 0
    assert float(batch["voicing"].max()) <= 1
    assert float(batch["pitch"].min()) >= 50
    assert backend.feature_key() != ChatterboxMelConfig().mel.model_dump_json()


def test_the_total_is_the_sum_of_its_terms(backend: ChatterboxMelBackend) -> None:
    backend.network.eval()
    loss = next(iter(backend.learner().losses(backend.collate(tiny_examples(backend, 2)))))
    terms, config = loss.terms, backend.config
    assert set(terms) == {"mel", "prior", "duration", "pitch", "voicing", "flow"}
    expected = terms["mel"] + terms["prior"] + 0.1 * terms["duration"]
    expected = expected + config.pitch.weight * (terms["pitch"] + terms["voicing"])
    torch.testing.assert_close(loss.total.detach(), expected + config.flow.weight * terms["flow"])


def test_the_pitch_does_not_bend_the_text_and_the_flow_not_the_mel(backend: ChatterboxMelBackend) -> None:
    network = backend.network
    batch = backend.collate(tiny_examples(backend, 2))
    target = network.normalize(batch["mel"])
    draws = FlowDraws(torch.randn(2, 24, 80), torch.rand(2), torch.rand(2))
    arguments = (batch["tokens"], batch["token_lengths"], target, batch["mel_lengths"], None, voice_of(batch))
    made = network(*arguments, draws)
    (made.pitch.sum() + made.voicing.sum()).backward()
    reached = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None}
    assert reached == {"pitch_predictor"}
    network.zero_grad()
    network(*arguments, draws).flow.backward()
    assert network.refine.weight.grad is None or float(network.refine.weight.grad.abs().max()) == 0
    assert float(network.decoder.blocks[0].widen.weight.grad.abs().max()) > 0


def test_a_flow_that_knows_the_velocity_arrives_at_the_recording(backend: ChatterboxMelBackend) -> None:
    """With the true velocity the loss is zero and Euler steps end at the target."""
    flow = backend.network.flow
    assert flow is not None
    target, mel, noise = torch.randn(3, 1, 7, 80).unbind(0)
    mask = torch.ones(1, 7, 1)
    conditions = torch.zeros(1, 7, flow.condition.in_features)
    flow.velocity = lambda place, time, condition, mask: (target - mel) / flow.scale - noise  # type: ignore[method-assign]
    assert float(flow.loss(target, mel, conditions, mask, noise, torch.rand(1))) == pytest.approx(
        0, abs=1e-10
    )
    torch.testing.assert_close(
        flow.sample(mel, conditions, mask, noise, steps=4), target, atol=1e-5, rtol=1e-5
    )


def test_padding_changes_no_loss(backend: ChatterboxMelBackend) -> None:
    """An item's flow loss is the same beside a longer one: draws fall inside its own frames."""
    network = backend.network.eval()
    long, short = tiny_examples(backend, 2, letters=[14, 4])
    frames = len(short.features["mel"])
    draws = FlowDraws(torch.randn(1, frames, 80), torch.tensor([0.4]), torch.tensor([0.9]))

    def loss(examples: list[Any], draws: FlowDraws) -> float:
        batch = backend.collate(examples)
        made = network(
            batch["tokens"],
            batch["token_lengths"],
            network.normalize(batch["mel"]),
            batch["mel_lengths"],
            None,
            voice_of(batch),
            draws,
        )
        return float(made.flow.detach())

    alone = loss([short], draws)
    beside = loss([short, long], FlowDraws(*(torch.cat([t, t]) for t in vars(draws).values())))
    other = loss([long], draws)
    assert beside == pytest.approx((alone + other) / 2, rel=1e-4)


def test_the_duration_loss_is_smallest_at_the_mean_and_never_negative() -> None:
    frames = torch.tensor([2.0, 3.0, 15.0, 4.0])
    logs = torch.linspace(0, 4, 2001)
    total = deviance(frames[:, None].expand(4, 2001), logs.expand(4, 2001)).sum(0)
    assert float(logs[total.argmin()].exp()) == pytest.approx(6.0, abs=0.02)  # the geometric mean is 4.4
    assert float(deviance(frames, frames.log()).abs().max()) < 1e-6
    near = deviance(torch.tensor(10.0), torch.tensor(10.5).log())
    assert float(near) == pytest.approx(float(np.log(1.05)) ** 2, rel=0.05)
    assert float(deviance(torch.rand(100) * 50 + 1, torch.randn(100) * 3).min()) >= 0


# ---- speaking ----


def test_contrast_moves_a_mel_away_from_its_average_over_channels() -> None:
    mel, mask = torch.randn(2, 5, 80), torch.ones(2, 5, 1)
    assert with_contrast(mel, mask, 0.0) is mel
    flat = torch.randn(2, 5, 1).expand(2, 5, 80)
    torch.testing.assert_close(with_contrast(flat, mask, 1.0), flat)
    ripple = torch.sin(torch.arange(80) * 2 * torch.pi / 19)  # its average over 19 channels is zero
    loud = torch.tensor([0.0, 1.0])[:, None]  # the quiet frame does not say how flat the voice is
    inner = slice(9, -9)
    for height, amount in ((3.0, 0.3), (0.5**0.5, 0.3 + 1.4 * 0.5)):
        voice = (loud + height * ripple * torch.tensor([[9.0], [1.0]]))[None]
        got = with_contrast(voice, torch.ones(1, 2, 1), 1.0)
        gained, expected = (got - voice)[0, 1, inner], amount * height * ripple[inner]
        torch.testing.assert_close(gained, expected, rtol=0, atol=0.06 * height)


def test_contrast_does_not_see_padding() -> None:
    mel = torch.randn(1, 9, 80)
    alone = with_contrast(mel, torch.ones(1, 9, 1), 1.0)
    padded, mask = torch.cat([mel, torch.randn(1, 4, 80)], 1), torch.ones(1, 13, 1)
    mask[:, 9:] = 0
    torch.testing.assert_close(with_contrast(padded, mask, 1.0)[:, :9], alone)


def test_noise_follows_the_seed_and_not_the_batch(backend: ChatterboxMelBackend) -> None:
    assert torch.equal(noise_of([3], 10, 80)[0], noise_of([5, 3], 20, 80)[1, :10])
    assert not torch.equal(noise_of([3], 10, 80), noise_of([4], 10, 80))
    tokens = [fidel_tokenizer().encode(text) for text in ("ሰላም", "ለከበደ ወተረ ነገሰ")]
    backend.network.eval()
    both = backend.synthesize([SynthesisRequest(tokens=t, seed=s) for s, t in enumerate(tokens)])
    alone = backend.synthesize([SynthesisRequest(tokens=tokens[0], seed=0)])[0]
    np.testing.assert_allclose(both[0], alone, atol=2e-3)
    other = backend.synthesize([SynthesisRequest(tokens=tokens[0], seed=9)])[0]
    assert np.abs(other - alone).max() > 1e-4


def test_pitch_moves_by_semitones_and_its_contour_widens_around_the_mean() -> None:
    pitch = normalized_pitch(torch.tensor([[100.0, 120.0, 150.0, 400.0]]))
    voicing = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    mask = torch.ones(1, 4, 1)

    def hertz(**asked: float) -> list[float]:
        voice = voice_change([SynthesisRequest(tokens=[5], **asked)], mask)(Voice(pitch, voicing))  # type: ignore[arg-type]
        return (180.0 * (voice.pitch[0, :3] * SPREAD).exp()).tolist()

    assert hertz() == pytest.approx([100, 120, 150], rel=1e-4)
    assert hertz(pitch=12) == pytest.approx([200, 240, 300], rel=1e-4)
    middle = float(np.exp(np.log([100, 120, 150]).mean()))
    assert hertz(pitch_range=0) == pytest.approx([middle] * 3, rel=1e-4)
    assert hertz(pitch_range=2)[0] == pytest.approx(middle * (100 / middle) ** 2, rel=1e-4)


def test_the_end_rises_by_what_is_asked_up_to_the_last_voiced_frame() -> None:
    voicing = torch.ones(2, 90)
    voicing[:, 80:] = 0
    requests = [SynthesisRequest(tokens=[5], final_rise=6), SynthesisRequest(tokens=[5])]
    voice = voice_change(requests, torch.ones(2, 90, 1))(Voice(torch.zeros(2, 90), voicing))
    semitones = voice.pitch * SPREAD * 12 / np.log(2)
    assert float(semitones[0, 79]) == pytest.approx(6, rel=1e-4)
    assert float(semitones[0, 61]) == pytest.approx(3, rel=1e-4)  # half of it, half of the way
    assert float(semitones[0, : 79 - 36].abs().max()) == 0
    assert bool((semitones[0, :80].diff() >= 0).all())
    assert float(semitones[1].abs().max()) == 0


@pytest.mark.parametrize(
    ("text", "rises"),
    [("አበበ መጣ?", [4]), ("አበበ መጣ፧", [4]), ("«አበበ መጣ?»", [4]), ("አበበ መጣ።", [0]), ("መጣ? አዎ። ሄደ፧", [4, 0, 4])],
)
def test_questions_alone_rise(
    backend: ChatterboxMelBackend, monkeypatch: pytest.MonkeyPatch, text: str, rises: list[float]
) -> None:
    asked: list[float] = []
    speak = backend.synthesize

    def noted(requests: Sequence[SynthesisRequest]) -> list[np.ndarray]:
        asked.extend(request.final_rise for request in requests)
        return speak(requests)

    monkeypatch.setattr(backend, "synthesize", noted)
    Synthesizer(backend, Normalizer()).speak(text, tone=Tone(question_rise=4))
    assert asked == rises


def test_a_voice_without_a_pitch_says_so_and_ranges_are_kept(backend: ChatterboxMelBackend) -> None:
    with_pitch = Synthesizer(backend, Normalizer())
    assert with_pitch.speak("ሰላም", tone=Tone(pitch=3)).duration > 0
    with pytest.raises(AmttsError, match="pitch 13 is out of range; expected -12 to 12"):
        with_pitch.speak("ሰላም", tone=Tone(pitch=13))
    with pytest.raises(AmttsError, match="question rise 13 is out of range"):
        with_pitch.speak("ሰላም?", tone=Tone(question_rise=13))
    with pytest.raises(AmttsError, match="pitch range -1 is out of range"):
        with_pitch.speak("ሰላም", tone=Tone(range=-1))
    config, kind = tiny_config("chatterbox-mel", model={"pitch": {"layers": 0}, "flow": {"layers": 0}})
    plain = kind(config.model_config_of(kind.spec), tokenizer=fidel_tokenizer())
    with pytest.raises(AmttsError, match="has no pitch that can be changed"):
        Synthesizer(plain, Normalizer()).speak("ሰላም", tone=Tone(pitch=3))


def test_mels_of_recordings_are_predicted_at_their_own_pitch(backend: ChatterboxMelBackend) -> None:
    wave = np.random.default_rng(0).standard_normal(22050).astype(np.float32) * 0.1
    mel = backend.predict_mel(fidel_tokenizer().encode("ሰላም"), wave, speaker=0)
    assert mel.shape == (22050 // 256, 80)
    assert np.isfinite(mel).all()


def test_speaking_settings_of_a_section_can_be_set_and_its_sizes_not(tmp_path: Path) -> None:
    data = make_corpus(tmp_path / "data")
    train_tiny(data, tmp_path / "run", model=FULL, training={"max_steps": 1})
    checkpoint = read_checkpoint(tmp_path / "run")
    warm = checkpoint.load_backend({"flow": {"temperature": 0.25, "steps": 9}})
    assert (warm.config.flow.temperature, warm.config.flow.steps, warm.config.flow.layers) == (0.25, 9, 2)
    with pytest.raises(
        ConfigError, match=r"model\.flow\.layers of a trained .* cannot be set; what can: .*flow\.steps"
    ):
        checkpoint.load_backend({"flow": {"layers": 3}})


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is None, reason="onnxruntime is not installed")
def test_it_is_exported(tmp_path: Path) -> None:
    """`export` itself compares what onnxruntime speaks with torch."""
    backend = built(("a", "b"))
    backend.network.eval()
    with torch.no_grad():
        backend.network.log_duration.bias.fill_(1.3)
    backend.choose_vocoder(str(tiny_vocoder(tmp_path / "vocoder")))
    backend.export(tmp_path / "out", format="onnx")
    assert (tmp_path / "out" / "model.onnx").is_file()
