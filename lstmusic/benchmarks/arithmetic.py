"""How much arithmetic a training step takes, and how much of it a device can do."""

from __future__ import annotations

import statistics
import time

import torch
from torch import nn

from lstmusic.models.language_model import RecurrentLanguageModel

MATRIX_SIZE = {"cpu": 2048, "cuda": 8192}  # of the product that the rate is measured on
REPEATS = 7


def bare_flops(model: nn.Module) -> int:
    """FLOPs per token of a training step of an embedding, which is looked up, recurrent layers and a linear map."""
    return matrix_flops(bare_entries(model))


def bare_entries(model: nn.Module) -> int:
    """Entries of the matrices that `bare_models.BareModel` reads for each id: all but the embedding."""
    return sum(p.numel() for name, p in model.named_parameters() if p.ndim == 2 and "embedding" not in name)


def own_flops(model: RecurrentLanguageModel) -> int:
    """FLOPs per token of a training step of a model whose groups are of one id, over windows of many more steps than ids.

    The embedding counts once, as the output projection that it is tied to; where ids and features are looked up there are
    no products: what the stack reads of an id is worked out once per window. Flags have no gradient.
    """
    if model.group_size != 1:
        raise ValueError(f"groups of {model.group_size}: expected groups of one")
    looked_up = {model.stack_features.weight, model.head_features.weight, model.stack_input.weight}
    learned = sum(p.numel() for p in model.parameters() if p.ndim == 2 and p not in looked_up)
    flags = sum(linear.weight.numel() for linear in (model.stack_flags, model.head_flags) if linear is not None)
    return matrix_flops(learned) - 2 * flags


def matrix_flops(entries: int) -> int:
    """FLOPs of products with matrices of so many entries in all, each used once: forward, and two gradients.

    A multiplication and an addition are two FLOPs. What is done element by element is not counted.
    """
    return 6 * entries


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOPs per second of a product of two large square matrices, the median of some; with torch's threads as they are."""
    size = MATRIX_SIZE[device.type]
    a, b = (torch.rand(size, size, device=device).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(REPEATS + 1):
        started = time.perf_counter()
        a @ b
        wait_for(device)
        seconds.append(time.perf_counter() - started)
    return 2 * size**3 / statistics.median(seconds[1:])


def wait_for(device: torch.device) -> None:
    """Wait until a device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
