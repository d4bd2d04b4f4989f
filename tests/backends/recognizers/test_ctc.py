"""The CTC recognizer: its loss against all paths written out, long recordings in pieces, and what it learns to read."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_voice import fidel_tokenizer, tiny_backend

from amtts_core.checkpoints.write_backend import write_backend
from amtts_core.contract.recognizer import FrameRecognizer
from amtts_core.contract.recognizer_registry import open_recognizer
from amtts_core.contract.types import Example
from amtts_core.errors import AmttsError
from amtts_core.evaluation.alignment import align_text
from amtts_core.evaluation.text_errors import text_errors
from amtts_recognizers.ctc.augment import augmented
from amtts_recognizers.ctc.backend import NAME, CtcBackend, audible_ids
from amtts_recognizers.ctc.config import AugmentConfig, CtcConfig
from amtts_recognizers.ctc.decode import Spelling, best_path, collapsed
from amtts_recognizers.ctc.learner import CtcLearner
from amtts_recognizers.ctc.network import CtcNetwork, normalized
from amtts_recognizers.ctc.recognizer import CtcRecognizer

RATE = 16_000


class Fixed(torch.nn.Module):
    """A network whose posteriors are given."""

    def __init__(self, log_probs: torch.Tensor, prior: torch.Tensor) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(log_probs.clone())
        self.prior = prior
        self.training = False

    def forward(self, mel: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return self.logits.log_softmax(-1)[None]

    def num_frames(self, lengths: torch.Tensor) -> torch.Tensor:
        return lengths


def all_paths_loss(
    logits: torch.Tensor, target: list[int], prior: torch.Tensor, weight: float
) -> torch.Tensor:
    """-log of the sum over all paths that collapse to the target, by enumeration."""
    scaled = logits.log_softmax(-1) - weight * prior.log()
    paths = [
        sum(scaled[t, s] for t, s in enumerate(path))
        for path in itertools.product(range(logits.shape[1]), repeat=len(logits))
        if collapsed(path, blank=0) == target
    ]
    return -torch.stack(paths).logsumexp(0) / len(target)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_loss_and_gradient_are_those_of_all_paths(weight: float) -> None:
    torch.manual_seed(0)
    logits, prior = torch.randn(5, 4), torch.tensor([0.6, 0.2, 0.15, 0.05])
    network = Fixed(logits, prior)
    learner = CtcLearner(network, CtcConfig(prior_weight=weight), blank=0)  # type: ignore[arg-type]
    batch = {
        "mel": torch.zeros(1, 5, 80),
        "mel_lengths": torch.tensor([5]),
        "tokens": torch.tensor([[1, 2]]),
        "token_lengths": torch.tensor([2]),
    }
    (loss,) = learner.losses(batch)
    loss.total.backward()
    own = logits.clone().requires_grad_()
    expected = all_paths_loss(own, [1, 2], prior, weight)
    expected.backward()
    assert float(loss.total.detach()) == pytest.approx(float(expected.detach()), abs=1e-5)
    assert network.logits.grad is not None
    assert own.grad is not None
    assert torch.allclose(network.logits.grad, own.grad, atol=1e-5)


def test_a_path_loses_repeats_and_blanks() -> None:
    assert collapsed([0, 1, 1, 0, 1, 2, 2, 0], blank=0) == [1, 1, 2]
    assert collapsed([], blank=0) == []


def spelled(path: tuple[int, ...]) -> bool:
    """Whether every consonant (1, 2) gets a vowel (3, 4), and each vowel follows one; 5 is a space, 0 the blank.

    A blank may stand between consonant and vowel, and not between two vowel symbols of one letter.
    """
    state = "free"
    before = 0
    for symbol in path:
        if symbol in (1, 2):
            if state == "open" and symbol != before:
                return False
            state = "open"
        elif symbol in (3, 4):
            if state == "free":
                return False
            state = "vowel"
        elif symbol in (0, 5):
            if symbol == 5 and state == "open":
                return False
            state = state if symbol == 0 and state == "open" else "free"
        before = symbol
    return state != "open"


@pytest.mark.parametrize("seed", range(8))
def test_the_best_spelled_path_is_the_best_of_all(seed: int) -> None:
    log_probs = np.log(np.random.default_rng(seed).dirichlet(np.ones(6), size=5)).astype(np.float32)
    spelling = Spelling(
        np.array([False, True, True, False, False, False]), np.array([0, 0, 0, 1, 1, 0], dtype=bool)
    )
    found = best_path(log_probs, spelling, blank=0)
    paths = [p for p in itertools.product(range(6), repeat=5) if spelled(p)]
    best = max(paths, key=lambda p: sum(log_probs[t, s] for t, s in enumerate(p)))
    assert sum(log_probs[t, s] for t, s in enumerate(found)) == pytest.approx(
        sum(log_probs[t, s] for t, s in enumerate(best)), abs=1e-5
    )
    assert spelled(tuple(found))


def test_spelling_comes_from_the_symbols() -> None:
    tokenizer = fidel_tokenizer()
    spelling = Spelling.of(tokenizer)
    assert spelling is not None
    symbols = tokenizer.symbols()
    assert {symbols[n] for n in np.flatnonzero(spelling.vowels)} >= {"+a", "+ɨ", "+wa"}
    assert {symbols[n] for n in np.flatnonzero(spelling.consonants)} >= {"ል", "ጽ"}
    assert not any(symbols[n] in " ።፩" for n in np.flatnonzero(spelling.consonants))
    greedy = best_path(np.log(np.array([[0.1, 0.9], [0.8, 0.2]])), None, blank=0)
    assert greedy == [1, 0]


def test_padding_changes_nothing() -> None:
    torch.manual_seed(1)
    network = CtcNetwork(CtcConfig.model_validate({"hidden": 32, "kernels": [5, 7]}), num_tokens=12).eval()
    mel = torch.randn(1, 41, 80)
    alone = network(mel, torch.tensor([41]))
    padded = network(torch.cat([mel, torch.full((1, 20, 80), 3.0)], 1), torch.tensor([41]))
    assert torch.allclose(alone, padded[:, : alone.shape[1]], atol=1e-5)


def test_silence_is_not_amplified_to_the_size_of_speech() -> None:
    mel = torch.full((1, 50, 80), -11.5) + 0.01 * torch.randn(1, 50, 80)
    assert float(normalized(mel, torch.tensor([50])).abs().max()) < 0.2


def test_augmentation_keeps_lengths_true_and_values_finite() -> None:
    torch.manual_seed(2)
    mel, lengths = torch.randn(6, 90, 80) - 4, torch.tensor([90, 40, 77, 90, 12, 60])
    changed, new = augmented(mel, lengths, AugmentConfig())
    assert changed.shape[0] == 6
    assert changed.shape[1] == int(new.max())
    assert bool(torch.isfinite(changed).all())
    assert not torch.equal(new, lengths)
    nothing = AugmentConfig(tempo=0, pitch_warp=0, blur=0, noise=0, padding=0, time_masks=0, mel_masks=0)
    same, kept = augmented(mel, lengths, nothing)
    assert torch.equal(kept, lengths)
    assert torch.allclose(same, mel, atol=1e-4)


def test_punctuation_is_not_heard_and_spaces_are() -> None:
    tokenizer = fidel_tokenizer()
    audible = audible_ids(tokenizer)
    heard = [n for n in tokenizer.encode("ሰላም፣ ነህ?") if n in audible]
    assert tokenizer.decode(heard) == "ሰላም ነህ"
    assert not audible & {tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id}


# ---- a network that overfitted four noises ----

LETTERS = "ሰላምቤት"


def sound_of(text: str) -> np.ndarray:
    """Each letter as a chord of its own, 0.15 s, with silence between words."""
    waves = []
    for letter in text:
        time = np.arange(int(0.15 * RATE)) / RATE
        if letter == " ":
            waves.append(np.zeros(len(time)))
            continue
        base = 300 * (1.35 ** LETTERS.index(letter))
        waves.append(0.2 * np.sin(2 * np.pi * base * time) + 0.1 * np.sin(2 * np.pi * 2.7 * base * time))
    quiet = np.zeros(int(0.2 * RATE))
    wave = np.concatenate([quiet, *waves, quiet])
    return (wave + np.random.default_rng(0).normal(0, 0.001, len(wave))).astype(np.float32)


TEXTS = ["ሰላም ቤት", "ቤት ሰላም", "ላም ሰት", "ምሰ ቤላት", "ትቤ ምላ"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that reads those chords."""
    torch.manual_seed(3)
    backend = tiny_backend(NAME)
    assert isinstance(backend, CtcBackend)
    quiet = {
        "tempo": 0,
        "pitch_warp": 0,
        "blur": 0,
        "noise": 0,
        "padding": 0,
        "time_masks": 0,
        "mel_masks": 0,
    }
    config = backend.config.model_copy(update={"augment": AugmentConfig.model_validate(quiet)})
    learner = CtcLearner(backend.network, config, blank=backend.tokenizer.pad_id)
    batch = backend.collate(
        [
            Example(
                id=text,
                tokens=backend.tokenizer.encode(text),
                features=backend.features(sound_of(text)).arrays,
            )
            for text in TEXTS
        ]
    )
    optimizer = torch.optim.AdamW(backend.network.parameters(), lr=4e-3)
    backend.network.train()
    for _ in range(220):
        learner.begin_step()
        (loss,) = learner.losses(batch)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        learner.end_step(_Alone())
    backend.network.eval()
    out = tmp_path_factory.mktemp("ctc") / "checkpoint"
    write_backend(out, backend)
    return out


class _Alone:
    def sum(self, tensor: torch.Tensor) -> None:
        """One process."""

    def maximum(self, tensor: torch.Tensor) -> None:
        """One process."""


def test_it_reads_what_it_has_learned(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "amtts_recognizers.ctc.recognizer.SILENCE", 0.0
    )  # it was trained without any at the end
    recognizer = open_recognizer(str(folder))
    assert isinstance(recognizer, FrameRecognizer)
    found = recognizer.transcribe([sound_of(text) for text in TEXTS])
    assert [t.text for t in found] == TEXTS
    assert all(t.confidence is not None and t.confidence > 0.5 for t in found)


def test_a_batch_reads_as_its_items_do(folder: Path) -> None:
    recognizer = CtcRecognizer.open(str(folder))
    waves = [sound_of(text) for text in TEXTS] + [sound_of("ሰላም")[:4000]]
    together = recognizer.emissions(waves)
    for wave, batched in zip(waves, together, strict=True):
        (alone,) = recognizer.emissions([wave])
        assert np.allclose(alone.log_probs, batched.log_probs, atol=1e-3)


def test_a_long_recording_is_read_and_aligned_in_pieces(folder: Path) -> None:
    recognizer = CtcRecognizer.open(str(folder))
    texts = TEXTS * 12  # over a minute: three pieces of 30 s
    whole = np.concatenate([sound_of(text) for text in texts])
    assert len(whole) > 2 * 30 * RATE
    heard = recognizer.transcribe([whole])[0].text
    assert text_errors(" ".join(texts), heard).cer.rate < 0.1  # nothing is lost or doubled at the joints
    assert len(recognizer.emissions([whole])[0].log_probs) == pytest.approx(len(whole) / RATE * 50, abs=3)
    assert len(align_text(recognizer, whole, " ".join(texts)).words) == 2 * len(texts)


def test_silence_is_an_empty_text(folder: Path) -> None:
    recognizer = CtcRecognizer.open(str(folder))
    for wave in (np.zeros(RATE, np.float32), np.zeros(0, np.float32)):
        assert recognizer.transcribe([wave])[0].text == ""


def test_identity_follows_the_weights(folder: Path, tmp_path: Path) -> None:
    recognizer = CtcRecognizer.open(str(folder))
    assert recognizer.identity == CtcRecognizer.open(str(folder)).identity
    backend = recognizer._backend
    with torch.no_grad():
        backend.network.head.bias[5] += 1
    assert CtcRecognizer(backend, name="changed").identity != recognizer.identity


def test_one_line_for_what_is_no_recognizer(tmp_path: Path) -> None:
    with pytest.raises(AmttsError, match="no folder of a recognizer"):
        open_recognizer(str(tmp_path))
    with pytest.raises(AmttsError, match=r"recognizer 'ctd' \(did you mean 'ctc'\?\)"):
        open_recognizer("ctd")
