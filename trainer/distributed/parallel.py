"""The model as a step calls it: alone, replicated over ranks (DDP), or with its weights sharded (FSDP2).

Replicas add their gradients in the order of the ranks on a CPU, so that a resumed run adds them as a straight one does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import (
    CPUOffloadPolicy,
    MixedPrecisionPolicy,
    OffloadPolicy,
    fully_shard,
    register_fsdp_forward_method,
)
from torch.nn.parallel import DistributedDataParallel

from trainer.distributed.ranks import Ranks
from trainer.distributed.shards import local, rows_here
from trainer.models.model import LanguageModel
from trainer.models.objective import Losses, TrainingModel

FirstWeights = Callable[[LanguageModel], Iterator[tuple[nn.Parameter, Tensor]]]


@dataclass(frozen=True)
class Gathering:
    """How the sharded weights of a block are gathered: as `dtype` (None: as they are), gradients staying float32, and
    whether they are `kept` from the forward pass to the backward one, which gathers once where it else does twice."""

    dtype: torch.dtype | None = None
    kept: bool = False


_PLAIN = Gathering()


class ParallelModel:
    """Calls the model over the ranks; `scale` makes the ranks' mean of gradients, where they make one, a sum.

    `call` is `TrainingModel.forward` and `losses` its `losses`; sharded, all ranks meet in both.
    """

    def __init__(
        self,
        model: LanguageModel,
        ranks: Ranks,
        kind: str,
        first_weights: FirstWeights,
        gathering: Gathering = _PLAIN,
    ) -> None:
        """Put a model of the meta device on this rank's, with its first weights; no rank holds more of them than its own, but
        for one matrix at a time.

        `first_weights` gives each parameter with its whole value; `kind`: "ddp", "fsdp" or
        "fsdp-offload", where sharded weights and what follows from them stay in the host's memory; it says nothing for one
        rank.
        """
        self.alone = TrainingModel(model)
        self.call: nn.Module = self.alone
        self.sharded = ranks.size > 1 and kind != "ddp"
        offloaded = self.sharded and kind == "fsdp-offload"
        self.scale = 1.0
        if self.sharded:
            mesh = dist.device_mesh.init_device_mesh(ranks.device.type, (ranks.size,))
            policy = MixedPrecisionPolicy(param_dtype=gathering.dtype, reduce_dtype=torch.float32)
            # pinned memory is for copies to a GPU
            pinned = CPUOffloadPolicy(pin_memory=ranks.device.type == "cuda")
            offload = pinned if offloaded else OffloadPolicy()
            for block in model.blocks:
                kept = gathering.kept and not offloaded
                fully_shard(block, mesh=mesh, mp_policy=policy, reshard_after_forward=not kept, offload_policy=offload)
            fully_shard(self.alone, mesh=mesh, offload_policy=offload)
            register_fsdp_forward_method(self.alone, "losses")
            self.scale = float(ranks.size)
        model.materialise(torch.device("cpu") if offloaded else ranks.device)
        if offloaded:
            model.table = model.table.to(ranks.device)  # buffers are not sharded
        with torch.no_grad():
            for parameter, whole in first_weights(model):
                rows = rows_here(parameter)
                local(parameter).copy_(whole[rows.start : rows.stop])
        if ranks.size > 1 and not self.sharded:
            replicated = DistributedDataParallel(self.alone, gradient_as_bucket_view=True)
            add = _sum_of_gpus if ranks.device.type == "cuda" else _sum_in_order
            # a lambda, because torch refuses annotations that are not evaluated
            replicated.register_comm_hook(ranks, lambda state, bucket: add(state, bucket))
            self.call = replicated
        self.losses: Losses = self.alone.losses

    def micro_batch(self, last: bool) -> AbstractContextManager[object]:
        """The context of one micro-batch: replicas send their gradients with the last one only."""
        if isinstance(self.call, DistributedDataParallel) and not last:
            return self.call.no_sync()
        return nullcontext()


def _sum_in_order(ranks: Ranks, bucket: Any) -> torch.futures.Future[Tensor]:
    """The sum of a bucket (a `GradBucket`) over the ranks, the same to the bit wherever in a bucket a gradient lies.

    A ring adds in an order that depends on the position, and DDP lays its buckets out anew after the first step of a
    process, so that a resumed run would differ from a straight one in the last bit.
    """
    own = bucket.buffer()
    parts = [torch.empty_like(own) for _ in range(ranks.size)]
    dist.all_gather(parts, own)
    own.copy_(parts[0])
    for part in parts[1:]:
        own.add_(part)
    future: torch.futures.Future[Tensor] = torch.futures.Future()
    future.set_result(own)
    return future


def _sum_of_gpus(ranks: Ranks, bucket: Any) -> torch.futures.Future[Tensor]:
    work = dist.all_reduce(bucket.buffer(), async_op=True)
    assert work is not None
    summed: torch.futures.Future[Tensor] = work.get_future().then(lambda done: done.value()[0])
    return summed
