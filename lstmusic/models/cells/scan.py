"""Layers whose gates do not read the state, so that a window is one scan: minGRU and minLSTM."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstmusic.models.cells.layer import Layer, LayerState

BLOCK = 8  # steps; on a CPU four times as fast as log2(T) passes that double their reach


def scan(keep: Tensor, write: Tensor) -> Tensor:
    """h_t = keep_t h_{t-1} + write_t along axis 1, h before the first step 0, in about 3 log2(T) vectorised passes.

    All blocks of a window take their steps side by side, each from 0; what a block hands to the next is a recurrence of the
    same kind over the blocks' ends. Only products of `keep` are formed, no quotients and no logarithms, so with
    0 <= keep <= 1 nothing overflows, and a keep of 0 is as good as any. Source: Blelloch (1990), section 1.4.

    Args:
        keep, write: float [B, T, H].
    """
    lanes, steps, size = write.shape
    blocks = -(-steps // BLOCK)
    reach, outputs = (part.new_zeros(lanes, blocks * BLOCK, size) for part in (keep, write))
    reach[:, :steps], outputs[:, :steps] = keep, write
    reach, outputs = (part.view(lanes, blocks, BLOCK, size) for part in (reach, outputs))
    for t in range(1, BLOCK):
        outputs[:, :, t].addcmul_(reach[:, :, t], outputs[:, :, t - 1])
        reach[:, :, t].mul_(reach[:, :, t - 1])
    if steps > BLOCK:
        ends = scan(reach[:, :-1, -1], outputs[:, :-1, -1])
        outputs[:, 1:].addcmul_(reach[:, 1:], ends.unsqueeze(2))
    return outputs.flatten(1, 2)[:, :steps]


class LinearRecurrence(torch.autograd.Function):
    """`scan` with the gradient that is a scan too, from the last step to the first: g_t = dh_t + keep_{t+1} g_{t+1}."""

    @staticmethod
    def forward(ctx: Any, keep: Tensor, write: Tensor) -> Tensor:
        """float [B, T, H] each -> [B, T, H]."""
        outputs = scan(keep, write)
        ctx.save_for_backward(keep, outputs)
        return outputs

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """The gradients of keep and write."""
        keep, outputs = ctx.saved_tensors
        later = functional.pad(keep[:, 1:], (0, 0, 0, 1)).flip(1)
        by_write = scan(later, gradient.flip(1)).flip(1)
        return by_write * functional.pad(outputs[:, :-1], (0, 0, 1, 0)), by_write


class ScanLayer(Layer):
    """k gates from `weight_ih` [kH, I] and `bias` [kH], each a block of rows; drawn as torch draws a linear map."""

    num_gates: ClassVar[int]
    has_recurrent_matrix = False

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        bound, rows = input_size**-0.5, self.num_gates * hidden_size
        self.weight_ih = nn.Parameter(torch.empty(rows, input_size).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(rows).uniform_(-bound, bound))

    @classmethod
    def parameter_count(cls, input_size: int, hidden_size: int) -> int:
        """k H (I + 1): a matrix and a bias for each of k gates."""
        return cls.num_gates * hidden_size * (input_size + 1)

    def window_weights(self) -> tuple[Tensor, ...]:
        """None: no matrix reads the state."""
        return ()

    @abstractmethod
    def read(self, inputs: Tensor) -> dict[str, Tensor]:
        """What the gates say at all steps: [..., I] -> each [..., H]."""

    def project(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """W x + b of each gate, [..., I] -> each [..., H], in the dtype of the bias: a keep of 0.999 is 1 in bf16."""
        return functional.linear(inputs, self.weight_ih, self.bias).to(self.bias.dtype).chunk(self.num_gates, dim=-1)

    @abstractmethod
    def recurrence(self, gates: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """keep and write of h' = keep h + write."""

    def forward(
        self, inputs: Tensor, state: LayerState, weights: tuple[Tensor, ...] | None = None
    ) -> tuple[Tensor, LayerState]:
        """See `Layer.forward`."""
        keep, write = self.recurrence(self.read(inputs))
        first = torch.addcmul(write[:, :1], keep[:, :1], state[0].unsqueeze(1))
        outputs = LinearRecurrence.apply(keep, torch.cat([first, write[:, 1:]], dim=1))
        return outputs, (outputs[:, -1],)

    def gates(self, inputs: Tensor, state: LayerState) -> dict[str, Tensor]:
        """See `Layer.gates`."""
        return self.read(inputs)

    def combine(self, gates: dict[str, Tensor], state: LayerState) -> LayerState:
        """(h,)."""
        keep, write = self.recurrence(gates)
        return (torch.addcmul(write, keep, state[0]),)


class MinGru(ScanLayer):
    """z = sigmoid(W x + b); n = W x + b; h' = (1 - z) h + z n.

    Source: Feng et al. (2024), section 3.1: the GRU without its reset gate, its tanh, and all that reads the state.
    """

    num_gates = 2  # rows: update, candidate

    def read(self, inputs: Tensor) -> dict[str, Tensor]:
        """update gate (1 replaces the state) and candidate."""
        update, candidate = self.project(inputs)
        return {"update": torch.sigmoid(update), "candidate": candidate}

    def recurrence(self, gates: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """1 - z and z n."""
        return 1 - gates["update"], gates["update"] * gates["candidate"]


class MinLstm(ScanLayer):
    """i, f = sigmoid(W x + b); g = W x + b; h' = (f h + i g) / (f + i).

    Source: Feng et al. (2024), section 3.2: the LSTM without its output gate, its tanh, and all that reads the state; both
    gates divided by their sum. The forget gate's bias is 1 at the start.
    """

    num_gates = 3  # rows: input, forget, candidate

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        nn.init.ones_(self.bias.data[hidden_size : 2 * hidden_size])

    def read(self, inputs: Tensor) -> dict[str, Tensor]:
        """input and forget gate after division by their sum, so that they add up to 1, and the candidate."""
        i, f, candidate = self.project(inputs)
        log_ratio = functional.logsigmoid(f) - functional.logsigmoid(i)
        return {"input": torch.sigmoid(-log_ratio), "forget": torch.sigmoid(log_ratio), "candidate": candidate}

    def recurrence(self, gates: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """f and i g."""
        return gates["forget"], gates["input"] * gates["candidate"]
