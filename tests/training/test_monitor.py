"""Saving while training: whole or not at all."""

import errno

import pytest
from rich.console import Console

from lstmusic.errors import OutputError
from lstmusic.training.monitor import Monitor


class FullDisk:
    """A trainer on a disk that fills up while it saves."""

    def __init__(self, error):
        self.error = error

    def save_checkpoint(self, path):
        path.write_bytes(b"torn")
        raise self.error


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("unexpected pos 64 vs 0")]
)
def test_a_full_disk_is_named_and_leaves_the_checkpoint_before(tmp_path, error):
    last = tmp_path / "checkpoints" / "last.ckpt"
    last.parent.mkdir()
    last.write_bytes(b"whole")
    monitor = Monitor(
        tmp_path, valid=None, every_steps=1, patience=1, keep=print, sample=print, console=Console(quiet=True)
    )
    with pytest.raises(OutputError, match=r"last\.ckpt: cannot be written"):
        monitor._save(FullDisk(error))
    assert last.read_bytes() == b"whole"
    assert [p.name for p in last.parent.iterdir()] == ["last.ckpt"]
