"""Run by an interpreter that has `chatterbox-tts`, in an exported folder: stock T3's greedy tokens as JSON.

Nothing of amtts is imported. The Python block of the folder's README makes `t3`. Input and output are JSON files.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import types
from pathlib import Path

import torch


def _package_without_its_init() -> None:
    """T3 alone: the package's own __init__ would import vocoder, watermark and their audio libraries."""
    spec = importlib.util.find_spec("chatterbox")
    assert spec is not None
    package = types.ModuleType("chatterbox")
    package.__path__ = list(spec.submodule_search_locations or [])
    sys.modules["chatterbox"] = package


def main() -> None:
    """Arguments: the exported folder is the working directory; ask.json is read, told.json written."""
    _package_without_its_init()
    ask = json.loads(Path("ask.json").read_text(encoding="utf-8"))
    block = re.search(r"```python\n(.*?)```", Path("README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    made: dict[str, object] = {}
    exec(block[1], made)
    t3 = made["t3"]
    from chatterbox.models.t3.modules.cond_enc import T3Cond
    from tokenizers import Tokenizer

    text = Tokenizer.from_file("tokenizer.json").encode(ask["text"].replace(" ", "[SPACE]")).ids
    ids = [ask["start"], *text, ask["stop"]]
    torch.multinomial = lambda mass, num_samples: mass.argmax(-1, keepdim=True)
    found = {}
    for cfg in ask["cfg"]:
        condition = T3Cond(
            speaker_emb=torch.tensor([ask["speaker"]]),
            cond_prompt_speech_tokens=torch.tensor([ask["prompt"]]),
            emotion_adv=torch.tensor([[[ask["emotion"]]]]),
        )
        tokens = t3.inference(
            t3_cond=condition,
            text_tokens=torch.tensor([ids, ids]),
            max_new_tokens=ask["tokens"],
            temperature=1.0,
            top_p=1.0,
            min_p=0.0,
            repetition_penalty=ask["penalty"],
            cfg_weight=cfg,
        )
        found[str(cfg)] = tokens[0].tolist()
    Path("told.json").write_text(json.dumps({"text": ids, "speech": found}))


if __name__ == "__main__":
    main()
