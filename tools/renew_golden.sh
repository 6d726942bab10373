#!/usr/bin/env bash
# After new weights: the reference outputs that the tests compare with, made anew by ONNX Runtime from models/multi-n.safetensors.
#
#     tools/renew_golden.sh [PYTHON]
#
# PYTHON has the packages of training/requirements.txt, onnx and onnxruntime; python3 otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
PYTHONPATH=training "$python" -m gesto_train.to_onnx --weights models/multi-n.safetensors --size 320x224 256x128 --out "$folder"
"$python" crates/gesto-engine/tests/golden/make_golden.py --onnx "$folder/multi-320x224.onnx" "$folder/multi-256x128.onnx"
