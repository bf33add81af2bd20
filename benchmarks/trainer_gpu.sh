#!/bin/bash
# The trainer on one GPU of 80 GB: is it right, then how fast; one line a result, under nine minutes in all.
# benchmarks/trainer_gpu.sh [PART ...]: only these parts (python -m benchmarks.trainer_gpu --help names them).
set -u
cd "$(dirname "$0")/.."
export PYTHONUNBUFFERED=1
bench() { timeout 530 "${PYTHON:-python3}" -m benchmarks.trainer_gpu "$@"; }
if [ $# -gt 0 ]; then
  bench "$@"
  exit
fi
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
# the checks wait for compilers most of the time: all at once; speeds are then taken alone
for part in processors masks families resumes waits; do
  bench "$part" >"$logs/$part" 2>&1 &
done
wait
cat "$logs"/*
bench speeds peer
