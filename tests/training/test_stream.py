"""Windows made ahead: the same ones in the same order, errors included, and no thread left behind."""

import itertools
import threading
import time

import pytest
import torch

from lstmusic.training.stream import DEPTH, WindowStream, ahead, windows

CPU = torch.device("cpu")


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "windows"]


def test_the_order_is_kept():
    assert list(ahead(iter(range(1000)))) == list(range(1000))
    assert not threads()


def test_no_more_wait_than_the_depth():
    made = []
    items = ahead(made.append(k) or k for k in range(100))
    for taken in range(1, 5):
        next(items)
        time.sleep(0.05)
        assert taken <= len(made) <= taken + DEPTH + 1  # one more is in the maker's hands
    items.close()
    assert len(made) < 10
    assert not threads()


def test_an_error_comes_out_where_it_belongs():
    def broken():
        yield 1
        yield 2
        raise OSError("torn shard")

    items = ahead(broken())
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(OSError, match="torn shard"):
        next(items)
    assert not threads()


def test_closing_ends_the_thread_of_an_endless_one():
    items = ahead(itertools.count())
    assert next(items) == 0
    assert threads()
    items.close()
    assert not threads()


def test_the_windows_go_on_from_any_position(lanes):
    whole = list(itertools.islice(windows(lanes, (0, 0), CPU), 3 * lanes.num_windows(0)))
    assert [position for position, _ in whole][:2] == [(0, 0), (0, 1)]
    assert {epoch for (epoch, _), _ in whole} >= {0, 1, 2}
    for start in (1, lanes.num_windows(0)):
        stream = WindowStream(lanes, lambda start=start: whole[start][0], lambda: CPU)
        for (position, window), (expected, same) in zip(stream, whole[start:], strict=False):
            assert position == expected
            assert all(torch.equal(a, b) for a, b in zip(window, same, strict=True))
        stream.close()
    assert not threads()


@pytest.mark.parametrize(("device", "pinned"), [("cpu", False), ("cuda:1", True)])
def test_only_what_goes_to_a_gpu_is_pinned_and_its_thread_is_that_gpus(lanes, monkeypatch, device, pinned):
    """There may be a GPU that is not trained on."""
    done = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: done.append((threading.current_thread().name, device)))
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: done.append("pinned") or tensor)
    stream = WindowStream(lanes, lambda: (0, 0), lambda: torch.device(device))
    next(iter(stream))
    stream.close()
    assert ("pinned" in done) == pinned
    assert done[:1] == ([("windows", torch.device(device))] if pinned else [])
