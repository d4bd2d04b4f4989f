"""Small tokenizers in the official formats, and tiny checkpoints with official names that fit them."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from amtts_core.contract.published import PublishedFormat
from amtts_core.contract.registry import get_backend

FAMILIES = ("chatterbox", "indextts2", "vits")
"""Backends of amtts that read published weights with a vocabulary."""
LATIN = "abcdefghijklmnopqrstuvwxyz"


def published_of(backend: str) -> PublishedFormat:
    """What the backend declares about its published weights."""
    found = get_backend(backend).spec.published
    assert found is not None
    return found


def declare(monkeypatch: pytest.MonkeyPatch, backend: str, **changes: Any) -> None:
    """Changes what the backend declares about its published weights, for one test."""
    kind = get_backend(backend)
    published = replace(published_of(backend), **changes)
    monkeypatch.setattr(kind, "spec", replace(kind.spec, published=published))


def hf_data(tokens: Sequence[str], merges: Sequence[str] = (), *, tags: Sequence[str] = ()) -> dict[str, Any]:
    """A tokenizer file as Chatterbox ships it; the special tokens come first, [START] last."""
    names = list(dict.fromkeys(["[STOP]", "[UNK]", "[SPACE]", *tags, *tokens, "[START]"]))
    ids = {name: number for number, name in enumerate(names)}
    added = [name for name in names if name in {"[STOP]", "[UNK]", "[SPACE]", "[START]", *tags}]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": ids[name], "content": name, "special": True, "single_word": False, "lstrip": False,
             "rstrip": False, "normalized": False}
            for name in added
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "BPE", "dropout": None, "unk_token": "[UNK]", "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "vocab": ids, "merges": list(merges),
        },
    }  # fmt: skip


def chatterbox_data() -> dict[str, Any]:
    """Latin letters, IPA, capitals and precomposed letters that lower-casing and NFKD never leave, some merges."""
    tokens = [*LATIN, *".,?!'-", *"ABCDEFGH", *"éüñ", "th", "he", "the", "in", "sch", *"əɨʼʃːɲ"]
    return hf_data(tokens, ["t h", "h e", "th e", "i n"], tags=["[ar]", "[en]", "[he]"])


def sentencepiece_bytes(
    pieces: Sequence[tuple[str, float]],
    *,
    kind: str = "bpe",
    specials: Sequence[str] = ("<s>", "</s>", "<unk>"),
) -> bytes:
    """A model with start 0, stop 1, unknown 2 and these pieces, without training."""
    messages = importlib.import_module("sentencepiece.sentencepiece_model_pb2")
    proto = messages.ModelProto()
    for name in specials:
        proto.pieces.add(piece=name, score=0.0, type=2 if name == "<unk>" else 3)
    for name, score in pieces:
        proto.pieces.add(piece=name, score=score, type=1)
    trainer = proto.trainer_spec
    trainer.model_type = {"unigram": 1, "bpe": 2, "char": 4}[kind]
    trainer.vocab_size = len(proto.pieces)
    trainer.bos_id, trainer.eos_id, trainer.unk_id, trainer.pad_id = 0, 1, 2, -1
    proto.normalizer_spec.name = "identity"
    proto.normalizer_spec.add_dummy_prefix = True
    proto.normalizer_spec.remove_extra_whitespaces = True
    proto.normalizer_spec.escape_whitespaces = True
    return bytes(proto.SerializeToString())


def indextts2_model(kind: str = "bpe") -> bytes:
    """Upper-case Latin and some Chinese, as IndexTTS2 cuts text."""
    longer = ["▁T", "HE", "▁THE", "IN", "▁WOR", "▁W", "OR", "LD", "世界", "你好"]
    singles = [*"▁ETAOINSHRDLUCMFWYPVBGKJQXZ你好世界今天.,!?'"]
    pieces = [(name, -float(rank)) for rank, name in enumerate([*longer, *singles])]
    if kind == "unigram":
        pieces = [(name, -3.0 - rank / 7) for rank, name in enumerate([*longer, *singles])]
    return sentencepiece_bytes(pieces, kind=kind)


def mms_list() -> dict[str, int]:
    """The symbols of the Amharic MMS checkpoint: id 0 is the letter c and the blank."""
    return {sign: number for number, sign in enumerate("c_lfpemjrhozs'tnuqbwakxiydg ")}


def write_json(path: Path, data: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
    return path


def write_t3(folder: Path, text_tokens: int, *, seed: int = 0) -> Path:
    """A tiny T3 with published names, `t3.safetensors`."""
    from amtts_chatterbox.t3.config import PRESETS, T3Config
    from amtts_chatterbox.t3.network import T3
    from amtts_chatterbox.t3.published import to_published

    torch.manual_seed(seed)
    network = T3(T3Config.model_validate(PRESETS["tiny"]), num_text_tokens=text_tokens)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.contiguous() for name, value in to_published(network.state_dict()).items()}
    save_file(weights, folder / "t3.safetensors")
    return folder / "t3.safetensors"


def indextts2_weights(text_tokens: int, *, seed: int = 0) -> dict[str, torch.Tensor]:
    """The text tensors of IndexTTS2 and one other."""
    source = torch.Generator().manual_seed(seed)
    return {
        "text_embedding.weight": torch.randn(text_tokens + 1, 12, generator=source),
        "text_head.weight": torch.randn(text_tokens + 1, 12, generator=source),
        "text_head.bias": torch.randn(text_tokens + 1, generator=source),
        "mel_head.bias": torch.randn(8, generator=source),
    }


def write_gpt(
    folder: Path, text_tokens: int, *, seed: int = 0, text_positions: int = 30, code_positions: int = 20
) -> Path:
    """A tiny IndexTTS2 with published names, `gpt.pth` as the original saves it."""
    from amtts_indextts2.config import ConformerConfig, IndexTTS2Config, SemanticHeadConfig
    from amtts_indextts2.network import IndexTTS2Gpt
    from amtts_indextts2.published import to_published

    torch.manual_seed(seed)
    conformer = ConformerConfig(
        output_size=8, linear_units=8, attention_heads=2, num_blocks=1, perceiver_mult=0.1
    )
    config = IndexTTS2Config(
        model_dim=16, layers=2, heads=2, max_text_tokens=text_positions, max_mel_tokens=code_positions,
        num_latents=4, speaker=conformer,
        emotion=conformer, head=SemanticHeadConfig(num_codes=18, start=16, stop=17),
    )  # fmt: skip
    network = IndexTTS2Gpt(config, text_tokens)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(
        {name: value.contiguous() for name, value in to_published(network).items()}, folder / "gpt.pth"
    )
    return folder / "gpt.pth"


def write_vits(folder: Path, vocabulary: dict[str, int], *, seed: int = 0) -> Path:
    """A tiny VITS as `save_pretrained` writes it, with its tokenizer files."""
    from transformers import VitsConfig, VitsModel

    torch.manual_seed(seed)
    config = VitsConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, ffn_dim=24,
        flow_size=8, spectrogram_bins=17, upsample_initial_channel=16, upsample_rates=[4, 2],
        upsample_kernel_sizes=[8, 4], resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1]],
        prior_encoder_num_flows=1, prior_encoder_num_wavenet_layers=1, posterior_encoder_num_wavenet_layers=1,
        duration_predictor_num_flows=2, duration_predictor_filter_channels=8,
    )  # fmt: skip
    VitsModel(config).save_pretrained(folder)
    write_json(folder / "vocab.json", vocabulary)
    settings = {"is_uroman": True, "language": "amh", "normalize": True, "pad_token": "c", "phonemize": False}
    write_json(
        folder / "tokenizer_config.json", {"tokenizer_class": "VitsTokenizer", "add_blank": True, **settings}
    )
    return folder
