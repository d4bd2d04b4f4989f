#!/bin/bash
# Makes examples/base/voice again: REAL is the subset of ALFFA (a folder with metadata.csv and audio/), WORK a new folder.
# To try it out in minutes: SENTENCES=4 MINUTES=1 CLIPS=4 STEPS=3 bash make_base.sh REAL WORK
set -euo pipefail
REAL=${1:?a folder of recordings} WORK=${2:?a new folder} HERE=$(dirname "$0")
SENTENCES=${SENTENCES:-260} MINUTES=${MINUTES:-56} CLIPS=${CLIPS:-} STEPS=${STEPS:-2050}
mkdir -p "$WORK"
python "$HERE/../corpus/compose_sentences.py" --count "$SENTENCES" --out "$WORK/composed.txt"
python "$HERE/../corpus/make_corpus.py" --text "$WORK/composed.txt" --voices am+f3,am+m3,am+f5 --minutes "$MINUTES" --format flac --out "$WORK/espeak"
python "$HERE/../vocoders/mix_corpus.py" --out "$WORK/synthetic" --source am="$HERE/../corpus${CLIPS:+:$CLIPS}" --source syn="$WORK/espeak"
# every recording at three paces, which moves pitch and formants: 15 voices of 5 speakers; alffa098 is the test
python "$HERE/../vocoders/mix_corpus.py" --out "$WORK/recorded" --source real="$REAL" --leave-out alffa098 --paces 1,0.9,1.1 ${CLIPS:+--each "$CLIPS"}
amtts prepare "$WORK/synthetic" "$WORK/recorded" --out "$WORK/data" --repeated-text --val 0.03 --test 0
amtts tokenize --data "$WORK/data" --kind fidel
amtts train --config "$HERE/base.yaml" --data "$WORK/data" --out "$WORK/run" --max-steps "$STEPS" \
    --set model.vocoder="$HERE/../vocoders/am-22k"
bash "$HERE/export_base.sh" "$WORK/run" "$WORK/voice"
