"""How other programs speak with exported files, for the card beside them."""

from __future__ import annotations

HF = """Letters that sound alike (ሠ ሰ, ዓ አ …) have the same ids; a character that the voice never learned has none
and is dropped.

    from transformers import AutoTokenizer, VitsModel
    model, tokenizer = VitsModel.from_pretrained("."), AutoTokenizer.from_pretrained(".")
    waveform = model(**tokenizer(text, return_tensors="pt")).waveform  # (1, T) at model.config.sampling_rate

Where there is no `tokenizer_config.json`, the voice joins letters (`unigram`, `bpe`); ids come from SentencePiece, with
0 before, between and after them:

    import sentencepiece, torch
    pieces = sentencepiece.SentencePieceProcessor(model_file="amtts_tokenizer/tokenizer.model").encode(text)
    ids = [0, *(row for piece in pieces for row in (piece, 0))]
    waveform = model(torch.tensor([ids])).waveform"""
SHERPA = """    sherpa-onnx-offline-tts --vits-model=model.onnx --vits-tokens=tokens.txt \\
      --output-filename=a.wav TEXT"""
USAGE = {"hf": HF, "sherpa-onnx": SHERPA}
"""Format -> Markdown."""
