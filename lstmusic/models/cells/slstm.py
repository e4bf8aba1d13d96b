"""The sLSTM of xLSTM: an LSTM whose input gate is an exponential."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstmusic.models.cells.layer import LayerState
from lstmusic.models.cells.loop import LoopLayer


class Slstm(LoopLayer):
    """i = exp(a), f = sigmoid(b); c' = f c + i z; n' = f n + i; h' = o c' / n', with z = tanh(…), o = sigmoid(…).

    So c / n is an average of all candidates so far, the weight of each free to outgrow all before it. c and n are held
    divided by exp(m), where m' = max(log f + m, a): that changes nothing in c / n and keeps all in range, n' at least 1.

    Source: Beck et al. (2024), section 2.2, equations 8 to 17, with the sigmoid forget gate and one head. A state of zeros
    has read nothing, so its m stands for minus infinity.
    """

    num_parts = 4  # h, c, n, m
    num_gates = 4  # rows: input, forget, candidate, output

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        nn.init.ones_(self.bias.data[hidden_size : 2 * hidden_size])

    def read(self, from_input: Tensor, state: LayerState, weights: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """What `combine` needs: both gates divided by exp(m'), m', output gate and candidate."""
        h, _, n, m = state
        log_i, f, z, o = (from_input + functional.linear(h, weights[0])).to(n.dtype).chunk(4, dim=-1)
        log_f = functional.logsigmoid(f) + m.masked_fill(n == 0, -torch.inf)
        stabilizer = torch.maximum(log_f, log_i).detach()  # h does not depend on it, nor does any gradient
        return {
            "input": torch.exp(log_i - stabilizer),
            "forget": torch.exp(log_f - stabilizer),
            "output": torch.sigmoid(o),
            "candidate": torch.tanh(z),
            "stabilizer": stabilizer,
        }

    def combine(self, gates: dict[str, Tensor], state: LayerState) -> LayerState:
        """(h, c, n, m)."""
        c = gates["forget"] * state[1] + gates["input"] * gates["candidate"]
        n = gates["forget"] * state[2] + gates["input"]
        return gates["output"] * c / n, c, n, gates["stabilizer"]

    def gates(self, inputs: Tensor, state: LayerState) -> dict[str, Tensor]:
        """input and forget: the shares of the candidate and of the old average in the new one, c' / n', which is `cell`."""
        says = super().gates(inputs, state)
        _, c, n, _ = self.combine(says, state)
        return {
            "input": says["input"] / n,
            "forget": says["forget"] * state[2] / n,
            "output": says["output"],
            "candidate": says["candidate"],
            "cell": c / n,
        }
