#!/bin/sh
# make demo: raw dumps of all seven LLaMA domains -> packed shards -> a small model -> one that answers, from nothing but this
# repository; at the end a report of the corpus, and the document that a text of the model comes from.
set -eu
out=${1:?usage: run.sh DIR}
bin=${BIN:-.venv/bin}
"$bin/python" -m demo.raw "$out/raw"
"$bin/corpus" run llama --input "$out/raw" --output "$out/corpus" --sequence-length 256 --vocab-size 2048 >/dev/null
"$bin/corpus" verify --quiet "$out/corpus"
"$bin/corpus" report "$out/corpus" --output "$out/report.html" --quiet
"$bin/trainer" fit --data "$out/corpus/packed" --validation "$out/corpus/validation" --model llama-tiny \
    --output "$out/model" --steps "${STEPS:-400}" --batch-size 8
"$bin/python" -m demo.instructions "$out/raw"
"$bin/corpus" run alpaca --input "$out/raw" --output "$out/chat" --tokenizer "$out/corpus/tokenizer/tokenizer.model" \
    --sequence-length 256 --quiet >/dev/null
"$bin/trainer" fit --data "$out/chat/packed" --init-from "$out/model" --output "$out/tuned" --preset alpaca --batch-size 2 \
    --set optimizer.lr=3e-3
"$bin/python" -m demo.summary "$out"
