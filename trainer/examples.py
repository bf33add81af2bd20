"""Two or more examples for the help of each command of `trainer`."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
    "fit": (
        "trainer fit --data OUT/packed --validation OUT/validation --model llama-tiny --output RUN",
        "trainer fit --data OUT/packed --model llama-7b --tokens 10B --set optimizer.lr=3e-4 --output RUN",
        "torchrun --nproc-per-node 8 -m trainer fit --data OUT/packed --model llama-7b --parallel fsdp --output RUN",
    ),
    "settings": ("trainer settings", "trainer settings llama-7b --json"),
    "generate": (
        'trainer generate RUN --prompt "The river"',
        "trainer generate RUN --prompts questions.txt --template alpaca --temperature 0.7 --json",
    ),
    "eval": (
        "trainer eval RUN --validation OUT/validation",
        "trainer eval RUN --tasks arc_easy,quiz.yaml --few-shots 5 --corpus OUT/packed --json",
    ),
    "trace": ("trainer trace RUN --data OUT/packed --step 120", "trainer trace RUN --data OUT/packed --step 1 --json"),
    "export": (
        "trainer export RUN --format hf --output MODEL --check OUT/validation/c4",
        "trainer export RUN --format gguf --output MODEL-gguf",
    ),
    "memory": ("trainer memory llama-7b", "trainer memory llama-13b --json"),
    "seen": (
        "trainer seen RUN OUT/removals/0001.json",
        "trainer seen RUN OUT/removals/0001.json --json",
    ),
    "log": ("trainer log RUN", "trainer log RUN --json"),
    "plot": ("trainer plot RUN --output loss.svg", "trainer plot RUN --output loss.pdf"),
    "report": ("trainer report RUN", 'trainer report RUN --watch --every 60 --prompt "The river"'),
    "compare": ("trainer compare RUN1 RUN2", "trainer compare RUN1 RUN2 RUN3 --output rates.html"),
    "plan": (
        "trainer plan --compute 1e21 --corpus OUT/packed",
        "trainer plan --parameters 7B --tokens 1.4T --json",
    ),
    "memorization": (
        "trainer memorization RUN --data OUT/packed",
        "trainer memorization RUN --data OUT/packed --plot memorization.svg --json",
    ),
    "doremi": (
        "trainer doremi OUT/packed --proxy llama-tiny --steps 2K --output weights",
        "trainer doremi OUT/packed --proxy llama-tiny --steps 500 --output weights --json",
    ),
    "regmix": (
        "trainer regmix OUT/packed --validation OUT/validation --proxy llama-tiny --steps 2K --output weights",
        "trainer regmix OUT/packed --validation OUT/validation --proxy llama-tiny --steps 500 --output weights --json",
    ),
    "probe": (
        "trainer probe RUN --data OUT/validation",
        "trainer probe RUN --data OUT/validation --sequences 256 --plot sparsity.svg --json",
    ),
    "sweep": ("trainer sweep grid.yaml", "trainer sweep grid.yaml --json"),
    "noise": ("trainer noise RUN", "trainer noise RUN --json"),
    "scale": ("trainer scale run grid.yaml", "trainer scale fit LADDER --target-compute 1e21"),
    "scale run": ("trainer scale run grid.yaml", "trainer scale run grid.yaml --quiet"),
    "scale fit": (
        "trainer scale fit LADDER",
        "trainer scale fit measured.csv --target-compute 1e21 --json",
    ),
    "scale pass-rate": (
        "trainer scale pass-rate rates.csv --target-compute 1e24",
        "trainer scale pass-rate rates.csv --target-compute 1e24 --json",
    ),
    "completion": (
        "trainer completion bash >> ~/.bashrc",
        "trainer completion fish > ~/.config/fish/completions/trainer.fish",
    ),
}
