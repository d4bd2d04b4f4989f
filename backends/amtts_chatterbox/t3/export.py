"""Writes T3 as stock Chatterbox reads it: published tensor names, one float32 file, and what is not in the tensors.

Nothing of this project is needed to load it. No sampling state is written: only the network's own weights.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from amtts_chatterbox.t3.network import T3
from amtts_chatterbox.t3.published import to_published
from amtts_chatterbox.t3.stock_tokenizer import stock_tokenizer
from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.errors import AmttsError

logger = logging.getLogger(__name__)

FILES = {True: "t3_mtl23ls_v2.safetensors", False: "t3_cfg.safetensors"}
TOKENIZER_FILES = {True: "grapheme_mtl_merged_expanded_v1.json", False: "tokenizer.json"}
"""The file names that stock Chatterbox looks for, by whether the network is multilingual."""

_README = """# T3 for Chatterbox

`{file}` holds the weights under the names that [Chatterbox](https://github.com/resemble-ai/chatterbox) uses;
`config.json` holds every size. In an environment with `chatterbox-tts`:

```python
{code}
```

{tokenizer}

Text tokens: {text}. Speech codes: {codes}, start {start}, end {stop}. {starts} {license}
"""

_STARTS = {
    True: "It was trained with two start tokens before speech, as Chatterbox feeds.",
    False: "It was trained with {starts} start token before speech, whereas Chatterbox' `inference` feeds two: for a "
    "voice that speaks there, train with `--set model.start_tokens=2`.",
}

_OFFICIAL = """import safetensors.torch
from chatterbox.models.t3 import T3
from chatterbox.models.t3.modules.t3_config import T3Config
t3 = T3(T3Config(text_tokens_dict_size={text})).eval()
t3.load_state_dict(safetensors.torch.load_file("{file}"))"""

_OTHER = """import json, safetensors.torch
from chatterbox.models.t3 import T3
from chatterbox.models.t3.llama_configs import LLAMA_CONFIGS
from chatterbox.models.t3.modules.perceiver import Perceiver
from chatterbox.models.t3.modules.t3_config import T3Config
sizes, config = json.load(open("config.json")), T3Config()
vars(config).update(sizes["t3"])
LLAMA_CONFIGS[config.llama_config_name] = sizes["llama"]
t3 = T3(config)
t3.cond_enc.perceiver = Perceiver({queries}, {width}, {width}, {heads})
t3.load_state_dict(safetensors.torch.load_file("{file}"))
t3.eval()"""


_TOKENIZER = """`{file}` encodes text as in training, with Hugging Face `tokenizers` as Chatterbox' own classes use
it{tag}:
`Tokenizer.from_file("{file}").encode(text.replace(" ", "[SPACE]")).ids`. The text has to be written as in training
(numbers in words, `amtts normalize` shows it); Chatterbox' `punc_norm` changes Amharic punctuation, so leave it out."""

_NO_TOKENIZER = """No tokenizer is here: Chatterbox' format cannot express a '{kind}' tokenizer exactly. Encode text
with amtts."""


def export_chatterbox(
    network: T3,
    folder: Path,
    *,
    start_text: int = 255,
    stop_text: int = 0,
    license: str = "",
    tokenizer: TextTokenizer | None = None,
) -> Path:
    """Writes weights, tokenizer, config.json and README.md.

    Args:
        network: to write.
        folder: made if it is missing; files of the same names are replaced.
        start_text: id before the text.
        stop_text: id after it.
        license: of the weights it was trained from.
        tokenizer: its text tokenizer, written where Chatterbox' format can express it; otherwise the README says so.

    Returns:
        the weights file.

    Raises:
        AmttsError: the folder cannot be written.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    config, text = network.config, len(network.text.embedding.weight)
    path = folder / FILES[config.multilingual]
    weights = {name: t.to("cpu", torch.float32) for name, t in to_published(network.state_dict()).items()}
    sizes = published_sizes(network, start_text=start_text, stop_text=stop_text)
    official = (config.hidden, config.layers, config.speech_rows, config.heads) == (1024, 30, 8194, 16)
    code = (_OFFICIAL if official else _OTHER).format(
        text=text,
        file=path.name,
        queries=config.perceiver_queries,
        width=config.hidden,
        heads=config.perceiver_heads,
    )
    vocabulary = None if tokenizer is None else stock_tokenizer(tokenizer)
    if config.start_tokens != 2:
        logger.warning(
            "this network was trained with model.start_tokens=%d; stock Chatterbox feeds 2 starts before speech",
            config.start_tokens,
        )
    kind = "" if tokenizer is None else tokenizer.kind
    named = TOKENIZER_FILES[config.multilingual]
    language = getattr(tokenizer, "language", "")
    tag = f", after the tag [{language}] before the text" if language else ""
    if vocabulary is not None:
        about = _TOKENIZER.format(file=named, tag=tag)
    else:
        about = _NO_TOKENIZER.format(kind=kind) if kind else "Text tokens are the caller's."
    if tokenizer is not None and vocabulary is None:
        logger.warning("no tokenizer is written: Chatterbox' format cannot express a '%s' tokenizer", kind)
    readme = _README.format(
        tokenizer=about,
        file=path.name,
        code=code,
        text=f"{text}, start {start_text}, stop {stop_text}",
        codes=config.speech_codes,
        start=config.start_speech,
        stop=config.stop_speech,
        starts=_STARTS[config.start_tokens == 2].format(starts=config.start_tokens),
        license=f"License of the weights: {license}." if license else "",
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(weights, path, metadata={"format": "pt"})
        (folder / "config.json").write_text(json.dumps(sizes, indent=1) + "\n", encoding="utf-8")
        if vocabulary is not None:
            content = json.dumps(vocabulary, ensure_ascii=False, indent=1)
            (folder / named).write_text(content + "\n", encoding="utf-8")
        (folder / "README.md").write_text(readme.rstrip() + "\n", encoding="utf-8")
    except (OSError, SafetensorError) as error:
        why = getattr(error, "strerror", None) or error
        raise AmttsError(f"export folder {folder} cannot be written: {why}") from None
    return path


def published_sizes(network: T3, *, start_text: int, stop_text: int) -> dict[str, Any]:
    """Sizes under the published names: the inverse of `published.published_config`."""
    config, rope = network.config, network.config.rope
    return {
        "llama": {
            "vocab_size": 8,
            "max_position_embeddings": 131072,
            "hidden_size": config.hidden,
            "intermediate_size": config.intermediate,
            "num_hidden_layers": config.layers,
            "num_attention_heads": config.heads,
            "num_key_value_heads": config.heads,
            "head_dim": config.head_dim,
            "rms_norm_eps": config.norm_eps,
            "hidden_act": "silu",
            "attention_bias": False,
            "mlp_bias": False,
            "attention_dropout": 0.0,
            "tie_word_embeddings": False,
            "attn_implementation": "sdpa",
            "model_type": "llama",
            "use_cache": True,
            "rope_theta": rope.theta,
            "rope_scaling": {
                "rope_type": "llama3",
                "factor": rope.factor,
                "low_freq_factor": rope.low_freq_factor,
                "high_freq_factor": rope.high_freq_factor,
                "original_max_position_embeddings": rope.original_positions,
            },
        },
        "t3": {
            "text_tokens_dict_size": len(network.text.embedding.weight),
            "start_text_token": start_text,
            "stop_text_token": stop_text,
            "max_text_tokens": config.text_positions - 2,
            "start_speech_token": config.start_speech,
            "stop_speech_token": config.stop_speech,
            "speech_tokens_dict_size": config.speech_rows,
            "max_speech_tokens": config.speech_positions - 4,
            "llama_config_name": "amtts",
            "input_pos_emb": "learned",
            "speech_cond_prompt_len": config.prompt_tokens,
            "encoder_type": "voice_encoder",
            "speaker_embed_size": config.speaker_size,
            "use_perceiver_resampler": True,
            "emotion_adv": True,
        },
        "perceiver": {"num_queries": config.perceiver_queries, "num_heads": config.perceiver_heads},
        "amtts": {"multilingual": config.multilingual, "start_tokens": config.start_tokens},
    }
