"""Stepper: one token for many songs, as fast as the model's weights arrive from memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstmusic.errors import ConfigError, StateShapeError
from lstmusic.models.cells import Layer
from lstmusic.models.frame_model import FrameModel
from lstmusic.models.language_model import RecurrentLanguageModel
from lstmusic.models.model import Model
from lstmusic.models.stack import State
from lstmusic.sampling.products import Product, product
from lstmusic.sampling.row_sum import RowSum
from lstmusic.sampling.step_layers import StepLayer, from_input, step_layer


def build(model: Model, rows: int, weights: str = "float32") -> Stepper | FrameStepper:
    """What steps a model of either kind.

    Raises:
        ConfigError: the machine or the model has no such weights.
    """
    if not isinstance(model, FrameModel):
        return Stepper(model, rows, weights)
    if weights != "float32":
        raise ConfigError(f"weights={weights}: expected float32, a model of frames has no other")
    return FrameStepper(model, rows)


class Stepper:
    """A language model taken step by step over a fixed number of songs: its weights laid out once, its buffers made once.

    What the stack and the head read are sums of rows, one for each id and feature, so all that comes between the look-up
    and the first layer's gates, and between the look-up and the head's sum, is applied to the tables beforehand.

    Args:
        model: its weights are copied or shared: a stepper lives no longer than they stay as they are.
        rows: R, how many songs. What a row is told depends on no other row.
        weights: what the matrices are held in; see `products.product`. Tables, biases, state and sums are float32.

    Raises:
        ConfigError: the machine has no such weights.
    """

    @torch.inference_mode()
    def __init__(self, model: RecurrentLanguageModel, rows: int, weights: str = "float32") -> None:
        self.rows, self.device = rows, model.device
        layers = cast("list[Layer]", list(model.layers))
        self.layers = [step_layer(layer, rows, weights, first=not k) for k, layer in enumerate(layers)]
        self.stack_sum = _row_sum(model, from_input(layers[0], _stack_table(model)), model.group_size, rows)
        self.head_sum = _row_sum(model, _head_table(model), model.group_size - 1, rows)
        head_input = product(model.head_input.weight, model.head_input.bias, rows, weights)
        self.base = self.head_sum.table.new_zeros(rows, model.head_input.out_features)
        self._advance = _captured(_stack(self.stack_sum, self.layers, head_input, self.base), self.device)
        self._judge = _captured(_head(self.head_sum, self.base, model, weights), self.device)
        for part in (part for layer in self.layers for part in layer.parts):
            part.zero_()  # making a graph has advanced it

    @torch.inference_mode()
    def load(self, state: State) -> None:
        """Go on from a state of the model, each float [L, 1 or R, H]; one row is copied to all.

        Raises:
            StateShapeError: the state is one of another model or number of rows.
        """
        _check_shapes(state, [(len(self.layers), *part.shape) for part in self.layers[0].parts])
        for part, layers in zip(state, self._parts(), strict=True):
            for mine, theirs in zip(layers, part, strict=True):
                mine.copy_(theirs)

    @torch.no_grad()
    def state(self) -> State:
        """A copy of the state, each float [L, R, H]: what the model's own step takes."""
        return tuple(torch.stack(layers) for layers in self._parts())

    @torch.inference_mode()
    def read(self, previous: Tensor, columns: Tensor, flags: Tensor) -> None:
        """Advance the stack by one group.

        Args:
            previous: int64 [R, G]. columns: int64 [R, F]. flags: bool [R, M].
        """
        self.stack_sum.point(previous, columns, flags)
        self._advance()

    @torch.inference_mode()
    def logits(self, members: Tensor, columns: Tensor, flags: Tensor) -> Tensor:
        """Unmasked logits float32 [R, V] of the group's next member; the next call may write into them.

        Args:
            members: int64 [R, g], the group's ids so far. columns: int64 [R, F]. flags: bool [R, M].
        """
        self.head_sum.point(members, columns, flags)
        return self._judge()

    def _parts(self) -> list[tuple[Tensor, ...]]:
        """For each part of the state its buffers, layer by layer."""
        return list(zip(*(layer.parts for layer in self.layers), strict=True))


def _check_shapes(state: State, expected: list[tuple[int, ...]]) -> None:
    """Raise StateShapeError where the parts of a state are not of these shapes [L, R, H], nor of one row each."""
    found = [tuple(part.shape) for part in state]
    if found not in (expected, [(num_layers, 1, size) for num_layers, _, size in expected]):
        raise StateShapeError(f"state {found}: expected {expected}, or one row in the place of {expected[0][1]}")


def _captured(work: Callable[[], Tensor], device: torch.device) -> Callable[[], Tensor]:
    """The work; on a GPU its kernels as one graph, which is launched at once. What it returns is overwritten each time."""
    if device.type != "cuda":
        return work
    aside = torch.cuda.Stream(device)
    aside.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(aside):
        work()  # what libraries do at their first call is no part of the graph
    torch.cuda.current_stream(device).wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.device(device), torch.cuda.graph(graph):
        result = work()

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay


def _row_sum(model: RecurrentLanguageModel, table: Tensor, members: int, rows: int) -> RowSum:
    """Sums over a table that begins with the ids of so many members."""
    num_ids = model.embedding.num_embeddings
    ids = num_ids * torch.arange(members, device=model.device)
    first = torch.cat([ids, num_ids * members + model.feature_offsets])
    return RowSum(table, first, members, 0 if model.stack_flags is None else model.stack_flags.in_features, rows)


def _table(projected: list[Tensor], features: nn.EmbeddingBag, flags: nn.Linear | None) -> Tensor:
    """Rows of each member's ids, of the features and of the flags, one under the other."""
    return torch.cat([*projected, features.weight, *([] if flags is None else [flags.weight.t()])])


def _stack_table(model: RecurrentLanguageModel) -> Tensor:
    """The rows that the first layer's input is a sum of, float [N, H]."""
    ids = model.embedding.weight
    first, *others = model.stack_input.weight.unflatten(1, (model.group_size, -1)).unbind(1)  # G of [H, E]
    projected = [functional.linear(ids, first, model.stack_input.bias), *(functional.linear(ids, m) for m in others)]
    return _table(projected, model.stack_features, model.stack_flags)


def _head_table(model: RecurrentLanguageModel) -> Tensor:
    """The rows that, with the stack's output, the head reads the sum of, float [N, E]."""
    return _table([m(model.embedding.weight) for m in model.head_prefix], model.head_features, model.head_flags)


def _stack(rows: RowSum, layers: list[StepLayer], head_input: Product, base: Tensor) -> Callable[[], Tensor]:
    """The stack, from the rows that were pointed at to `base`, what the head reads of its output: float [R, E]."""
    first, *others = layers

    def run() -> Tensor:
        x = first.run(rows.total())
        for layer in others:
            x = x + layer.run(x)
        return base.copy_(head_input(x))

    return run


def _head(rows: RowSum, base: Tensor, model: RecurrentLanguageModel, weights: str) -> Callable[[], Tensor]:
    """The head, from the rows that were pointed at and `base` to the logits [R, V]."""
    norm, wide, _, _, narrow = cast("list[Any]", list(model.head_mlp))
    table = model.embedding.weight if model.output_weight is None else model.output_weight
    widen, narrow_again, output = (
        product(weight, bias, len(base), weights)
        for weight, bias in ((wide.weight, wide.bias), (narrow.weight, narrow.bias), (table, model.output_bias))
    )

    def run() -> Tensor:
        u = rows.total().add_(base)
        inner = narrow_again(functional.gelu(widen(norm(u))))
        return output(model.head_norm(inner.add_(u)))

    return run


class FrameStepper:
    """A model of frames behind the same face, by its own step."""

    def __init__(self, model: FrameModel, rows: int) -> None:
        self.model, self.rows, self.device = model, rows, model.device
        self.carried = model.initial_state(rows)
        self.hidden = self.carried[0][0]  # of the right shape; nothing is asked before the first `read`

    def load(self, state: State) -> None:
        """See `Stepper.load`."""
        _check_shapes(state, [tuple(part.shape) for part in self.carried])
        self.carried = tuple(part.expand(-1, self.rows, -1).clone() for part in state)

    def state(self) -> State:
        """A copy of the state."""
        return tuple(part.clone() for part in self.carried)

    @torch.no_grad()
    def read(self, previous: Tensor, columns: Tensor, flags: Tensor) -> None:
        """See `Stepper.read`."""
        self.hidden, self.carried = self.model.step(previous, columns, flags, self.carried)

    @torch.no_grad()
    def logits(self, members: Tensor, columns: Tensor, flags: Tensor) -> Tensor:
        """See `Stepper.logits`."""
        return self.model.member_logits(self.hidden, members, columns, flags)
