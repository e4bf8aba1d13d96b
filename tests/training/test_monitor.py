"""Saving while training: whole or not at all."""

import errno
import math

import pytest
import torch
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


class Trainer:
    """What the monitor needs of a trainer."""

    logger = None
    should_stop = False

    def __init__(self, module):
        self.optimizers = [module.optimizers()]

    def save_checkpoint(self, path):
        torch.save({}, path)


@pytest.mark.parametrize(("best", "kept"), [(math.inf, 1), (1e9, 0)])
def test_ctrl_c_keeps_a_model_only_where_there_is_none(tmp_path, module_of, batch, best, kept):
    """Its validation is none of an undisturbed run, which would have gone on to another model."""
    module, rows = module_of(), []
    module.training_step(batch(0, 0), 0)
    monitor = Monitor(
        tmp_path,
        valid=None,
        every_steps=2,
        patience=9,
        keep=lambda model, row: rows.append(row),
        sample=print,
        console=Console(quiet=True),
    )
    monitor.best, monitor.interrupted = best, True
    trainer = Trainer(module)
    monitor.on_train_batch_end(trainer, module, None, None, 0)
    assert trainer.should_stop
    assert 0 < monitor.best < 1e9
    assert monitor.row["step"] == 1
    assert len(rows) == kept
