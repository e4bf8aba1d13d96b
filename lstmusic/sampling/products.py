"""Products of a matrix and a few rows, the matrix laid out once: what a step of a recurrent model spends its time in.

At few rows a product is as fast as its weights arrive from memory. torch's own calls stay below that: they lay the weights
out anew at each call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lstmusic.errors import ConfigError

WEIGHTS = ("float32", "float16", "int8")  # no bfloat16: float16 takes as much room and rounds eight times as finely
INT8_BLOCK = 32  # columns that the kernel reads at once; it looks no further than that where a row ends

Product = Callable[[Tensor], Tensor]
"""float32 [rows, K] -> W x + b, [rows, N]: the caller may write into it, and the next call may too."""


def product(weight: Tensor, bias: Tensor | None, rows: int, weights: str = "float32") -> Product:
    """W x + b for always the same number of rows.

    Args:
        weight: float32 [N, K]. bias: float32 [N].
        rows: how many rows x has.
        weights: what W is held in: `float32`; `float16`, exact where W was stored so, sums in float32; or `int8` with a
            scale for each row of W, x in bfloat16.

    Raises:
        ConfigError: no such weights, or none on this machine.
    """
    if weights not in WEIGHTS:
        raise ConfigError(f"weights={weights}: expected one of {', '.join(WEIGHTS)}")
    weight = weight.detach().contiguous()
    if weights == "float16":
        return _float16(weight, bias)
    if weights == "int8":
        return _int8(weight, bias)
    if weight.is_cuda:
        return _by_torch(weight, bias, rows)
    return _one_row(weight, bias) if rows == 1 else _packed(weight, bias, rows)


def _one_row(weight: Tensor, bias: Tensor | None) -> Product:
    """As two rows: with one, oneDNN leaves its packed weights aside. NumPy's product is faster by itself, but its threads
    and torch's take the cores from each other, and a step takes thirty times as long.
    """
    both = weight.new_zeros(2, weight.shape[1])
    run = _packed(weight, bias, 2)

    def first(x: Tensor) -> Tensor:
        both[0] = x[0]
        return run(both)[:1]

    return first


def _packed(weight: Tensor, bias: Tensor | None, rows: int) -> Product:
    """By oneDNN on weights in its own layout, where torch has it; it returns a new tensor at each call."""
    kernels: Any = torch.ops.mkldnn
    try:
        laid_out = kernels._reorder_linear_weight(weight, rows)
        kernels._linear_pointwise(weight.new_zeros(rows, weight.shape[1]), laid_out, bias, "none", [], "")
    except (AttributeError, RuntimeError):
        return _by_torch(weight, bias, rows)
    return lambda x: kernels._linear_pointwise(x, laid_out, bias, "none", [], "")


def _by_torch(weight: Tensor, bias: Tensor | None, rows: int) -> Product:
    out, transposed = weight.new_empty(rows, len(weight)), weight.t()
    if bias is None:
        return lambda x: torch.mm(x, transposed, out=out)
    return lambda x: torch.addmm(bias, x, transposed, out=out)


def _float16(weight: Tensor, bias: Tensor | None) -> Product:
    """By fbgemm, x and the sums in float32; on a GPU x is rounded too. Returns a new tensor at each call."""
    if weight.is_cuda:
        half = weight.half()
        return lambda x: _plus(functional.linear(x.half(), half).float(), bias)
    kernels: Any = torch.ops.quantized
    try:
        laid_out = kernels.linear_prepack_fp16(weight, bias)
    except (AttributeError, RuntimeError) as error:
        raise ConfigError("weights=float16: expected float32 or int8, this processor has no kernel for it") from error
    return lambda x: kernels.linear_dynamic_fp16(x, laid_out)


def _int8(weight: Tensor, bias: Tensor | None) -> Product:
    """By torch's kernel for int8 weights; returns a new tensor at each call."""
    if weight.is_cuda:
        raise ConfigError("weights=int8: expected float32 or float16 on a GPU")
    scales = (weight.abs().amax(dim=1).clamp_min(1e-12) / 127).bfloat16()
    padding = (0, -weight.shape[1] % INT8_BLOCK)
    rounded = (weight / scales[:, None]).round().clamp(-127, 127).to(torch.int8)
    laid_out = functional.pad(rounded, padding)

    def run(x: Tensor) -> Tensor:
        narrow = functional.pad(x.bfloat16(), padding) if padding[1] else x.bfloat16()
        return _plus(torch._weight_int8pack_mm(narrow, laid_out, scales).float(), bias)

    return run


def _plus(y: Tensor, bias: Tensor | None) -> Tensor:
    return y if bias is None else y.add_(bias)


class LaidOut:
    """Stands in a layer for one of its matrices: `functional.linear` with it is a `product`.

    torch asks an argument that has `__torch_function__` to do the work itself, so a layer's own formulas run unchanged.
    """

    def __init__(self, weight: Tensor, rows: int, weights: str) -> None:
        self.weight, self.rows, self.weights = weight, rows, weights
        self.product: Product | None = None  # a matrix that is only split is never laid out whole
        self.blocks: tuple[LaidOut, ...] = ()

    def split(self, sizes: list[int]) -> tuple[LaidOut, ...]:
        """The blocks of rows, each laid out on its own."""
        if not self.blocks:
            self.blocks = tuple(LaidOut(block, self.rows, self.weights) for block in self.weight.split(sizes))
        return self.blocks

    def linear(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """W x + b."""
        if self.product is None:
            self.product = product(self.weight, None, self.rows, self.weights)
        return _plus(self.product(x), bias)

    @classmethod
    def __torch_function__(
        cls, function: Callable, types: Any, arguments: tuple = (), options: dict[str, Any] | None = None
    ) -> Any:
        """`functional.linear`; nothing else is asked of a matrix."""
        if function is not functional.linear:
            return NotImplemented
        x, matrix, *bias = arguments
        return matrix.linear(x, *bias, **(options or {}))
