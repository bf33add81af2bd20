"""One peer's training steps on random tokens: `python -P benchmarks/trainer_peers.py PEER JSON` prints JSON with the seconds of
each step. It imports nothing of ours, so that a peer may live in an environment of its own.

JSON: vocabulary, layers, width, heads, feed_forward, rows, length, precision, steps, threads.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

Loss = Callable[[Tensor, Tensor], Tensor]


def transformers(case: dict[str, Any]) -> tuple[nn.Module, Loss]:
    """LlamaForCausalLM with its own loss."""
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=case["vocabulary"],
            hidden_size=case["width"],
            intermediate_size=case["feed_forward"],
            num_hidden_layers=case["layers"],
            num_attention_heads=case["heads"],
            num_key_value_heads=case["heads"],
            max_position_embeddings=case["length"],
            rms_norm_eps=1e-6,
            tie_word_embeddings=False,
            use_cache=False,
        )
    )

    def loss(tokens: Tensor, targets: Tensor) -> Tensor:
        # the model shifts by itself: as many positions as ours, one target fewer in each row
        return model(input_ids=tokens, labels=tokens).loss

    return model, loss


def litgpt(case: dict[str, Any]) -> tuple[nn.Module, Loss]:
    """litgpt's GPT in LLaMA's shape, with plain cross-entropy as its pretraining script has it."""
    from litgpt.config import Config
    from litgpt.model import GPT

    model = GPT(
        Config(
            vocab_size=case["vocabulary"],
            padded_vocab_size=case["vocabulary"],
            n_layer=case["layers"],
            n_embd=case["width"],
            n_head=case["heads"],
            intermediate_size=case["feed_forward"],
            block_size=case["length"],
            bias=False,
            rotary_percentage=1.0,
            parallel_residual=False,
            norm_class_name="RMSNorm",
            mlp_class_name="LLaMAMLP",
        )
    )

    def loss(tokens: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(model(tokens).flatten(0, 1), targets.flatten())

    return model, loss


def run(peer: str, case: dict[str, Any]) -> list[float]:
    """Seconds of each step: forward, backward, clip, AdamW."""
    torch.manual_seed(0)
    torch.set_num_threads(case["threads"])
    model, loss = {"transformers": transformers, "litgpt": litgpt}[peer](case)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    seconds = []
    for _ in range(case["steps"]):
        rows = torch.randint(min(32000, case["vocabulary"]), (case["rows"], case["length"] + 1))
        began = time.perf_counter()
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16) if case["precision"] == "bf16" else nullcontext():
            value = loss(rows[:, :-1], rows[:, 1:])
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        value.item()
        seconds.append(time.perf_counter() - began)
    return seconds


if __name__ == "__main__":
    case = json.loads(sys.argv[2])
    print(json.dumps({"seconds": run(sys.argv[1], case)}))
