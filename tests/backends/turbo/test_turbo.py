"""Turbo's and Nano's T3: the original's numbers, files in the published layout, speech through a mean flow, export."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import call
from safetensors.torch import load_file, save_file
from tiny_s3 import SIZES, official_folder, tiny_weights, write_voice

from amtts_chatterbox.s3.names import MIXER
from amtts_chatterbox.turbo.config import PRESETS, TurboConfig
from amtts_chatterbox.turbo.network import TurboT3
from amtts_chatterbox.turbo.published import FILES, from_published, network_of, read_published, to_published
from amtts_chatterbox.turbo.reference import reference_checks
from amtts_core.audio.io import read_audio
from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.errors import AmttsError, CheckpointError
from amtts_core.speech_lm.generate import Decoding, Prompt, generate
from amtts_core.speech_lm.sampling import SamplingConfig

GOLDEN = Path(__file__).parent / "golden"
STOCK = os.environ.get("AMTTS_STOCK_CHATTERBOX_PYTHON", "")
SCRIPT = Path(__file__).parents[2] / "support" / "stock_turbo.py"


def test_the_golden_bundle_holds() -> None:
    told = call("validate-e2e", "--backend", "chatterbox-turbo", "--reference", GOLDEN, "--json").json()
    assert told["ok"]
    assert {check["name"] for check in told["checks"]} >= {
        *("text_logits", "speech_logits", "speech_logits packed"),
        *("greedy plain", "greedy plain with a cache", "greedy released"),
    }


@pytest.mark.parametrize("harm", ["another activation", "no position", "another order"])
def test_wrong_maths_is_seen(harm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import amtts_chatterbox.turbo.network as network
    import amtts_chatterbox.turbo.reference as reference

    if harm == "another activation":
        monkeypatch.setattr(network, "gelu", torch.nn.functional.silu)
    elif harm == "no position":
        monkeypatch.setattr(
            network.TurboT3,
            "prefix",
            lambda self, *given, own=network.TurboT3.prefix: own(self, *given).roll(1, 0),
        )
    else:
        monkeypatch.setattr(
            reference, "ORDER", ("guidance", "top_k", "min_p", "top_p", "repetition_penalty", "temperature")
        )
    wrong = [check for check in reference_checks(GOLDEN) if not check.ok]
    assert wrong or harm == "another order"  # temperature before or behind: the same likeliest token here


def test_a_broken_bundle_is_one_line(tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(GOLDEN, tmp_path / "bundle"))
    settings = json.loads((bundle / "config.json").read_text())
    settings["gpt2"]["n_head"] = 5
    (bundle / "config.json").write_text(json.dumps(settings))
    with pytest.raises(AmttsError) as caught:
        reference_checks(bundle)
    assert "\n" not in str(caught.value)


def test_published_names_lead_there_and_back() -> None:
    published = read_published(GOLDEN / "t3.safetensors")
    network = network_of(published, TurboConfig(**{**sizes_of_golden()}))
    again = to_published(network.state_dict(), unused_rows=30)
    assert set(again) == set(published)
    for name, tensor in published.items():
        if name != "tfmr.wte.weight":
            assert torch.equal(again[name], tensor), name


def sizes_of_golden() -> dict[str, int]:
    settings = json.loads((GOLDEN / "config.json").read_text())
    return {
        "hidden": settings["gpt2"]["n_embd"],
        "layers": settings["gpt2"]["n_layer"],
        "heads": settings["gpt2"]["n_head"],
        "positions": settings["gpt2"]["n_positions"],
        "speech_codes": 60,
        "speech_rows": 62,
        "start_speech": 60,
        "stop_speech": 61,
        "prompt_tokens": 20,
    }


@pytest.mark.parametrize(("stem", "preset"), FILES.items())
def test_the_published_sizes(stem: str, preset: str) -> None:
    config = TurboConfig.model_validate(PRESETS[preset])
    with torch.device("meta"):
        network = TurboT3(config, num_text_tokens=50276)
    shapes = {
        name: list(t.shape) for name, t in to_published(network.state_dict(), unused_rows=50276).items()
    }
    width, depth = (1024, 24) if preset == "turbo" else (768, 12)
    assert shapes["tfmr.h.0.attn.c_attn.weight"] == [width, 3 * width]
    assert shapes["tfmr.wpe.weight"] == [8196, width]
    assert shapes["speech_head.bias"] == [6563]
    assert sum(name.endswith("ln_1.weight") for name in shapes) == depth
    assert len(shapes) == 12 * depth + 11


@pytest.mark.parametrize("fault", ["a tensor less", "a Llama", "another size"])
def test_files_that_do_not_fit_are_one_line(fault: str, tmp_path: Path) -> None:
    weights = load_file(GOLDEN / "t3.safetensors")
    if fault == "a tensor less":
        del weights["tfmr.h.1.mlp.c_fc.bias"]
    elif fault == "a Llama":
        weights["tfmr.layers.0.input_layernorm.weight"] = torch.zeros(48)
    else:
        weights["speech_head.weight"] = weights["speech_head.weight"][:-1].contiguous()
    with pytest.raises(CheckpointError) as caught:
        network_of(weights, TurboConfig(**sizes_of_golden()))
    assert "\n" not in str(caught.value)


def test_masks_of_old_files_are_passed_over() -> None:
    weights = load_file(GOLDEN / "t3.safetensors")
    weights["tfmr.h.0.attn.bias"] = torch.ones(1, 1, 120, 120)
    assert set(from_published(weights)) == set(from_published(load_file(GOLDEN / "t3.safetensors")))


def turbo_folder(folder: Path) -> Path:
    """A small Turbo in its published layout: T3, mean flow, voice encoder, voice, GPT-2 tokenizer."""
    from tokenizers import ByteLevelBPETokenizer

    official_folder(folder)
    (folder / "s3gen.safetensors").unlink()
    weights = tiny_weights(replace(SIZES, mean_flow=True))
    assert MIXER in weights
    save_file(weights, folder / "s3gen_meanflow.safetensors")
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        ["hello there", "in the end"] * 5, vocab_size=280, special_tokens=["<|endoftext|>"]
    )
    tokenizer.save_model(str(folder))
    (folder / "added_tokens.json").write_text(json.dumps({"[laugh]": tokenizer.get_vocab_size()}))
    torch.manual_seed(2)
    config = TurboConfig.model_validate(PRESETS["tiny"])
    network = TurboT3(config, num_text_tokens=tokenizer.get_vocab_size() + 1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.2)
        network.speech.embedding.weight.mul_(6)
        network.speech.positions.weight.mul_(6)
    save_file(to_published(network.state_dict(), unused_rows=8), folder / "t3_turbo_v1.safetensors")
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    turbo_folder(home / "turbo")
    write_voice(home / "almaz.wav")
    done = call(
        *("adopt", home / "turbo", "--backend", "chatterbox-turbo", "--tokenizer", home / "turbo"),
        *(
            "--set",
            "model.codec=s3",
            "--set",
            f"model.codec_weights={home / 'turbo'}",
            "--out",
            home / "voice",
        ),
    )
    assert done.code == 0, done.err
    return home


def test_a_published_folder_speaks_through_its_mean_flow(home: Path, tmp_path: Path) -> None:
    few = ("--set", "model.sampling.max_tokens=20", "--set", "model.sampling.retries=0")
    speak = ("synthesize", "--checkpoint", home / "voice", "hello there", *few)
    assert call(*speak, "--out", tmp_path / "a.wav").code == 0
    done = call(
        *speak, "--out", tmp_path / "b.wav", "--voice", home / "almaz.wav", "--set", "model.silence=false"
    )
    assert done.code == 0, done.err
    lengths = [len(read_audio(tmp_path / f"{name}.wav", sample_rate=24000)) // 960 for name in "ab"]
    assert lengths == [23, 20]  # three tokens of silence behind the speech
    assert (
        call(
            "export", "--checkpoint", home / "voice", "--format", "chatterbox", "--out", tmp_path / "out"
        ).code
        == 0
    )
    written, own = (
        load_file(tmp_path / "out" / "t3_turbo_v1.safetensors"),
        load_file(home / "turbo/t3_turbo_v1.safetensors"),
    )
    assert set(written) == set(own)
    assert all(torch.equal(written[name], own[name]) for name in own if name != "tfmr.wte.weight")


def test_its_prompt_is_as_long_as_it_takes(home: Path, tmp_path: Path) -> None:
    from amtts_chatterbox.s3.voices import read_conditions

    recording = write_voice(tmp_path / "long.wav", seconds=9)
    assert call("voice", "--checkpoint", home / "voice", "--name", "long", recording).code == 0
    assert len(read_conditions(home / "voice" / "voices" / "long.pt").prompt) == 9 * 25  # more than T3's 6 s


def test_it_streams_what_it_says(home: Path) -> None:
    from amtts_core.synthesis.engine import Synthesizer

    settings = {"sampling": {"max_tokens": 30, "retries": 0}, "voice_clip": str(home / "almaz.wav")}
    synthesizer = Synthesizer.from_checkpoint(home / "voice", settings=settings)
    pieces = list(synthesizer.stream("in the end").pieces)
    assert len(np.concatenate(pieces)) == 33 * 960


def test_the_tokenizer_is_that_of_the_published_files(home: Path) -> None:
    tokenizer = read_checkpoint(home / "voice").tokenizer()
    assert tokenizer is not None
    ids = tokenizer.encode("hello [laugh] there")
    assert tokenizer.decode(ids) == "hello [laugh] there"
    assert len(tokenizer.symbols()) == tokenizer.vocab_size == len(set(tokenizer.symbols()))
    assert tokenizer.vocab_size - 1 in ids  # the added token stands last


@pytest.mark.slow
@pytest.mark.skipif(
    not STOCK, reason="AMTTS_STOCK_CHATTERBOX_PYTHON names no interpreter with chatterbox-tts"
)
def test_the_original_says_the_same_with_the_export(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert call("export", "--checkpoint", home / "voice", "--format", "chatterbox", "--out", folder).code == 0
    backend = read_checkpoint(home / "voice").load_backend()
    text = backend.text_tokenizer.encode("hello there, in the end")
    speaker, prompt = torch.rand(256, generator=torch.Generator().manual_seed(1)), list(range(40))
    ask = {"text": text, "speaker": speaker.tolist(), "prompt": prompt, "tokens": 30}
    (folder / "ask.json").write_text(json.dumps(ask))
    done = subprocess.run([STOCK, SCRIPT], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    prefix = backend.network.prefix(speaker, prompt, text).detach()
    one = Prompt(embeds=prefix, max_frames=30, first_position=len(prefix) - 1)
    decoding = Decoding(sampling=SamplingConfig(temperature=0), any_id=True)
    ours = generate(backend.network, [one], decoding)[0].codes[:, 0].tolist()
    told = json.loads((folder / "told.json").read_text())
    assert told == ours
    assert len(set(ours)) > 3


def test_items_of_other_lengths_say_what_they_say_alone(home: Path) -> None:
    network = read_checkpoint(home / "voice").load_backend().network
    speaker = torch.rand(256, generator=torch.Generator().manual_seed(1))
    prompts = [
        Prompt(embeds=prefix.detach(), max_frames=12, seed=n, first_position=len(prefix) - 1)
        for n, prefix in enumerate(
            network.prefix(speaker, list(range(heard)), [5, 6, 7, 8][: n + 1])
            for n, heard in enumerate((0, 30, 7))
        )
    ]
    decoding = Decoding(sampling=SamplingConfig(temperature=0.9, top_k=50))
    together = generate(network, prompts, decoding)
    for one, found in zip(prompts, together, strict=True):
        assert torch.equal(generate(network, [one], decoding)[0].codes, found.codes)
