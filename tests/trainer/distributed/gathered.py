"""The trainer with sharded weights gathered in bf16 and kept, as it does on GPUs: `python -m tests.trainer.distributed.gathered`."""

from __future__ import annotations

import torch

from trainer.cli import main
from trainer.distributed.parallel import Gathering
from trainer.loop import state

if __name__ == "__main__":
    state.gathering = lambda config, hardware: Gathering(torch.bfloat16, True)
    main(prog_name="trainer")
