#!/bin/bash
# Runs the GPU unit and PyTorch with CUDA graphs on the same card, one after the other, and prints both.
#
# usage: compare.sh BENCH_GPU WEIGHTS OUT
#   BENCH_GPU  the release binary of the example bench_gpu
#   WEIGHTS    multi-n.safetensors
#   OUT        folder for the JSON files
# Needs a Vulkan loader and driver for BENCH_GPU; python3 with torch and safetensors for the comparison.
set -u
bench=$1 weights=$2 out=$3
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"
adapter=${ADAPTER:+--adapter $ADAPTER}

run() { # name, arguments of bench_gpu
    local name=$1
    shift
    echo "== $name"
    # shellcheck disable=SC2086
    timeout 60 "$bench" --seconds 1 --model "$weights" $adapter --json "$out/$name.json" "$@" 2>&1 | tail -12
}

run gpu-320x224-b1 --size 320x224 --layers --check
run gpu-320x224-b1-copy4 --size 320x224 --copy-threads 4
run gpu-320x224-b64 --size 320x224 --batch 64 --copy-threads 8 --layers
run gpu-256x128-b1 --size 256x128 --copy-threads 4
run gpu-256x128-b64 --size 256x128 --batch 64 --copy-threads 8
run gpu-320x224-b1-f16 --size 320x224 --arithmetic f16 --layers --check
run gpu-320x224-b64-f16 --size 320x224 --batch 64 --copy-threads 8 --arithmetic f16
run gpu-320x224-b1-f32 --size 320x224 --arithmetic f32
for size in 320x224 256x128; do
    echo "== torch-$size"
    timeout 90 python3 "$here/bench_torch.py" "$weights" --size "$size" --json "$out/torch-$size.json" 2>&1 | tail -8
done
