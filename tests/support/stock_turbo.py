"""What the original says with an exported Turbo T3; an interpreter with chatterbox-tts runs it in the folder of the
files.

Reads ask.json (text, speaker, prompt, tokens) and writes told.json: the likeliest tokens of `inference_turbo`.
"""

from __future__ import annotations

import json

import torch
from safetensors.torch import load_file


def main() -> None:
    """Loads strictly as the original does, and speaks."""
    from chatterbox.models.t3 import llama_configs
    from chatterbox.models.t3.modules.cond_enc import T3Cond
    from chatterbox.models.t3.modules.t3_config import T3Config
    from chatterbox.models.t3.t3 import T3

    with open("config.json") as handle:
        sizes = json.load(handle)
    with open("ask.json") as handle:
        ask = json.load(handle)
    llama_configs.LLAMA_CONFIGS["exported"] = sizes["gpt2"]
    config = T3Config(text_tokens_dict_size=sizes["t3"]["text_tokens_dict_size"])
    vars(config).update(sizes["t3"], llama_config_name="exported")
    model = T3(config).eval()
    model.load_state_dict(load_file("t3_turbo_v1.safetensors"))
    torch.multinomial = lambda probabilities, **_: probabilities.argmax(-1, keepdim=True)
    condition = T3Cond(
        speaker_emb=torch.tensor([ask["speaker"]]), cond_prompt_speech_tokens=torch.tensor([ask["prompt"]])
    )
    text = torch.tensor([ask["text"]])
    settings = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "repetition_penalty": 1.0}
    found = model.inference_turbo(condition, text, max_gen_len=ask["tokens"] - 1, **settings)
    with open("told.json", "w") as handle:
        json.dump(found[0].tolist(), handle)


if __name__ == "__main__":
    main()
