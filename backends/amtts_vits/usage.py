"""How other programs speak with exported files, for the card beside them."""

from __future__ import annotations

HF = """`vocab.json` spells letters that sound alike (ሠ ሰ, ዓ አ …) with one id; a character that the voice never
learned has none and is dropped. Where there is no `vocab.json`, a letter has several symbols and ids come from amtts.

    from transformers import VitsModel, VitsTokenizer
    model, tokenizer = VitsModel.from_pretrained("."), VitsTokenizer.from_pretrained(".")
    waveform = model(**tokenizer(text, return_tensors="pt")).waveform  # (1, T) at model.config.sampling_rate"""
SHERPA = """    sherpa-onnx-offline-tts --vits-model=model.onnx --vits-tokens=tokens.txt \\
      --output-filename=a.wav TEXT"""
USAGE = {"hf": HF, "sherpa-onnx": SHERPA}
"""Format -> Markdown."""
