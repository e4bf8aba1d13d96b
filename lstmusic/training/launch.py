"""The processes of one training: met where torchrun or SLURM started them, started here where nobody did."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import torch
from lightning.pytorch.plugins.environments import SLURMEnvironment
from torch import distributed

from lstmusic.errors import DeviceError, LstmusicError

MEETING = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # what torchrun tells its processes
GRACE_S = 5.0  # for a process that is about to end
POLL_S = 0.05  # how soon the end of one that has not come is noticed


def num_devices(devices: str, accelerator: str) -> int:
    """How many processes train on each machine: `auto` is one for each GPU, and one on a CPU.

    Raises:
        DeviceError: there are fewer GPUs.
    """
    gpus = torch.cuda.device_count() if accelerator != "cpu" else 0
    if devices == "auto":
        return max(1, gpus)
    if accelerator in ("gpu", "cuda") and int(devices) > gpus:
        raise DeviceError(f"trainer.devices={devices}: {gpus} GPUs here, expected at most as many")
    return int(devices)


def is_first() -> bool:
    """Whether this process is the one that writes and prints; known before the processes have met."""
    return int(_meeting().get("RANK", 0)) == 0


@contextmanager
def together(per_node: int, num_nodes: int, arguments: list[str]) -> Iterator[None]:
    """Meet the other processes of a training, and start them first if nobody else did.

    Args:
        per_node: processes on each machine.
        arguments: of `lstmusic`, for the processes that are started here.

    Raises:
        DeviceError: another number of processes came, or several machines are wanted and nobody started processes there.
        LstmusicError: a process that was started here failed; the message is its last line.
    """
    world, meeting, children, store = per_node * num_nodes, _meeting(), [], None
    _check(meeting, per_node, num_nodes)
    if world == 1:
        yield
        return
    before = {name: os.environ.get(name) for name in MEETING}
    try:
        if not meeting:
            meeting = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": str(world)}
            store = distributed.TCPStore("127.0.0.1", 0, world, is_master=True, wait_for_workers=False)
            meeting |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port)}
            children = [_Child(rank, meeting, arguments) for rank in range(1, world)]
        os.environ.update(meeting)
        _meet(store, children)
        yield
    except RuntimeError as error:  # so ends talking to a process that is gone
        for child in sorted(children, key=lambda child: child.process.poll() is None):  # first those that are gone
            child.blame(error)
        raise
    except BaseException:
        for child in children:
            child.process.terminate()
        raise
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()
        for child in children:
            child.end()
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _meet(store: distributed.Store | None, children: list[_Child]) -> None:
    """Meet the other processes; the one that started them waits only as long as all of them live.

    Raises:
        RuntimeError: one of them ended before they met.
    """
    if store is None:
        store, rank, world = next(distributed.rendezvous("env://"))
        store.set(f"here/{rank}", "")
    else:
        rank, world = 0, 1 + len(children)
        while not store.check([f"here/{child.rank}" for child in children]):
            if any(child.process.poll() is not None for child in children):
                raise RuntimeError("a process of this training ended before they met")
            time.sleep(POLL_S)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(
        backend, store=distributed.PrefixStore("default_pg", store), rank=rank, world_size=world
    )


def _check(meeting: dict[str, str], per_node: int, num_nodes: int) -> None:
    """Raise DeviceError where another number of processes came than was asked for, or nobody can start them."""
    world, asked = per_node * num_nodes, f"trainer.devices={per_node} trainer.num_nodes={num_nodes}"
    if int(meeting.get("WORLD_SIZE", world)) != world:
        raise DeviceError(f"{asked}: {meeting['WORLD_SIZE']} processes were started, expected {world}")
    if not meeting and num_nodes > 1:
        raise DeviceError(f"{asked}: expected to be started by torchrun or srun on each machine")


def _meeting() -> dict[str, str]:
    """Where the processes meet and which of them this one is, if torchrun or SLURM started it; else nothing."""
    if all(name in os.environ for name in MEETING):
        return {name: os.environ[name] for name in MEETING}
    if SLURMEnvironment.detect() and os.environ.get("SLURM_NTASKS", "1") != "1":
        slurm = SLURMEnvironment()
        numbers = {"RANK": slurm.global_rank(), "LOCAL_RANK": slurm.local_rank(), "WORLD_SIZE": slurm.world_size()}
        place = {"MASTER_ADDR": slurm.main_address, "MASTER_PORT": slurm.main_port}
        return {name: str(value) for name, value in (numbers | place).items()}
    return {}


class _Child:
    """One more process of this training. It prints nothing; what it says when it fails is kept.

    Ctrl-C does not reach it: the first process hears it and tells the others.
    """

    def __init__(self, rank: int, meeting: dict[str, str], arguments: list[str]) -> None:
        self.rank = rank
        self.words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `end`
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lstmusic.cli", *arguments],
            env={**os.environ, **meeting, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.DEVNULL,
            stderr=self.words,
            start_new_session=True,
        )

    def blame(self, error: BaseException) -> None:
        """Raise what this process said, if it failed by itself; else end it."""
        try:
            code = self.process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            return
        if code:
            self.words.seek(0)
            lines = self.words.read().decode(errors="replace").strip().splitlines()
            last = lines[-1].removeprefix("lstmusic: ") if lines else "no word"
            raise LstmusicError(f"process {self.rank} of this training ended with code {code}: {last}") from error

    def end(self) -> None:
        """Wait for it, not for ever."""
        try:
            self.process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.words.close()
