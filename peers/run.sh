#!/bin/sh
# Times gesto's peers (and gesto, where built) on its network. usage: run.sh ONNX_FOLDER [options of round_robin.py ...]
#
# ONNX_FOLDER holds the exported networks: files named *-320x224.onnx and *-256x128.onnx. Options for instance:
#   --gesto ../target/release/gesto --gesto-isa avx512-f32 avx2-f32    measure gesto in the same rounds
#   --amx-shim FILE    library to preload for bf16 where a virtual machine hides AMX's CPUID leaves
# VENV names a Python environment that has requirements.txt; by default one is made in .venv. OUT names the folder of the
# results (default: out).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] && [ -d "$1" ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
onnx=$1
shift
for size in 320x224 256x128; do
    [ "$(ls "$onnx"/*-"$size.onnx" 2>/dev/null | wc -l)" -eq 1 ] || { echo "$onnx must hold one *-$size.onnx" >&2; exit 2; }
done

venv=${VENV:-$here/.venv}
if [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --requirement "$here/requirements.txt"
fi
(cd "$here" && cargo build --release --locked)

out=${OUT:-$here/out}
mkdir -p "$out"
golden=$here/../crates/gesto-engine/tests/golden
for size in 320x224 256x128; do
    "$venv/bin/python" "$here/expand_fp16.py" "$onnx"/*-"$size.onnx" "$out/$size.onnx"
    set -- "$@" --model "$size=$out/$size.onnx" --image "$size=$golden/two-people-$size.png"
done

"$venv/bin/python" "$here/round_robin.py" "$@" --out "$out/results.jsonl"
"$venv/bin/python" "$here/table.py" "$out/results.jsonl" --svg "$out/results.svg"
