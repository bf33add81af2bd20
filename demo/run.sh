#!/bin/sh
# make demo: raw dumps of all seven LLaMA domains -> packed shards -> a small model, from nothing but this repository.
set -eu
out=${1:?usage: run.sh DIR}
bin=${BIN:-.venv/bin}
"$bin/python" -m demo.raw "$out/raw"
"$bin/corpus" run llama --input "$out/raw" --output "$out/corpus" --sequence-length 256 --vocab-size 2048
"$bin/corpus" verify "$out/corpus"
"$bin/trainer" fit --data "$out/corpus/packed" --validation "$out/corpus/validation" --model llama-tiny \
    --output "$out/model" --steps 200 --batch-size 8
"$bin/trainer" generate "$out/model" --prompt "The river" --max-tokens 60
echo "raw samples   $out/raw"
echo "model         $out/model"
