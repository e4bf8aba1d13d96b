"""One step of a recurrent cell by hand: three numbers in, a state of two, every gate's numbers, and torch's own answer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lstmusic.errors import ConfigError

X, H, C = (1.0, -0.5, 0.2), (0.3, -0.2), (0.8, -0.4)
LAYERS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
LABEL_WIDTH = 16


@dataclass(frozen=True)
class Gate:
    """One row block of a cell's weights: what it is called, what it does, and W [2, 3], U [2, 2], b [2], d [2]."""

    name: str
    letter: str
    says: str
    squash: str
    weights: tuple[Tensor, Tensor, Tensor, Tensor]

    def from_input(self, x: Tensor) -> Tensor:
        """W x + b."""
        return self.weights[0] @ x + self.weights[2]

    def from_state(self, h: Tensor) -> Tensor:
        """U h + d."""
        return self.weights[1] @ h + self.weights[3]


_BLOCKS = [  # per gate: W, U, b, d; small and round, so that a person can follow with a pencil
    ([[0.5, -0.3, 0.2], [0.1, 0.4, -0.6]], [[0.2, 0.1], [-0.3, 0.5]], [0.1, -0.1], [0.0, 0.2]),
    ([[-0.2, 0.6, 0.1], [0.3, -0.1, 0.4]], [[0.4, -0.2], [0.1, 0.3]], [1.0, 1.0], [0.0, 0.0]),
    ([[0.7, 0.2, -0.4], [-0.5, 0.3, 0.1]], [[0.6, -0.1], [0.2, -0.4]], [0.0, 0.1], [-0.1, 0.0]),
    ([[0.3, 0.1, 0.5], [0.2, -0.4, -0.1]], [[-0.2, 0.3], [0.5, 0.1]], [0.2, 0.0], [0.1, -0.2]),
]

_HOW = [
    "W reads the input, U the state; b and d are the two biases that torch keeps. A number for each of the two units.",
    "",
]

_GATES = {  # in torch's order
    "rnn": [("new state", "h'", "all that it says and carries, between -1 and 1", "tanh")],
    "lstm": [
        ("input gate", "i", "how much of the candidate is written, 0 nothing, 1 all", "sigmoid"),
        ("forget gate", "f", "how much of the memory is kept, 0 nothing, 1 all", "sigmoid"),
        ("candidate", "g", "what could be written, between -1 and 1", "tanh"),
        ("output gate", "o", "how much of the memory is shown, 0 nothing, 1 all", "sigmoid"),
    ],
    "gru": [
        ("reset gate", "r", "how much of the old state the candidate hears, 0 nothing, 1 all", "sigmoid"),
        ("update gate", "z", "how much of the old state stays, 0 nothing, 1 all", "sigmoid"),
        ("candidate", "n", "what could replace it, between -1 and 1", "tanh"),
    ],
}


def walkthrough(cell: str = "lstm") -> str:
    """One step of a cell with every number that it passes through, to 4 digits, and what torch's own layer says to it.

    Args:
        cell: `rnn`, `lstm` or `gru`, as torch computes them.

    Raises:
        ConfigError: another cell.
    """
    if cell not in LAYERS:
        raise ConfigError(f"cell={cell}: expected one of {', '.join(LAYERS)}")
    gates = _gates(cell)
    x, h, c = (torch.tensor(values, dtype=torch.float64) for values in (X, H, C))
    head = [f"One step of {LAYERS[cell].__name__}: input size 3, state size 2.", *_HOW, _line("reads", "x", x)]
    head.append(_line("carries", "h", h, "what it said one step ago"))
    if cell == "lstm":
        body, after = _lstm(gates, x, h, c)
        head.append(_line("", "c", c, "what it remembers"))
    else:
        body, after = (_rnn if cell == "rnn" else _gru)(gates, x, h)
    theirs = _torch(cell, gates, x, (h, c)[: len(after)])
    check = ["", f"torch.nn.{LAYERS[cell].__name__} with the same weights:"]
    check += [_line("", name, part) for name, part in zip(("h'", "c'"), theirs, strict=False)]
    return "\n".join([*head, *body, *check])


def _gates(cell: str) -> list[Gate]:
    blocks = ((torch.tensor(part, dtype=torch.float64) for part in block) for block in _BLOCKS)
    return [Gate(*words, (w, u, b, d)) for words, (w, u, b, d) in zip(_GATES[cell], blocks, strict=False)]


def _rnn(gates: list[Gate], x: Tensor, h: Tensor) -> tuple[list[str], tuple[Tensor, ...]]:
    lines, new = _squashed(gates[0], x, h)
    return lines, (new,)


def _lstm(gates: list[Gate], x: Tensor, h: Tensor, c: Tensor) -> tuple[list[str], tuple[Tensor, ...]]:
    lines = []
    says = {}
    for gate in gates:
        more, says[gate.letter] = _squashed(gate, x, h)
        lines += more
    kept, written = says["f"] * c, says["i"] * says["g"]
    memory = kept + written
    new = says["o"] * torch.tanh(memory)
    lines += [
        "",
        f"The memory: unit 1 keeps {says['f'][0]:.0%} of {c[0]:.4f} and writes {says['i'][0]:.0%} of {says['g'][0]:.4f}.",
    ]
    lines += [_line("kept", "f c", kept), _line("written", "i g", written), _line("sum", "c'", memory)]
    lines += ["", f"The output: unit 1 shows {says['o'][0]:.0%} of the tanh of its memory."]
    lines += [_line("", "tanh(c')", torch.tanh(memory)), _line("shown", "h' = o tanh(c')", new)]
    return lines, (new, memory)


def _gru(gates: list[Gate], x: Tensor, h: Tensor) -> tuple[list[str], tuple[Tensor, ...]]:
    reset_lines, r = _squashed(gates[0], x, h)
    update_lines, z = _squashed(gates[1], x, h)
    candidate_lines, n = _squashed(gates[2], x, h, reset=r)
    new = (1 - z) * n + z * h
    lines = [*reset_lines, *update_lines, *candidate_lines, ""]
    lines.append(
        f"The new state: unit 1 keeps {z[0]:.0%} of {h[0]:.4f} and takes {1 - z[0]:.0%} of {n[0]:.4f} in place of the rest."
    )
    lines += [_line("kept", "z h", z * h), _line("replaced", "(1 - z) n", (1 - z) * n), _line("sum", "h'", new)]
    return lines, (new,)


def _squashed(gate: Gate, x: Tensor, h: Tensor, reset: Tensor | None = None) -> tuple[list[str], Tensor]:
    """The lines of one row block, and what it says, [2]."""
    w, u, b, d = gate.weights
    lines = ["", f"The {gate.name} {gate.letter}: {gate.says}."]
    lines.append(f"  W = {_row(w[0])}   U = {_row(u[0])}   b = {_row(b)}")
    lines.append(f"      {_row(w[1])}       {_row(u[1])}   d = {_row(d)}")
    from_input, from_state = gate.from_input(x), gate.from_state(h)
    lines += [_line("from the input", "W x + b", from_input), _line("from the state", "U h + d", from_state)]
    if reset is not None:
        from_state = reset * from_state
        lines.append(_line("after the reset", "r (U h + d)", from_state))
    total = from_input + from_state
    said = torch.sigmoid(total) if gate.squash == "sigmoid" else torch.tanh(total)
    return [*lines, _line("sum", "a", total), _line(gate.squash, f"{gate.letter} = {gate.squash}(a)", said)], said


def _torch(cell: str, gates: list[Gate], x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The same step by torch's own layer."""
    layer = LAYERS[cell](3, 2).double()
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    blocks = zip(*(gate.weights for gate in gates), strict=True)
    layer.load_state_dict({name: torch.cat(block) for name, block in zip(names, blocks, strict=True)})
    carried = tuple(part[None] for part in state)
    with torch.no_grad():
        _, after = layer(x[None], carried if cell == "lstm" else carried[0])
    return tuple(part[0] for part in after) if cell == "lstm" else (after[0],)


def _line(what: str, formula: str, values: Tensor, remark: str = "") -> str:
    return f"  {what:<{LABEL_WIDTH}}{formula:<{LABEL_WIDTH}} = {_row(values)}   {remark}".rstrip()


def _row(values: Tensor) -> str:
    return "[" + ", ".join(f"{value:7.4f}" for value in values.tolist()) + "]"
