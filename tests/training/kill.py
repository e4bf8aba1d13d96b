"""Kill trainings at random steps and file operations, go on with `resume=auto`, and compare what they end with.

    python tests/training/kill.py --steps 5 --operations 5 [key=value …]

Without `data=…` it writes a few small chorales to train on. Each training is killed with SIGKILL once, before a step or
before an operation on its folder (opening a file to write, renaming, removing, making a folder), and then resumed; both
drawn from those of an undisturbed run. Compared are the sha256 of model.safetensors, all tensors of the last checkpoint,
and metrics.csv without the columns of the clock.
"""

import argparse
import csv
import hashlib
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from lstmusic.score import Score, midi
from lstmusic.score.score import METER_DTYPE, NOTE_DTYPE, TEMPO_DTYPE, Track, sorted_notes, table

TINY = (
    *("model.hidden_size=12", "model.embedding_size=8", "model.num_layers=2", "trainer.max_minutes=null"),
    *("trainer.num_lanes=2", "trainer.bptt_length=16", "trainer.max_steps=40", "trainer.accelerator=cpu", "jobs=1"),
)
CLOCK = ("elapsed_s", "tokens_per_second")
RUN = '''
"""Train, and die at a step or at an operation on the run's folder; say how many of both there were."""
import os, random, signal, sys
import numpy as np

runs, step, operation, *arguments = sys.argv[1:]
steps = operations = 0

def die_at(count, fatal):
    if count == int(fatal):
        os.kill(os.getpid(), signal.SIGKILL)

def watch(event, given):
    global operations
    writes = event == "open" and isinstance(given[1], str) and given[1][0] in "wax"
    if (writes or event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir")) and runs in str(given[0]):
        operations += 1
        die_at(operations, operation)

from lstmusic.cli import main
from lstmusic.training.module import TrainingModule

def training_step(self, batch, index, original=TrainingModule.training_step):
    global steps
    steps += 1
    die_at(steps, step)
    return original(self, batch, index)

random.seed(os.getpid())  # a training that drew from these would end elsewhere each time
np.random.seed(os.getpid() % 2**32)
TrainingModule.training_step = training_step
sys.addaudithook(watch)
code = main(arguments)
print(f"{steps} {operations}", file=sys.stderr)
sys.exit(code)
'''


def write_music(folder: Path) -> None:
    """Eight small chorales of quarter notes."""
    folder.mkdir()
    for seed in range(8):
        rng = np.random.default_rng(seed)
        voice, beat = np.repeat(np.arange(4), 12), np.tile(np.arange(12), 4)
        pitch = np.array([72, 66, 60, 50])[voice] + rng.integers(-2, 3, 48)
        tracks = tuple(Track(19, False, name) for name in ("Soprano", "Alto", "Tenor", "Bass"))
        notes = sorted_notes(table(NOTE_DTYPE, 480 * beat, 480, pitch, 80, voice))
        times = {"tempi": table(TEMPO_DTYPE, [0], [500_000]), "meters": table(METER_DTYPE, [0], [4], [4])}
        midi.write(Score(notes, tracks, **times, ticks_per_quarter=480), folder / f"piece-{seed}.mid")


def train(runs: Path, request: list[str], *, step: int = 0, operation: int = 0) -> tuple[int, list[int]]:
    """Train in a process, killed before a step or operation (counted from 1; 0: never): its exit code and its counts."""
    arguments = ["train", *request, f"hydra.run.dir={runs}/run", "resume=auto"]
    command = [sys.executable, "-c", RUN, str(runs), str(step), str(operation), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode not in (0, -9):
        raise SystemExit(done.stderr)
    return done.returncode, [int(count) for count in done.stderr.split()[-2:]] if done.returncode == 0 else []


def content(runs: Path) -> dict[str, str]:
    """What the one finished training of a folder of runs ended with."""
    (report,) = runs.glob("*/report.json")
    folder = report.parent
    saved = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    with open(folder / "metrics.csv", newline="") as file:
        rows = [{k: v for k, v in row.items() if k not in CLOCK} for row in csv.DictReader(file)]
    tensors = hashlib.sha256()
    for tensor in tensors_of([saved["state_dict"], saved["optimizer_states"], saved["lstmusic"]["ranks"]]):
        tensors.update(tensor.numpy().tobytes())
    return {
        "model": hashlib.sha256((folder / "model" / "model.safetensors").read_bytes()).hexdigest(),
        "checkpoint": tensors.hexdigest(),
        "metrics": hashlib.sha256(repr(rows).encode()).hexdigest(),
    }


def tensors_of(saved):
    """All tensors in nested containers, in their order."""
    if isinstance(saved, torch.Tensor):
        yield saved
    elif isinstance(saved, dict | list | tuple):
        for part in saved.values() if isinstance(saved, dict) else saved:
            yield from tensors_of(part)


def check(own: Path, request: list[str], steps: int, operations: int, rng: random.Random) -> int:
    """Kill and resume so many trainings; how many differ from the undisturbed one, a line for each."""
    _, most = train(own / "undisturbed", request)
    expected = content(own / "undisturbed")
    print(f"undisturbed, {most[0]} steps, {most[1]} file operations: {expected['model']}", flush=True)
    kinds, wrong = ["step"] * steps + ["operation"] * operations, 0
    for number, kind in enumerate(kinds):
        runs, at = own / f"killed-{number}", rng.randint(1, most[kind == "operation"])
        code, _ = train(runs, request, **{kind: at})
        train(runs, request)
        found = content(runs)
        differing = [name for name in expected if found[name] != expected[name]]
        wrong += bool(differing) or code != -9
        words = f", another {' and '.join(differing)}" if differing else ""
        print(f"killed ({code}) before {kind} {at}: {found['model']}{words}", flush=True)
    return wrong


def main() -> None:
    """Print the hash of the undisturbed model, then of each that was killed on the way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("request", nargs="*", help="what to train, key=value")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--operations", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        own, request = Path(place), list(asked.request)
        if not any(word.startswith("data=") for word in request):
            write_music(own / "music")
            request = ["data=folder", f"data.path={own}/music", "encoding=chorale", *TINY, *request]
        request.append(f"data.cache={own}/cache")
        wrong = check(own, request, asked.steps, asked.operations, random.Random(asked.seed))
    if wrong:
        raise SystemExit(f"{wrong} trainings ended elsewhere")
    print(f"{asked.steps + asked.operations} kills, the same model, checkpoint and metrics each time")


if __name__ == "__main__":
    main()
