"""The original S3Gen reads what is written here, weights and voice, and says the same.

It cannot live in amtts' environment (its pins fight), so name an interpreter that has it:
AMTTS_STOCK_CHATTERBOX_PYTHON=/path/to/python pytest -m slow tests/backends/s3/test_stock_s3gen.py
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch
from command_line import call
from safetensors.torch import load_file, save_file
from tiny_s3 import SIZES, official_folder, write_voice
from tiny_voice import make_corpus

from amtts_chatterbox.s3.codec import S3Codec
from amtts_chatterbox.s3.noise import frame_noise, source_noise, source_phase
from amtts_chatterbox.s3.voices import write_conditions

STOCK = os.environ.get("AMTTS_STOCK_CHATTERBOX_PYTHON", "")
SCRIPT = Path(__file__).parents[2] / "support" / "stock_s3gen_speaks.py"


@pytest.mark.slow
@pytest.mark.skipif(
    not STOCK, reason="AMTTS_STOCK_CHATTERBOX_PYTHON names no interpreter with chatterbox-tts"
)
def test_the_original_says_the_same_with_tuned_weights_and_a_kept_voice(tmp_path: Path) -> None:
    official_folder(tmp_path / "weights")
    corpus = make_corpus(tmp_path / "corpus", train_items=3, val_items=1)
    trained = call(
        *("train", "--backend", "s3gen", "--from", tmp_path / "weights", "--data", corpus, "--max-steps", 1),
        *("--set", "training.optim.warmup_steps=1", "--out", tmp_path / "run"),
    )
    assert trained.code == 0, trained.err
    folder = tmp_path / "out"
    assert (
        call("export", "--checkpoint", tmp_path / "run", "--format", "chatterbox", "--out", folder).code == 0
    )
    codec = S3Codec.open(folder)
    assert isinstance(codec, S3Codec)
    voice = codec.voice(write_voice(tmp_path / "speaker.wav", seconds=3))
    write_conditions(folder / "conds.pt", voice)
    codes, seed = torch.randint(6561, (14,), generator=torch.Generator().manual_seed(1)), 5
    prompted, frames = len(voice.reference.mel), 2 * len(codes)
    noise = torch.cat(
        [
            frame_noise(seed, "prompt", first=0, count=prompted, width=80),
            frame_noise(seed, "mel", first=0, count=frames, width=80),
        ]
    )
    ask = {
        "codes": codes[None],
        "z": noise.t()[None].contiguous(),
        "phase": source_phase(seed)[None, :, None].contiguous(),
        "noise": source_noise(seed, first=0, count=frames)[None].contiguous(),
    }
    save_file(ask, folder / "ask.safetensors")
    (folder / "sizes.json").write_text(json.dumps(stock_sizes()))
    done = subprocess.run([STOCK, SCRIPT], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    (ours,) = codec.speak([codes], voice, seed=seed)
    told = load_file(folder / "told.safetensors")["wave"][0]
    assert told.shape == ours.shape
    assert float((told - ours).abs().max()) < 2e-3
    assert float(ours.abs().max()) > 0.05


def stock_sizes() -> dict[str, dict[str, object]]:
    """`SIZES` as the original's constructors take them."""
    return {
        "tokenizer": {
            "n_mels": 128,
            "n_audio_state": SIZES.tokenizer_width,
            "n_audio_head": SIZES.tokenizer_width // 64,
            "n_audio_layer": SIZES.tokenizer_layers,
        },
        "speaker": {
            "growth_rate": SIZES.speaker_growth,
            "bn_size": SIZES.speaker_bottleneck // SIZES.speaker_growth,
            "init_channels": SIZES.speaker_width,
        },
        "encoder": {
            "input_size": SIZES.encoder_width,
            "output_size": SIZES.encoder_width,
            "attention_heads": SIZES.encoder_heads,
            "linear_units": SIZES.encoder_inner,
            "num_blocks": SIZES.encoder_layers,
        },
        "estimator": {
            "in_channels": 320,
            "out_channels": 80,
            "channels": [SIZES.channels],
            "attention_head_dim": SIZES.head_size,
            "n_blocks": SIZES.blocks,
            "num_mid_blocks": SIZES.middle,
            "num_heads": SIZES.heads,
        },
        "hift": {"base_channels": SIZES.vocoder_channels, "f0_channels": SIZES.pitch_channels},
    }
