"""Models of Hugging Face as recognizers: tiny ones with random weights, made here."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from amtts_core.contract.recognizer import FrameRecognizer
from amtts_core.contract.recognizer_registry import frame_recognizer, open_recognizer
from amtts_core.errors import AmttsError
from amtts_core.evaluation.alignment import align_text

LETTERS = "ሀለሐመሠረሰ"
RATE = 16_000


@pytest.fixture(scope="module")
def ctc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Wav2Vec2 CTC model with a vocabulary of letters."""
    folder = tmp_path_factory.mktemp("wav2vec2")
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "|": 2, **{letter: n for n, letter in enumerate(LETTERS, 3)}}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    tokenizer = transformers.Wav2Vec2CTCTokenizer(
        str(folder / "vocab.json"), unk_token="[UNK]", pad_token="[PAD]", word_delimiter_token="|"
    )
    extractor = transformers.Wav2Vec2FeatureExtractor(
        sampling_rate=RATE, do_normalize=True, return_attention_mask=True
    )
    transformers.Wav2Vec2Processor(extractor, tokenizer).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(16, 16),
        conv_stride=(16, 20),
        conv_kernel=(16, 20),
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        pad_token_id=0,
    )
    transformers.Wav2Vec2ForCTC(config).save_pretrained(folder, safe_serialization=True)
    return folder


def speech(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, int(seconds * RATE)).astype(np.float32)


def test_a_ctc_model_reads_and_tells_frames(ctc: Path) -> None:
    recognizer = frame_recognizer(str(ctc))
    assert isinstance(recognizer, FrameRecognizer)
    assert recognizer.sample_rate == RATE
    (found,) = recognizer.emissions([speech(1.0)])
    assert found.frame_seconds == pytest.approx(0.02, abs=0.001)
    assert np.exp(found.log_probs).sum(1).max() < 2  # the space counts as blank, too
    (transcript,) = recognizer.transcribe([speech(1.0)])
    assert set(transcript.text) <= set(LETTERS) | {" "}
    assert transcript.confidence is not None


def test_padding_of_a_batch_adds_no_frames(ctc: Path) -> None:
    recognizer = frame_recognizer(str(ctc))
    waves = [speech(1.0, 1), speech(1.5, 2), speech(0.7, 3)]
    together = recognizer.emissions(waves)
    for wave, batched in zip(waves, together, strict=True):
        (alone,) = recognizer.emissions([wave])
        assert abs(len(alone.log_probs) - len(batched.log_probs)) <= 1


def test_text_is_aligned_with_it(ctc: Path) -> None:
    recognizer = frame_recognizer(str(ctc))
    assert recognizer.symbol_ids("ሀለ።") == [3, 4]
    assert recognizer.text_of([3, 4]) == "ሀለ"
    found = align_text(recognizer, speech(2.0), "ሀለ መሠ")
    assert [word.word for word in found.words] == ["ሀለ", "መሠ"]
    assert 0 <= found.words[0].start < found.words[0].end <= found.words[1].start < 2.0


def test_whisper_writes_text_and_tells_no_frames(tmp_path: Path) -> None:
    letters = [chr(n) for n in range(33, 127)]
    specials = ["<|endoftext|>", "<|startoftranscript|>", "<|am|>", "<|transcribe|>", "<|notimestamps|>"]
    vocabulary = {token: n for n, token in enumerate([*letters, *specials])}
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (tmp_path / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    tokenizer = transformers.WhisperTokenizer(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"))
    extractor = transformers.WhisperFeatureExtractor(feature_size=16)
    transformers.WhisperProcessor(extractor, tokenizer).save_pretrained(tmp_path)
    torch.manual_seed(0)
    end = vocabulary["<|endoftext|>"]
    config = transformers.WhisperConfig(
        vocab_size=len(vocabulary),
        num_mel_bins=16,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        max_target_positions=24,
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=vocabulary["<|startoftranscript|>"],
        suppress_tokens=[],
        begin_suppress_tokens=[],
    )
    model = transformers.WhisperForConditionalGeneration(config)
    model.generation_config.max_length = 20
    model.save_pretrained(tmp_path, safe_serialization=True)
    recognizer = open_recognizer(f"hf:{tmp_path}")
    texts = [t.text for t in recognizer.transcribe([speech(1.0), speech(2.0)])]
    assert len(texts) == 2
    with pytest.raises(AmttsError, match="gives no frames"):
        frame_recognizer(f"hf:{tmp_path}")


def test_pickled_weights_are_refused(ctc: Path, tmp_path: Path) -> None:
    for path in ctc.iterdir():
        if path.suffix != ".safetensors":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    model = transformers.Wav2Vec2ForCTC.from_pretrained(ctc)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(AmttsError, match="cannot be opened"):
        open_recognizer(str(tmp_path))


def test_a_model_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(AmttsError, match="recognizer 'nobody/nothing' cannot be opened"):
        open_recognizer("nobody/nothing")
    with pytest.raises(AmttsError, match="needs a model"):
        open_recognizer("hf:")


def test_tries_to_connect_are_not_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        logging.getLogger("huggingface_hub.utils._http").warning("Retrying in 1s [Retry 1/5].")
        raise OSError("We couldn't connect to the hub.\nMore lines.")

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", unreachable)
    before = logging.getLogger("huggingface_hub").level
    with pytest.raises(AmttsError, match=r"cannot be opened: We couldn't connect to the hub\. Give"):
        open_recognizer("nobody/nothing")
    assert caplog.messages == []
    assert logging.getLogger("huggingface_hub").level == before
