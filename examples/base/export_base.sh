#!/bin/bash
# The voice that is shipped from a RUN of make_base.sh, written to OUT: the speakers at their own pace, under plain names.
set -euo pipefail
RUN=${1:?a run} OUT=${2:?a new folder}
python "$(dirname "$0")/export_base.py" "$RUN" "$OUT" --speaker am=am-one-1 --speaker am-f3=syn-am+f3-1 \
    --speaker am-m3=syn-am+m3-1 --speaker am-f5=syn-am+f5-1 --speaker alffa02=real-alffa02-1 \
    --speaker alffa05=real-alffa05-1 --speaker alffa097=real-alffa097-1 --speaker alffa099=real-alffa099-1 \
    --speaker alffa11=real-alffa11-1 --set model.contrast=0.7 --set model.flow.temperature=0 \
    --license "Apache-2.0; learned from ALFFA (OpenSLR 25, MIT as stated there; Abate, Menzel and Tafila 2005) and from eSpeak NG's speech"
