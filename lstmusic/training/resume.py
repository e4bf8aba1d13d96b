"""The checkpoints of a run that is under way: sealed with a checksum, the one before kept, the newest sound one found.

last.ckpt       what torch saves, and behind it the sha256 of all before
previous.ckpt   the one before
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from lstmusic.errors import CheckpointError, OutputError

FOLDER, LAST, PREVIOUS = "checkpoints", "last.ckpt", "previous.ckpt"
MARK = b"sha256:"
SEAL_BYTES = len(MARK) + hashlib.sha256().digest_size
BLOCK_BYTES = 1 << 20


def beside(run: Path) -> Path:
    """Where a checkpoint is written before it takes its place; what a kill left there is overwritten."""
    return run / FOLDER / f".{LAST}.part"


def seal(file: Path) -> None:
    """Write the checksum of a file behind its end, and all of it to the disk. Torch reads such a file as before."""
    digest = _digest(file, file.stat().st_size)
    with open(file, "ab") as out:
        out.write(MARK + digest)
        out.flush()
        os.fsync(out.fileno())


def is_sound(file: Path) -> bool:
    """Whether a file is sealed and its bytes are those that were."""
    size = file.stat().st_size - SEAL_BYTES
    if size < 0:
        return False
    with open(file, "rb") as source:
        source.seek(size)
        return source.read() == MARK + _digest(file, size)


def _digest(file: Path, size: int) -> bytes:
    digest, left = hashlib.sha256(), size
    with open(file, "rb") as source:
        while left and (block := source.read(min(BLOCK_BYTES, left))):
            digest.update(block)
            left -= len(block)
    return digest.digest()


def install(run: Path) -> None:
    """Seal what was written `beside` and make it the last checkpoint; the last one becomes the previous one, if sound.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    last = run / FOLDER / LAST
    try:
        seal(beside(run))
        if last.exists() and is_sound(last):  # a torn one gives way: the previous one is all there is
            os.replace(last, last.with_name(PREVIOUS))
        os.replace(beside(run), last)  # a kill between the two leaves the previous one, which `newest` finds
    except OSError as error:
        raise OutputError(f"{last}: cannot be written ({error.strerror or error})") from error


def exists(run: Path) -> bool:
    """Whether a run has saved anything to go on from."""
    return any((run / FOLDER / name).is_file() for name in (LAST, PREVIOUS))


def newest(run: Path, tell: Callable[[str], None]) -> Path:
    """The newest sound checkpoint of a run.

    Args:
        tell: called with one line where it is not the last one.

    Raises:
        CheckpointError: there is none, or none is sound.
    """
    files = [run / FOLDER / name for name in (LAST, PREVIOUS)]
    if not exists(run):
        raise CheckpointError(
            f"resume={run}: no {FOLDER}/{LAST} there, expected the folder of a training run that has saved"
        )
    problems = []
    for file in files:
        if not file.is_file():
            problems.append(f"{file} is missing")
        elif not is_sound(file):
            problems.append(f"{file} is torn or altered")
        else:
            if problems:
                tell(f"{problems[0]}; going on from {file.name}, the one before")
            return file
    raise CheckpointError(f"resume={run}: {' and '.join(problems)}, expected one whole checkpoint")


def time_of(run: Path) -> float:
    """When a run saved last, in seconds of the file system's clock; 0 where it never did."""
    files = [run / FOLDER / name for name in (LAST, PREVIOUS)]
    return max((file.stat().st_mtime for file in files if file.is_file()), default=0.0)
