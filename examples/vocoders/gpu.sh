#!/bin/bash
# Long training where a GPU is at hand, made to fit into 10 minutes: DATA is a corpus of `amtts prepare`.
# Not run by the authors: no GPU was there.
set -euo pipefail
DATA=${1:?a corpus folder} OUT=${2:?a folder for the runs}
amtts train --backend vocoder --preset base --data "$DATA" --out "$OUT/plain" --max-steps 4000 \
    --set data.max_utterances=32 --set model.segment=128 --set training.validate_every=1000 --set training.save_every=1000
amtts train --backend vocoder --data "$DATA" --out "$OUT/adversarial" --from "$OUT/plain" --max-steps 3000 \
    --set model.adversarial=true --set data.max_utterances=32 --set model.segment=128 \
    --set training.optim.learning_rate=3e-4 --set training.validate_every=1000 --set training.save_every=1000
python "$(dirname "$0")/export_vocoder.py" "$OUT/adversarial" "$OUT/am-22k"
