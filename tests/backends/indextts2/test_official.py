"""The official network: every tensor of the released file, names both ways, and numbers the official code made."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from tiny_gpt import small_network, tiny_gpt

from amtts_core.errors import AmttsError, CheckpointError
from amtts_core.speech_lm.generate import Decoding, generate, generate_stream
from amtts_indextts2.config import IndexTTS2Config, config_of_released
from amtts_indextts2.inference import prompt_of
from amtts_indextts2.network import IndexTTS2Gpt
from amtts_indextts2.published import load_published, read_published, to_published
from amtts_indextts2.reference import reference_checks

BUNDLES = Path(os.environ.get("AMTTS_REFERENCE_BUNDLES", "no-bundles"))
NO_BUNDLE = pytest.mark.skipif(
    not (BUNDLES / "indextts2").is_dir(), reason="AMTTS_REFERENCE_BUNDLES names no folder with indextts2/"
)

RELEASED = "968eeb891edbc085143e021e6d626501c560958506932c91bcbc3d0c874d43c8"
"""sha256 of the sorted lines "name shape" of the released model's state dict: 665 tensors."""


@pytest.fixture(scope="module")
def small() -> IndexTTS2Gpt:
    return small_network()


def test_the_released_configuration_has_exactly_the_released_tensors() -> None:
    with torch.device("meta"):
        network = IndexTTS2Gpt(IndexTTS2Config(), 12000)
    found = to_published(network)
    lines = sorted(f"{name} {tuple(tensor.shape)}" for name, tensor in found.items())
    assert len(lines) == 665
    assert sum(p.numel() for p in network.parameters()) == 865_980_639
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == RELEASED


def test_names_and_layouts_come_back(small: IndexTTS2Gpt) -> None:
    published = to_published(small)
    assert published["gpt.h.0.attn.c_attn.weight"].shape == (32, 96)
    assert published["conditioning_encoder.embed.pos_enc.pe"].shape == (1, 5000, 16)
    again = IndexTTS2Gpt(small.config, small.num_text_tokens)
    load_published(
        again, {**published, "gpt.wte.weight": torch.zeros(1), "inference_model.x": torch.zeros(1)}
    )
    for name, tensor in small.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"mel_head.bias": None}, "lack the tensor 'speech.head.bias'"),
        ({"mel_hat.bias": torch.zeros(1)}, "does not know: 'mel_hat.bias'"),
        ({"text_head.bias": torch.zeros(3)}, r"shape \[3\] in the weights.* expects \[13\]"),
        ({"gpt.h.0.attn.c_attn.lora_A": torch.zeros(1)}, "LoRA"),
    ],
)
def test_weights_that_do_not_fit_are_an_error(
    small: IndexTTS2Gpt, change: dict[str, torch.Tensor | None], told: str
) -> None:
    weights = {k: v for k, v in {**to_published(small), **change}.items() if v is not None}
    with pytest.raises(CheckpointError, match=told):
        load_published(IndexTTS2Gpt(small.config, small.num_text_tokens), weights)


def test_files_are_read_safely(small: IndexTTS2Gpt, tmp_path: Path) -> None:
    torch.save({"model": to_published(small)}, tmp_path / "gpt.pth")
    load_published(IndexTTS2Gpt(small.config, small.num_text_tokens), read_published(tmp_path / "gpt.pth"))
    (tmp_path / "bad.pth").write_bytes(b"nothing")
    torch.save([1, 2], tmp_path / "list.pth")
    for name in ("bad.pth", "list.pth", "absent.pth"):
        with pytest.raises(CheckpointError):
            read_published(tmp_path / name)


def test_padding_leaks_nowhere(small: IndexTTS2Gpt) -> None:
    torch.manual_seed(1)
    features, lengths = torch.randn(2, 40, 1024), torch.tensor([40, 21])
    both = small.speaker(features, lengths)
    alone = small.speaker(features[1:, :21], lengths[1:])
    torch.testing.assert_close(both[1:], alone, rtol=1e-4, atol=1e-5)
    text, text_lengths = torch.randint(2, 12, (2, 11)), torch.tensor([11, 6])
    codes, lengths = torch.randint(0, 16, (2, 15, 1)), torch.tensor([15, 6])
    together = logits_of(small, small.prefix(both), text, text_lengths, codes, lengths)
    own = logits_of(small, small.prefix(alone), text[1:, :6], text_lengths[1:], codes[1:, :6], lengths[1:])
    for found, expected in zip(together, own, strict=True):
        torch.testing.assert_close(found[1:, :6], expected, rtol=1e-4, atol=1e-4)


def logits_of(
    network: IndexTTS2Gpt, prefix: torch.Tensor, text: torch.Tensor, text_lengths: torch.Tensor,
    codes: torch.Tensor, lengths: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """Of the text (B, N, V) and of the codes (B, S, E)."""
    states = network(text, text_lengths, codes, lengths, prefix=prefix)
    hidden = [
        states.packing.segment(states.hidden, segment, part.shape[1])
        for segment, part in zip(network.segments, (text, codes), strict=True)
    ]
    return network.text.head(hidden[0]), network.speech.head(hidden[1])


def test_nothing_sees_what_comes_later(small: IndexTTS2Gpt) -> None:
    torch.manual_seed(2)
    prefix = torch.randn(1, 5, 32)
    text, codes = torch.randint(2, 12, (1, 5)), torch.randint(0, 16, (1, 8, 1))
    lengths = (torch.tensor([5]), torch.tensor([8]))
    text_before, before = logits_of(small, prefix, text, lengths[0], codes, lengths[1])
    codes[0, 5] = (codes[0, 5] + 1) % 16
    text_after, after = logits_of(small, prefix, text, lengths[0], codes, lengths[1])
    assert torch.equal(text_before, text_after)
    torch.testing.assert_close(before[:, :5], after[:, :5])
    assert float((before[:, 5:] - after[:, 5:]).detach().abs().max()) > 1e-3


def test_a_wanted_length_replaces_the_speed_rows(small: IndexTTS2Gpt) -> None:
    latents = torch.randn(2, 3, 32)
    free, told = small.prefix(latents), small.prefix(latents, wanted=torch.tensor([0, 30]))
    assert torch.equal(free[0], told[0])
    assert torch.equal(free[0, 3:], small.speed.weight.flip(0))
    assert torch.equal(told[1, 3], small.speech.positions.weight[15])
    assert torch.equal(told[1, 4], small.speech.positions.weight[30])


def test_other_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="condition_type 'gst'"):
        config_of_released({"condition_type": "gst"})


def test_a_bundle_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(AmttsError, match=r"config\.json cannot be read .*Copy that file"):
        reference_checks(tmp_path)
    network, part = small_network(), small_network().config.speaker.model_dump()
    names = ("model_dim", "layers", "heads", "max_mel_tokens", "max_text_tokens")
    marks = {"start_text_token": 0, "stop_text_token": 1, "start_mel_token": 16, "stop_mel_token": 17}
    parts = {"condition_module": part, "emo_condition_module": part, "condition_num_latent": 3}
    sizes = {"number_text_tokens": 12, "number_mel_codes": 18}
    gpt = {**network.config.model_dump(include=set(names)), **marks, **parts, **sizes}
    published = {name: tensor.contiguous() for name, tensor in to_published(network).items()}
    features = {"cond_feats": torch.randn(2, 30, 1024), "cond_lens": torch.tensor([30])}

    def refused(said: str, **files: bytes | dict[str, object]) -> None:
        for name, held in files.items():
            raw = held if isinstance(held, bytes) else json.dumps(held).encode()
            (tmp_path / f"{name}.{'json' if name == 'config' else 'safetensors'}").write_bytes(raw)
        with pytest.raises(AmttsError, match=said):
            reference_checks(tmp_path)

    refused("config.json cannot be read", config=b"{")
    refused("config.json lacks 'gpt'.*Copy that file", config={"greedy_kv": [], "greedy_nokv": []})
    told: dict[str, object] = {"gpt": gpt, "greedy_kv": [], "greedy_nokv": []}
    refused("gpt in config.json .*layers", config={**told, "gpt": {**gpt, "layers": "x"}})
    refused(
        r"weights\.safetensors cannot be read .*Copy that file", config=told, weights=save(published)[:999]
    )
    refused(
        r"weights\.safetensors: .*lack the tensor", weights=save({"speed_emb.weight": torch.zeros(2, 32)})
    )
    refused(r"inputs\.safetensors cannot be read", weights=save(published), inputs=b"")
    refused(r"outputs\.safetensors cannot be read", inputs=save({}))
    refused(r"inputs\.safetensors lacks 'cond_feats'.*Copy that file", outputs=save({}))
    refused("do not fit together .*Use the files of one bundle", inputs=save(features))


@NO_BUNDLE
def test_the_official_code_made_the_same_numbers() -> None:
    checks = reference_checks(BUNDLES / "indextts2")
    assert len(checks) > 15
    assert not [check for check in checks if not check.ok]


@NO_BUNDLE
def test_a_wrong_norm_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    import amtts_indextts2.transformer as transformer

    monkeypatch.setattr(transformer.Transformer, "forward", _with_one_norm)
    assert [check for check in reference_checks(BUNDLES / "indextts2") if not check.ok]


def _with_one_norm(self: object, vectors: torch.Tensor, *, tap: object = None) -> tuple[torch.Tensor, None]:
    hidden = vectors
    for block in self.blocks:  # type: ignore[attr-defined]
        hidden = block(hidden)
    return self.final_norm(hidden), None  # type: ignore[attr-defined]


def test_released_weights_leave_a_position_out_and_no_others(small: IndexTTS2Gpt) -> None:
    own = tiny_gpt(head={"kind": "semantic", "num_codes": 18, "start": 16, "stop": 17})
    with torch.no_grad():
        for parameter in own.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    for network, released in ((small, True), (own, False)):
        assert network.as_released is released
        row = torch.zeros(network.config.num_latents + 2, network.config.model_dim)
        asked = prompt_of(network, row, [0, 5, 3, 8, 1], max_frames=20, min_frames=20)
        codes = {}
        for skip in (0, 1):
            decoding = Decoding(position_skip=skip)
            whole = generate(network, [asked], decoding)[0].codes
            assert torch.equal(torch.cat(list(generate_stream(network, asked, decoding, every=6))), whole)
            codes[skip] = whole[:, 0].tolist()
        assert codes[0] != codes[1]
