#!/bin/bash
# The base voice where a GPU is at hand, made to fit into 10 minutes: DATA is the corpus of make_base.sh.
# What follows goes to `amtts train`: `bash gpu.sh DATA OUT --dry-run` does two steps, on a CPU as well.
# Not run on a GPU by the authors: none was there. Batches of four minutes, about twenty times what the shipped weights heard.
set -euo pipefail
DATA=${1:?a corpus folder} OUT=${2:?a folder for the run} HERE=$(dirname "$0")
shift 2
amtts train --config "$HERE/base.yaml" --data "$DATA" --out "$OUT" --max-steps 6000 --set model.vocoder="$HERE/../vocoders/am-22k" \
    --set data.batch_seconds=240 --set data.max_utterances=96 --set training.ema_decay=0.999 \
    --set training.validate_every=1000 --set training.save_every=1000 --set training.precision=bf16 "$@"
