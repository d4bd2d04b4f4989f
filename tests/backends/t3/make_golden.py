"""Makes tests/backends/t3/golden: a bundle of a tiny T3 whose transformer is transformers' LlamaModel, not ours.

Everything around the transformer is written out here once more, row by row and without packing, cache or fused
matrices. RoPE scaling acts at these short lengths (64 original positions, base 10,000). Run it from the repository
root:

    .venv/bin/python tests/backends/t3/make_golden.py
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlamaConfig, LlamaModel
from transformers.generation.logits_process import RepetitionPenaltyLogitsProcessor

FOLDER = Path(__file__).parent / "golden"
LLAMA = {
    "hidden_size": 32,
    "intermediate_size": 72,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    },
}
T3 = {
    "start_text_token": 39,
    "stop_text_token": 0,
    "text_tokens_dict_size": 40,
    "max_text_tokens": 24,
    "start_speech_token": 48,
    "stop_speech_token": 49,
    "speech_tokens_dict_size": 56,
    "max_speech_tokens": 40,
    "speech_cond_prompt_len": 9,
    "speaker_embed_size": 256,
    "use_perceiver_resampler": True,
    "emotion_adv": True,
}
QUERIES, HEADS, STEPS = 6, 4, 16
TEXT_LENGTHS, SPEECH_LENGTHS = [11, 6], [12, 17]


class PlainT3(nn.Module):
    """Published names, one row at a time."""

    def __init__(self) -> None:
        super().__init__()
        width = int(LLAMA["hidden_size"])
        rope = {"rope_theta": LLAMA["rope_theta"], **LLAMA["rope_scaling"]}  # type: ignore[dict-item]
        sizes = {k: v for k, v in LLAMA.items() if not k.startswith("rope")}
        self.tfmr = LlamaModel(LlamaConfig(vocab_size=8, rope_parameters=rope, **sizes))
        self.cond_enc = nn.ModuleDict(
            {
                "spkr_enc": nn.Linear(256, width),
                "emotion_adv_fc": nn.Linear(1, width, bias=False),
                "perceiver": nn.Module(),
            }
        )
        perceiver = self.cond_enc["perceiver"]
        perceiver.pre_attention_query = nn.Parameter(torch.randn(1, QUERIES, width) * 0.4)
        perceiver.attn = nn.ModuleDict(
            {name: nn.Linear(width, width) for name in ("to_q", "to_k", "to_v", "proj_out")}
        )
        perceiver.attn["norm"] = nn.LayerNorm(width)
        self.text_emb = nn.Embedding(T3["text_tokens_dict_size"], width)
        self.speech_emb = nn.Embedding(T3["speech_tokens_dict_size"], width)
        self.text_pos_emb = nn.ModuleDict({"emb": nn.Embedding(T3["max_text_tokens"] + 2, width)})
        self.speech_pos_emb = nn.ModuleDict({"emb": nn.Embedding(T3["max_speech_tokens"] + 4, width)})
        self.text_head = nn.Linear(width, T3["text_tokens_dict_size"], bias=False)
        self.speech_head = nn.Linear(width, T3["speech_tokens_dict_size"], bias=False)

    def attend(self, query: Tensor, memory: Tensor) -> Tensor:
        attn = self.cond_enc["perceiver"].attn
        size = query.shape[-1] // HEADS
        asked, heard = attn["norm"](query), attn["norm"](memory)
        q, k, v = attn["to_q"](asked), attn["to_k"](heard), attn["to_v"](heard)
        mixed = []
        for head in range(HEADS):
            part = slice(head * size, (head + 1) * size)
            weights = (q[..., part] @ k[..., part].transpose(-1, -2) / math.sqrt(size)).softmax(-1)
            mixed.append(weights @ v[..., part])
        return query + attn["proj_out"](torch.cat(mixed, -1))

    def conditioning(self, speaker: Tensor, prompt: Tensor, emotion: Tensor) -> Tensor:
        heard = self.speech_emb(prompt) + self.speech_pos_emb["emb"].weight[: prompt.shape[1]]
        seen = self.attend(self.cond_enc["perceiver"].pre_attention_query.expand(len(heard), -1, -1), heard)
        seen = self.attend(seen, seen)
        return torch.cat(
            [self.cond_enc["spkr_enc"](speaker)[:, None], seen, self.cond_enc["emotion_adv_fc"](emotion)], 1
        )

    def text(self, tokens: Tensor) -> Tensor:
        return self.text_emb(tokens) + self.text_pos_emb["emb"].weight[: tokens.shape[1]]

    def speech(self, tokens: Tensor, places: list[int]) -> Tensor:
        return self.speech_emb(tokens) + self.speech_pos_emb["emb"].weight[places]

    def row(self, conditioning: Tensor, text: Tensor, speech: Tensor) -> tuple[Tensor, Tensor]:
        rows = torch.cat(
            [conditioning, self.text(text), self.speech(speech, list(range(speech.shape[1])))], 1
        )
        hidden = self.tfmr(inputs_embeds=rows, use_cache=False).last_hidden_state
        begin, middle = conditioning.shape[1], conditioning.shape[1] + text.shape[1]
        return self.text_head(hidden[:, begin:middle]), self.speech_head(hidden[:, middle:])

    def decode(self, conditioning: Tensor, text: Tensor, *, starts: int, cfg: float, penalty: float) -> dict:
        """Greedy, the whole row again for every token."""
        silent = self.text_pos_emb["emb"].weight[None, : text.shape[1]]
        tokens, places = [T3["start_speech_token"]] * starts, [0] * starts
        spoken, margin = [], math.inf
        punish = RepetitionPenaltyLogitsProcessor(penalty)
        for step in range(STEPS):
            speech = self.speech(torch.tensor([tokens]), places)
            both = [
                self.speech_head(
                    self.tfmr(inputs_embeds=torch.cat([conditioning, t, speech], 1)).last_hidden_state[:, -1]
                )
                for t in (self.text(text), silent)
            ]
            logits = both[0] + cfg * (both[0] - both[1])
            logits = punish(torch.tensor([[T3["start_speech_token"], *spoken]]), logits)
            top = logits[0].topk(2)
            margin = min(margin, float(top.values[0] - top.values[1]))
            spoken.append(int(top.indices[0]))
            if spoken[-1] == T3["stop_speech_token"]:
                break
            tokens.append(spoken[-1])
            places.append(step + 1)
        return {"tokens": spoken, "margin": margin}


def main() -> None:
    """Writes the bundle."""
    torch.manual_seed(7)
    model = PlainT3().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.add_(torch.randn_like(parameter) * 0.1)
            elif "tfmr" in name:
                parameter.mul_(8)
    text = torch.zeros(2, max(TEXT_LENGTHS), dtype=torch.long)
    speech = torch.full((2, max(SPEECH_LENGTHS)), T3["stop_speech_token"])
    for row, (letters, codes) in enumerate(zip(TEXT_LENGTHS, SPEECH_LENGTHS, strict=True)):
        text[row, 0], text[row, 1 : letters - 1] = (
            T3["start_text_token"],
            torch.randint(1, 39, (letters - 2,)),
        )
        speech[row, 0] = T3["start_speech_token"]
        speech[row, 1 : codes - 1] = torch.randint(0, 48, (codes - 2,))
    speaker = functional.normalize(torch.rand(2, 256), dim=1)
    prompt = torch.randint(0, 48, (2, T3["speech_cond_prompt_len"]))
    emotion = torch.tensor([0.5, 0.9]).view(2, 1, 1)
    conditioning = model.conditioning(speaker, prompt, emotion)
    text_logits = torch.zeros(2, text.shape[1], T3["text_tokens_dict_size"])
    speech_logits = torch.zeros(2, speech.shape[1], T3["speech_tokens_dict_size"])
    sums = {"text": torch.zeros(()), "speech": torch.zeros(())}
    for row, (letters, codes) in enumerate(zip(TEXT_LENGTHS, SPEECH_LENGTHS, strict=True)):
        t, s = text[row : row + 1, :letters], speech[row : row + 1, :codes]
        found = model.row(conditioning[row : row + 1], t, s)
        text_logits[row, :letters], speech_logits[row, :codes] = found[0][0].detach(), found[1][0].detach()
        sums["text"] = sums["text"] + functional.cross_entropy(found[0][0, :-1], t[0, 1:], reduction="sum")
        sums["speech"] = sums["speech"] + functional.cross_entropy(
            found[1][0, :-1], s[0, 1:], reduction="sum"
        )
    means = {
        "text": sums["text"] / (sum(TEXT_LENGTHS) - 2),
        "speech": sums["speech"] / (sum(SPEECH_LENGTHS) - 2),
    }
    (means["text"] + means["speech"]).backward()
    norms = {n: None if p.grad is None else float(p.grad.norm()) for n, p in model.named_parameters()}
    decode: dict[str, object] = {}
    with torch.no_grad():
        first = conditioning[:1], text[:1, : TEXT_LENGTHS[0]]
        for starts, word in ((1, "single"), (2, "double")):
            for cfg in (0, 0.5):
                made = model.decode(*first, starts=starts, cfg=cfg, penalty=1.0)
                decode[f"{word}_bos_cfg{cfg}"] = made["tokens"]
                decode[f"{word}_bos_cfg{cfg}_min_margin"] = made["margin"]
        made = model.decode(*first, starts=2, cfg=0.5, penalty=1.2)
        decode["official_inference_argmax_cfg0.5_rep1.2_temp0.8_minp0.05"] = made["tokens"]
        decode["official_inference_argmax_cfg0.5_rep1.2_temp0.8_minp0.05_min_margin"] = made["margin"]
    FOLDER.mkdir(exist_ok=True)
    save_file({n: t.detach().contiguous() for n, t in model.state_dict().items()}, FOLDER / "t3.safetensors")
    save_file(
        {
            "text_tokens": text,
            "text_token_lens": torch.tensor(TEXT_LENGTHS),
            "speech_tokens": speech,
            "speech_token_lens": torch.tensor(SPEECH_LENGTHS),
            "speaker_emb": speaker,
            "cond_prompt_speech_tokens": prompt,
            "emotion_adv": emotion,
        },
        FOLDER / "inputs.safetensors",
    )
    save_file(
        {
            "cond_emb": conditioning.detach(),
            "text_logits_tight": text_logits,
            "speech_logits_tight": speech_logits,
        },
        FOLDER / "outputs.safetensors",
    )
    settings = {"llama": LLAMA, "t3": T3, "perceiver": {"num_queries": QUERIES, "num_heads": HEADS}}
    (FOLDER / "config.json").write_text(json.dumps(settings, indent=1) + "\n")
    tight = {name: {"token_mean": float(mean.detach())} for name, mean in means.items()}
    expected = {"losses": {"reference_shifted_tight_layout": tight}, "grad_norms": norms, "decode": decode}
    (FOLDER / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
