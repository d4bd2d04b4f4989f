"""Speak one Amharic sentence with the library of the pip package espeakng-loader; make_corpus.py starts this.

    python speak_with_library.py LIBRARY DATA VOICE WORDS_A_MINUTE PITCH < sentence.txt > samples.raw

Writes 16-bit little-endian mono samples; the first line of the output is `RATE VERSION`. Standard library
only, so that it starts fast.
"""

import ctypes
import sys

SYNCHRONOUS, RATE, PITCH, FROM_CHARACTER = 2, 1, 3, 1
UTF8, END_PAUSE = 1, 0x1000
CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def main(library_path: str, data: str, voice: str, wpm: str, pitch: str) -> None:
    """Speaks the text on standard input to standard output."""
    library = ctypes.CDLL(library_path)
    library.espeak_Info.restype = ctypes.c_char_p
    chunks: list[bytes] = []

    def receive(samples: "ctypes._Pointer[ctypes.c_short]", count: int, _events: int) -> int:
        if samples and count > 0:
            chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = CALLBACK(receive)
    rate = library.espeak_Initialize(SYNCHRONOUS, 0, data.encode(), 0)
    if rate <= 0:
        sys.exit(f"eSpeak NG did not start with the data in {data}")
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        sys.exit(f"eSpeak NG refused the voice {voice}")
    library.espeak_SetParameter(RATE, int(wpm), 0)
    library.espeak_SetParameter(PITCH, int(pitch), 0)
    text = sys.stdin.buffer.read()
    library.espeak_Synth(text, len(text) + 1, 0, FROM_CHARACTER, 0, UTF8 | END_PAUSE, None, None)
    library.espeak_Synchronize()
    version = library.espeak_Info(None).decode().split()[0]
    sys.stdout.buffer.write(f"{rate} {version}\n".encode() + b"".join(chunks))


if __name__ == "__main__":
    main(*sys.argv[1:])
