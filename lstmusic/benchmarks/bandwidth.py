"""How fast memory is read, and how many weights one id has to read."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from lstmusic.benchmarks.arithmetic import wait_for
from lstmusic.models.language_model import RecurrentLanguageModel

READ_BYTES = 2**29  # of the array whose sum is taken: many times a cache
REPEATS = 5
CPUS = Path("/sys/devices/system/cpu")
UNITS = {"K": 2**10, "M": 2**20}


def read_rate(device: torch.device) -> float:
    """Bytes per second at which the sum of a large array is taken, by all threads of torch; the best of some."""
    array = torch.ones(READ_BYTES // 4, device=device)
    seconds = []
    for _ in range(REPEATS + 1):
        started = time.perf_counter()
        array.sum()
        wait_for(device)
        seconds.append(time.perf_counter() - started)
    return READ_BYTES / min(seconds[1:])


def cache_bytes(device: torch.device, cpus: Path = CPUS) -> int | None:
    """The size of the largest caches: all of level 3 on Linux, level 2 of a GPU; None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).L2_cache_size
    caches = {}  # cores that share one say the same of it
    for folder in cpus.glob("cpu[0-9]*/cache/index3"):
        size = (folder / "size").read_text().strip()
        caches[(folder / "shared_cpu_list").read_text()] = int(size[:-1]) * UNITS[size[-1]]
    return sum(caches.values()) or None


def own_entries(model: RecurrentLanguageModel) -> int:
    """Entries of the matrices that a model of groups of one has to read for each id.

    Ids, features and flags are looked up, and the first layer's input matrix can be applied to what is looked up before the
    song begins (`sampling.stepper`): rows of tables, some hundredths of the matrices, are left out of the count.
    """
    if model.group_size != 1:
        raise ValueError(f"groups of {model.group_size}: expected groups of one")
    first, *others = model.layers
    recurrent = [p for name, p in first.named_parameters() if "weight_ih" not in name]
    read = [p for part in (*others, model.head_input, model.head_mlp) for p in part.parameters()]
    output = model.embedding.weight if model.output_weight is None else model.output_weight
    return sum(p.numel() for p in (*recurrent, *read, output) if p.ndim == 2)
