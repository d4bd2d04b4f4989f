"""How sherpa-onnx speaks with an exported voice, for the card beside it; it has the layout of a VITS there."""

from __future__ import annotations

SHERPA_USAGE = """    sherpa-onnx-offline-tts --vits-model=model.onnx --vits-tokens=tokens.txt \\
      --output-filename=a.wav TEXT"""
