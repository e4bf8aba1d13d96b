"""Two tasks that nothing but memory solves: what matters is long gone when the answer is asked for.

Adding: Hochreiter and Schmidhuber (1997), section 5.4, in the form of Le, Jaitly and Hinton (2015), section 4.1. Copying:
Arjovsky, Shah and Bengio (2016), section 4.1. Sequences are drawn anew for every step, so that nothing can be learned by
heart.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

LETTERS = 8  # to copy from
COPIED = 10  # letters of a sequence
BLANK, DELIMITER = LETTERS, LETTERS + 1


class Task(NamedTuple):
    """A task.

    Attributes:
        input_size: I. output_size: of what a model says at a step.
        draw: (number of sequences B, lag, generator) -> inputs float [B, T, I] and targets.
        loss: (what a model says at all steps [B, T, O], targets) -> a mean over sequences.
        baseline: the least loss without memory.
        solved: the loss below which the task counts as solved.
    """

    input_size: int
    output_size: int
    draw: Callable[[int, int, torch.Generator], tuple[Tensor, Tensor]]
    loss: Callable[[Tensor, Tensor], Tensor]
    baseline: float
    solved: float


def draw_adding(sequences: int, lag: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """`lag` steps of a number in 0..1 and a mark; the target is the sum of the two numbers that are marked.

    One mark stands in each half, so the first one lies between half the lag and the whole of it before the answer.

    Returns:
        inputs float [B, T, 2] and targets float [B].
    """
    numbers = torch.rand(sequences, lag, generator=generator)
    half = lag // 2
    first = torch.randint(half, (sequences, 1), generator=generator)
    second = torch.randint(half, lag, (sequences, 1), generator=generator)
    marks = torch.zeros(sequences, lag).scatter_(1, torch.cat([first, second], dim=1), 1.0)
    return torch.stack([numbers, marks], dim=-1), (numbers * marks).sum(1)


def draw_copying(sequences: int, lag: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Ten letters, `lag` - 1 blanks, a delimiter, ten blanks over which the letters are to be said again.

    So `lag` steps lie between the last letter and the moment when the first one is asked for.

    Returns:
        inputs float [B, T, I], one of I, and targets int64 [B, 10].
    """
    letters = torch.randint(LETTERS, (sequences, COPIED), generator=generator)
    ids = torch.full((sequences, lag + 2 * COPIED), BLANK)
    ids[:, :COPIED] = letters
    ids[:, COPIED + lag - 1] = DELIMITER
    return functional.one_hot(ids, LETTERS + 2).float(), letters


def adding_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean square error of what is said at the last step."""
    return functional.mse_loss(outputs[:, -1, 0], targets)


def copying_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Nats per letter of what is said at the last ten steps."""
    return functional.cross_entropy(outputs[:, -COPIED:].flatten(0, 1), targets.flatten())


TASKS = {
    # two independent numbers of variance 1/12 each
    "adding": Task(2, 1, draw_adding, adding_loss, baseline=1 / 6, solved=0.01),
    "copying": Task(
        LETTERS + 2,
        LETTERS,
        draw_copying,
        copying_loss,
        baseline=math.log(LETTERS),
        solved=0.1 * math.log(LETTERS),
    ),
}
