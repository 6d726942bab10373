#!/bin/bash
# Runs the GPU unit and PyTorch with CUDA graphs on the same card, one after the other, prints both and joins their JSON.
#
# usage: compare.sh BENCH_GPU WEIGHTS OUT
#   BENCH_GPU  the release binary of the example bench_gpu
#   WEIGHTS    multi-n.safetensors
#   OUT        folder for gpu-bench.json
# Needs a Vulkan loader and driver for BENCH_GPU; python3 with torch and safetensors for the comparison.
# ADAPTER narrows the choice of adapter; runs that would start after BUDGET seconds (200) are skipped by name.
set -u
bench=$1 weights=$2 out=$3
here=$(cd "$(dirname "$0")" && pwd)
parts=$(mktemp -d)
mkdir -p "$out"

run() { # name, command
    local name=$1
    shift
    if [ "$SECONDS" -gt "${BUDGET:-200}" ]; then
        echo "== $name SKIPPED: out of time"
        return
    fi
    echo "== $name (at ${SECONDS} s)"
    timeout 60 "$@" --json "$parts/$name.json" 2>&1 | tail -12
}

gpu() { # name, arguments of bench_gpu
    local name=$1
    shift
    run "$name" "$bench" --seconds 1 --model "$weights" ${ADAPTER:+--adapter "$ADAPTER"} "$@"
}

gpu gpu-320x224-b1 --size 320x224 --copy-threads 4 --layers --check
gpu gpu-320x224-b64 --size 320x224 --batch 64 --copy-threads 8 --layers
run torch-320x224 python3 "$here/bench_torch.py" "$weights" --size 320x224 --seconds 1
gpu gpu-320x224-b1-copy1 --size 320x224 --copy-threads 1
gpu gpu-256x128-b1 --size 256x128 --copy-threads 4
gpu gpu-256x128-b64 --size 256x128 --batch 64 --copy-threads 8
run torch-256x128 python3 "$here/bench_torch.py" "$weights" --size 256x128 --seconds 1
gpu gpu-320x224-b1-f16 --size 320x224 --copy-threads 4 --arithmetic f16 --layers --check
gpu gpu-320x224-b64-f16 --size 320x224 --batch 64 --copy-threads 8 --arithmetic f16
gpu gpu-320x224-b1-f32 --size 320x224 --copy-threads 4 --arithmetic f32

python3 - "$parts" "$out/gpu-bench.json" <<'PY'
import json, pathlib, sys
parts = sorted(pathlib.Path(sys.argv[1]).glob("*.json"))
pathlib.Path(sys.argv[2]).write_text(json.dumps({p.stem: json.loads(p.read_text()) for p in parts}, indent=1))
PY
rm -r "$parts"
