"""Makes tests/backends/turbo/golden: a tiny T3 with a GPT-2 transformer, by the original's own classes.

Run from the repository root by an interpreter that has chatterbox-tts 0.1.7 (docs/benchmarks.md says how to make one):

    STOCK/bin/python tests/backends/turbo/make_golden.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

FOLDER = Path(__file__).parent / "golden"
GPT2 = {
    "activation_function": "gelu_new",
    "model_type": "gpt2",
    "n_embd": 48,
    "hidden_size": 48,
    "n_head": 3,
    "n_layer": 2,
    "n_positions": 120,
    "n_ctx": 120,
    "layer_norm_epsilon": 1e-5,
    "attn_pdrop": 0.1,
    "embd_pdrop": 0.1,
    "resid_pdrop": 0.1,
    "vocab_size": 30,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
T3 = {
    "text_tokens_dict_size": 30,
    "start_speech_token": 60,
    "stop_speech_token": 61,
    "speech_tokens_dict_size": 62,
    "speech_cond_prompt_len": 20,
    "input_pos_emb": None,
    "use_perceiver_resampler": False,
    "emotion_adv": False,
}
TEXT_LENGTHS, SPEECH_LENGTHS, STEPS = [9, 6], [11, 17], 18
CASES = {
    "plain": {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "repetition_penalty": 1.0},
    "released": {"temperature": 0.8, "top_k": 25, "top_p": 0.95, "repetition_penalty": 1.2},
}


def model_of() -> Any:
    """The original's T3 with small sizes."""
    from chatterbox.models.t3 import llama_configs
    from chatterbox.models.t3.modules.t3_config import T3Config
    from chatterbox.models.t3.t3 import T3 as Original

    llama_configs.LLAMA_CONFIGS["amtts_tiny"] = GPT2
    config = T3Config(text_tokens_dict_size=T3["text_tokens_dict_size"])
    vars(config).update(T3, llama_config_name="amtts_tiny")
    model = Original(config).eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            drawn = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(
                1 + 0.1 * drawn
                if name.endswith(("ln_1.weight", "ln_2.weight", "ln_f.weight"))
                else 0.25 * drawn
            )
    return model


def greedy(model: Any, condition: Any, text: torch.Tensor, **settings: Any) -> tuple[list[int], float]:
    """The original's own loop with the likeliest token, and the smallest gap between the two likeliest."""
    import chatterbox.models.t3.t3 as module

    own, margin = module.torch.multinomial, [float("inf")]

    def likeliest(probabilities: torch.Tensor, **_: Any) -> torch.Tensor:
        top = probabilities.log().topk(2).values[0]
        margin[0] = min(margin[0], float(top[0] - top[1]))
        return probabilities.argmax(-1, keepdim=True)

    module.torch.multinomial = likeliest
    try:
        found = model.inference_turbo(condition(), text, max_gen_len=STEPS - 1, **settings)
    finally:
        module.torch.multinomial = own
    return found[0].tolist(), margin[0]


def main() -> None:
    """Writes the bundle."""
    from chatterbox.models.t3.modules.cond_enc import T3Cond

    torch.set_num_threads(1)
    model = model_of()
    generator = torch.Generator().manual_seed(6)

    def ids(count: int, *shape: int) -> torch.Tensor:
        return torch.randint(0, count, shape, generator=generator)

    text, speech = ids(30, 2, max(TEXT_LENGTHS)), ids(60, 2, max(SPEECH_LENGTHS))
    speaker, prompt = torch.rand(2, 256, generator=generator), ids(60, 2, 13)
    speech[:, 0] = T3["start_speech_token"]
    text_logits = torch.zeros(2, text.shape[1], 30)
    speech_logits = torch.zeros(2, speech.shape[1], 62)
    with torch.inference_mode():
        for row, (letters, codes) in enumerate(zip(TEXT_LENGTHS, SPEECH_LENGTHS, strict=True)):
            condition = T3Cond(
                speaker_emb=speaker[row : row + 1], cond_prompt_speech_tokens=prompt[row : row + 1]
            )
            embeds, start = model.prepare_input_embeds(
                t3_cond=condition,
                text_tokens=text[row : row + 1, :letters],
                speech_tokens=speech[row : row + 1, :codes],
            )
            hidden = model.tfmr(inputs_embeds=embeds).last_hidden_state
            text_logits[row, :letters] = model.text_head(hidden[0, start : start + letters])
            speech_logits[row, :codes] = model.speech_head(hidden[0, start + letters :])

        def condition() -> Any:
            return T3Cond(speaker_emb=speaker[:1], cond_prompt_speech_tokens=prompt[:1])

        decode = {}
        for name, settings in CASES.items():
            tokens, margin = greedy(model, condition, text[:1, : TEXT_LENGTHS[0]], **settings)
            decode[name] = {"settings": settings, "tokens": tokens, "margin": margin}
            assert margin > 1e-3, "the likeliest token is not certain"
    FOLDER.mkdir(exist_ok=True)
    save_file(
        {n: t.detach().clone().contiguous() for n, t in model.state_dict().items()}, FOLDER / "t3.safetensors"
    )
    save_file(
        {
            "text_tokens": text,
            "text_token_lens": torch.tensor(TEXT_LENGTHS),
            "speech_tokens": speech,
            "speech_token_lens": torch.tensor(SPEECH_LENGTHS),
            "speaker_emb": speaker,
            "cond_prompt_speech_tokens": prompt,
        },
        FOLDER / "inputs.safetensors",
    )
    save_file({"text_logits": text_logits, "speech_logits": speech_logits}, FOLDER / "outputs.safetensors")
    settings = {"gpt2": GPT2, "t3": T3, "decode": decode}
    (FOLDER / "config.json").write_text(json.dumps(settings, indent=1) + "\n")


if __name__ == "__main__":
    main()
