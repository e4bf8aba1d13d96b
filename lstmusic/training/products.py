"""Products of float32 matrices on a CPU by the library that is faster at them, where it is as exact."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

LARGE = 2**18  # entries of a matrix from which on oneDNN pays: a layer of 256 units; for a layer of 128 it takes longer
TRIED_ON = (64, 512, 512)
EXACT = 1e-6  # relative error of float32's own rounding over sums of 512; that of bf16 is 3e-3


@contextmanager
def fast_products(model: nn.Module, device: torch.device) -> Iterator[None]:
    """While the context lasts, let torch hand float32 products on a CPU to oneDNN instead of MKL, if the model is large.

    On processors that are not Intel's, MKL leaves half of the machine unused. torch hands products to oneDNN where it may
    use bf16 inside ("medium"); whether this processor then does is tried first, so that float32 stays what it is. The
    choice depends on the machine and the model alone: the same training has the same bits each time.
    """
    before = torch.get_float32_matmul_precision()
    if device.type == "cpu" and max(p.numel() for p in model.parameters()) >= LARGE and _is_exact():
        torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _is_exact() -> bool:
    before = torch.get_float32_matmul_precision()
    generator = torch.Generator().manual_seed(0)
    m, k, n = TRIED_ON
    a, b = torch.randn(m, k, generator=generator), torch.randn(k, n, generator=generator)
    torch.set_float32_matmul_precision("medium")
    try:
        return relative_error(a @ b, a.double() @ b.double()) < EXACT
    finally:
        torch.set_float32_matmul_precision(before)


def relative_error(found: Tensor, expected: Tensor) -> float:
    """The norm of the difference as a share of the norm."""
    return float((found - expected).norm() / expected.norm())
