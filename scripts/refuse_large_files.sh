#!/usr/bin/env bash
# Refuses weights and files above 500 kB among its arguments; called by pre-commit with the staged files.
set -euo pipefail

bad=0
for file in "$@"; do
  [ -f "$file" ] || continue
  case "$file" in
    *.safetensors | *.pt | *.pth | *.ckpt | *.onnx)
      echo "$file: weights do not belong into the repository" >&2
      bad=1
      ;;
    *)
      size=$(wc -c <"$file")
      if [ "$size" -gt 500000 ]; then
        echo "$file: $size bytes; at most 500000" >&2
        bad=1
      fi
      ;;
  esac
done
exit $bad
