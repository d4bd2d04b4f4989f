#!/usr/bin/env bash
# Makes a virtual environment and installs amtts into it, editable, with its development tools.
# Usage: scripts/make_venv.sh FOLDER [PYTHON]     (called by `make setup`)
set -euo pipefail

venv=$1
wanted=${2:-}

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
  python=""
  for candidate in ${wanted:-python3.11 python3}; do
    if is_new_enough "$candidate"; then
      python=$candidate
      break
    fi
  done
  if [ -z "$python" ]; then
    echo "error: amtts needs Python 3.11 or newer; tried: ${wanted:-python3.11 python3}." \
      "Install Python 3.11, or name another one: make setup PYTHON=/path/to/python" >&2
    exit 2
  fi
  echo "making $venv with $("$python" --version)"
  "$python" -m venv "$venv" || {
    echo "error: '$python -m venv' failed; on Debian and Ubuntu the package python3.11-venv brings it." >&2
    exit 2
  }
fi

echo "installing amtts into $venv (the first time takes a few minutes)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
"$venv/bin/python" -c "from importlib.metadata import version; print('amtts', version('amtts'), 'is installed')"
