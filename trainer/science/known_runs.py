"""What papers trained, to place a plan among them: parameters and tokens as they print them."""

from __future__ import annotations

from trainer.science.allocation import Allocation

KNOWN_RUNS = {
    "GPT-3 175B": Allocation(175e9, 300e9),
    "Gopher 280B": Allocation(280e9, 300e9),
    "Chinchilla 70B": Allocation(70e9, 1.4e12),
    "PaLM 8B": Allocation(8.63e9, 780e9),
    "PaLM 62B": Allocation(62.5e9, 795e9),
    "PaLM 540B": Allocation(540.35e9, 780e9),
    "LLaMA 7B": Allocation(6.7e9, 1.0e12),
    "LLaMA 13B": Allocation(13.0e9, 1.0e12),
    "LLaMA 33B": Allocation(32.5e9, 1.4e12),
    "LLaMA 65B": Allocation(65.2e9, 1.4e12),
}
"""arXiv 2005.14165 (Table 2.1), 2112.11446, 2203.15556 (Table 4), 2204.02311 (Tables 1 and 2), 2302.13971 (Table 2)."""
