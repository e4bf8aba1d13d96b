"""What the processes of one training tell each other; alone, every function gives back what it was given."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

T = TypeVar("T")
Generators = dict[str, Tensor]


def world_size() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """This process's number among them; the first one writes and prints."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def summed(values: Tensor) -> Tensor:
    """A tensor summed over all processes, in place."""
    if world_size() > 1:
        distributed.all_reduce(values)
    return values


def gathered(value: T) -> list[T]:
    """The value of every process, by rank."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    distributed.all_gather_object(values, value)
    return values


def of_first(value: T) -> T:
    """The value that the first process has."""
    return gathered(value)[0]


def barrier() -> None:
    """Wait until every process is here."""
    gathered(None)


def generators(device: torch.device) -> Generators:
    """The states of torch's generators that a step on a device draws from."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_generators(states: Generators, device: torch.device) -> None:
    """Put generators back to where `generators` found them."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
