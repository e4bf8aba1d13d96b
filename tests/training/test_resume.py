"""Checkpoints on the disk: whole and sealed, or recognised as torn and replaced by the one before."""

import errno

import pytest
import torch

from lstmusic.errors import CheckpointError, OutputError
from lstmusic.training import resume


@pytest.fixture
def write(tmp_path):
    """A function: install a checkpoint that holds a number."""

    def run(number) -> None:
        resume.beside(tmp_path).parent.mkdir(exist_ok=True)
        torch.save({"number": number, "weights": torch.arange(50.0)}, resume.beside(tmp_path))
        resume.install(tmp_path)

    return run


def read(file):
    return torch.load(file, weights_only=True)["number"]


def refuse(line):
    raise AssertionError(line)


class Killed(BaseException):
    pass


def dying(patch, operation):
    """Let renames end in a kill before number `operation`."""
    left, replace = iter(range(operation)), resume.os.replace

    def rename(*names):
        if next(left, None) is None:
            raise Killed
        replace(*names)

    patch.setattr(resume.os, "replace", rename)


def test_the_last_one_is_used_and_the_one_before_is_kept(write, tmp_path):
    for number in range(3):
        write(number)
    assert read(resume.newest(tmp_path, refuse)) == 2
    assert read(tmp_path / "checkpoints" / "previous.ckpt") == 1
    assert {file.name for file in (tmp_path / "checkpoints").iterdir()} == {"last.ckpt", "previous.ckpt"}


def spoilt(content):
    """Ways in which a file can be torn or altered."""
    yield b""
    yield content[:1]
    yield from (content[:size] for size in range(0, len(content), len(content) // 10))
    yield content[:-1]
    yield content + b"\0"
    yield bytes(len(content))
    for place in [*range(0, len(content), len(content) // 50), len(content) - 1]:
        yield content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :]


def test_a_torn_one_is_recognised_named_and_replaced_by_the_one_before(write, tmp_path):
    write(0)
    write(1)
    last = tmp_path / "checkpoints" / "last.ckpt"
    cases = 0
    for content in spoilt(last.read_bytes()):
        last.write_bytes(content)
        lines = []
        assert read(resume.newest(tmp_path, lines.append)) == 0
        assert lines == [f"{last} is torn or altered; going on from previous.ckpt, the one before"]
        cases += 1
    assert cases > 60


@pytest.mark.parametrize("operation", range(2))
def test_a_torn_one_never_takes_the_place_of_the_one_before(write, tmp_path, monkeypatch, operation):
    """A kill at the first save after going on from the previous one, before its renaming or behind it."""
    write(0)
    write(1)
    last = tmp_path / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:99])
    with monkeypatch.context() as patch:
        dying(patch, operation)
        if operation == 0:
            with pytest.raises(Killed):
                write(2)
        else:
            write(2)
    assert read(tmp_path / "checkpoints" / "previous.ckpt") == 0
    assert read(resume.newest(tmp_path, lambda line: None)) == 2 * operation


def test_two_torn_ones_are_both_named(write, tmp_path):
    write(0)
    write(1)
    files = [tmp_path / "checkpoints" / name for name in ("last.ckpt", "previous.ckpt")]
    for file in files:
        file.write_bytes(file.read_bytes()[:99])
    with pytest.raises(CheckpointError) as raised:
        resume.newest(tmp_path, refuse)
    assert all(f"{file} is torn or altered" in str(raised.value) for file in files)


def test_a_run_that_never_saved(tmp_path):
    assert not resume.exists(tmp_path)
    with pytest.raises(CheckpointError, match=r"no checkpoints/last\.ckpt there"):
        resume.newest(tmp_path, refuse)


@pytest.mark.parametrize("operation", range(2))
def test_a_kill_between_any_two_renames_leaves_a_whole_one(write, tmp_path, monkeypatch, operation):
    """The second checkpoint's file operations stop before number `operation`; the newest one is whole all the same."""
    write(0)
    write(1)

    with monkeypatch.context() as patch:
        dying(patch, operation)
        with pytest.raises(Killed):
            write(2)
    lines = []
    assert read(resume.newest(tmp_path, lines.append)) == 1
    assert len(lines) == operation  # between the two the last one is missing, which is told
    write(3)
    assert read(resume.newest(tmp_path, refuse)) == 3


def test_a_full_disk_is_named(write, tmp_path, monkeypatch):
    write(0)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(resume.os, "fsync", full)
    with pytest.raises(OutputError, match=r"last\.ckpt: cannot be written \(No space left on device\)"):
        write(1)
    assert read(resume.newest(tmp_path, refuse)) == 0


def test_loading_runs_no_code(tmp_path):
    """A sealed file is not trusted more than another: what is in it is read as weights only."""

    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    resume.beside(tmp_path).parent.mkdir()
    torch.save(Trap(), resume.beside(tmp_path))
    resume.install(tmp_path)
    with pytest.raises(Exception, match="Weights only load failed"):
        read(resume.newest(tmp_path, refuse))
    assert not (tmp_path / "ran").exists()
