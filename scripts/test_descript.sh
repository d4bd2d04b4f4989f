#!/usr/bin/env bash
# Holds `--codec descript` (the original package) to the same numbers as `--codec dac`, in an environment of its own:
# the package needs torchaudio and a protobuf that the export extra cannot use. Usage: scripts/test_descript.sh FOLDER
# (called by `make test-descript`; the first time it downloads some gigabytes).
set -euo pipefail
cd "$(dirname "$0")/.."

venv=$1
if [ ! -x "$venv/bin/pytest" ]; then
  "${PYTHON:-python3.11}" -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints-descript.txt \
    -e ".[descript]" pytest hypothesis
fi
OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} "$venv/bin/python" -m pytest -q --override-ini addopts= \
  --import-mode=importlib -p no:cacheprovider tests/backends/codecs/test_descript.py
