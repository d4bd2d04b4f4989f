#!/usr/bin/env bash
# Speaks the sounds of the documentation with the voice that ships, into docs/assets/sounds/.
# Usage: scripts/make_sounds.sh [AMTTS]     (the command; .venv/bin/amtts without it)
set -euo pipefail
cd "$(dirname "$0")/.."
amtts=${1:-.venv/bin/amtts}
sounds=docs/assets/sounds
text="እንኳን ደህና መጡ። ዋጋው 27 ብር ነው።"
for speaker in am alffa099 alffa11; do
  "$amtts" synthesize --checkpoint base --speaker "$speaker" "$text" --out "$sounds/base-$speaker.opus"
done
"$amtts" synthesize --checkpoint base --speaker am "$text" --vocoder griffin-lim --out "$sounds/griffin-lim.opus"
"$amtts" synthesize --checkpoint base --speaker alffa099 --pitch 3 "$text" --out "$sounds/pitch.opus"
