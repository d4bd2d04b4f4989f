"""Stock `chatterbox-tts` reads what is exported: its tokenizer encodes alike, its T3 says the same greedy tokens.

It cannot live in amtts' environment (its pins fight), so name an interpreter that has it:
AMTTS_STOCK_CHATTERBOX_PYTHON=/path/to/python pytest tests/backends/t3/test_stock_chatterbox.py
"""

from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path

import pytest
import torch

from amtts_chatterbox.t3.config import PRESETS, T3Config, T3SamplingConfig
from amtts_chatterbox.t3.export import export_chatterbox
from amtts_chatterbox.t3.inference import Utterance, Voice, prompts_of
from amtts_chatterbox.t3.network import T3
from amtts_chatterbox.t3.stock_tokenizer import stock_tokenizer
from amtts_core.speech_lm.generate import Decoding, generate
from amtts_core.tokenizers.factory import train_tokenizer
from amtts_core.tokenizers.fidel import FidelTokenizer, default_symbols
from amtts_core.tokenizers.fidel_alphabet import PLAIN, spellings
from amtts_core.tokenizers.published.hf_file import open_tokenizer

STOCK = os.environ.get("AMTTS_STOCK_CHATTERBOX_PYTHON", "")
SCRIPT = Path(__file__).parents[2] / "support" / "stock_t3.py"
TEXT = "ሰላም ለዓለም፣ እንዴት ናችሁ?"


@pytest.mark.parametrize("byte_fallback", [False, True])
def test_the_written_tokenizer_encodes_as_ours(byte_fallback: bool) -> None:
    ours = FidelTokenizer([*default_symbols(byte_fallback=byte_fallback), "[am]"])
    data = stock_tokenizer(ours)
    assert data is not None
    stock = open_tokenizer(json.loads(json.dumps(data)))
    letters, chance = [*spellings(), *PLAIN, "[am]", "€", "字", "ж", "\U0001f600"], random.Random(5)
    texts = [TEXT, "", *("".join(chance.choices(letters, k=chance.randrange(1, 60))) for _ in range(300))]
    for text in texts:
        assert stock.encode(text.replace(" ", "[SPACE]")).ids == ours.encode(text)
    assert stock.get_vocab()["[START]"] == ours.bos_id
    assert stock.get_vocab()["[STOP]"] == ours.eos_id


def test_a_tokenizer_that_cannot_be_written_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = train_tokenizer("char", [TEXT] * 30, vocab_size=None)
    network = T3(T3Config.model_validate(PRESETS["tiny"]), num_text_tokens=tokenizer.vocab_size)
    export_chatterbox(network, tmp_path, tokenizer=tokenizer)
    assert "cannot express a 'char' tokenizer" in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "'char'" in caplog.text
    assert not (tmp_path / "tokenizer.json").exists()


@pytest.mark.slow
@pytest.mark.skipif(
    not STOCK, reason="AMTTS_STOCK_CHATTERBOX_PYTHON names no interpreter with chatterbox-tts"
)
def test_stock_chatterbox_says_the_same(tmp_path: Path) -> None:
    torch.manual_seed(4)
    tokenizer = FidelTokenizer(default_symbols())
    config = T3Config.model_validate(PRESETS["tiny"] | {"start_tokens": 2})
    network = T3(config, num_text_tokens=tokenizer.vocab_size, num_voices=2).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(6)
    start, stop = tokenizer.bos_id, tokenizer.eos_id
    export_chatterbox(network, tmp_path, start_text=start, stop_text=stop, tokenizer=tokenizer)
    voice = Voice(speaker=torch.rand(256), prompt=list(range(40)), emotion=0.7)
    ask = {
        "text": TEXT,
        "start": start,
        "stop": stop,
        "speaker": voice.speaker.tolist(),
        "prompt": list(voice.prompt),
        "emotion": voice.emotion,
        "cfg": [0.0, 0.5],
        "tokens": 40,
        "penalty": 1.2,
    }
    (tmp_path / "ask.json").write_text(json.dumps(ask), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [STOCK, SCRIPT], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads((tmp_path / "told.json").read_text())
    text = [start, *tokenizer.encode(TEXT), stop]
    assert told["text"] == text
    for cfg in ask["cfg"]:
        sampling = T3SamplingConfig(temperature=0, guidance_scale=1 + cfg, repetition_penalty=1.2)
        prompts = prompts_of(network, [Utterance(text=text, voice=voice)], sampling, max_frames=40)
        (found,) = generate(network, prompts, Decoding(sampling=sampling, any_id=True))
        ours = [*found.codes[:, 0].tolist(), *[config.stop_speech] * found.ended][:40]
        assert told["speech"][str(cfg)] == ours
        assert len(set(ours)) > 5, "a network that says one token over and over would prove little"
