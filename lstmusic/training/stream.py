"""Windows in their order, made ahead in a thread of their own while the device is at work."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

import torch

from lstmusic.corpus.lanes import Lanes
from lstmusic.evaluation.likelihood import to_window
from lstmusic.models.language_model import Window

T = TypeVar("T")
DEPTH = 2  # windows that wait
PATIENCE_S = 0.1  # how soon the thread notices that nobody wants more
END = object()


def windows(lanes: Lanes, position: tuple[int, int], device: torch.device) -> Iterator[tuple[tuple[int, int], Any]]:
    """The windows of all epochs from a position (epoch, window within it) on, without end, each with its position.

    Args:
        device: where they go; for a GPU they come in memory that it reads by itself.
    """
    epoch, step = position
    pin = device.type == "cuda"
    if pin:
        torch.cuda.set_device(device)  # a thread begins with the first GPU, whichever its process has
    while True:
        if step < lanes.num_windows(epoch):
            window = to_window(lanes.window(epoch, step))
            yield (epoch, step), Window(*(field.pin_memory() for field in window)) if pin else window
            step += 1
        else:
            epoch, step = epoch + 1, 0


def ahead(items: Iterator[T], depth: int = DEPTH) -> Generator[T, None, None]:
    """The same items in the same order, made in a thread, so that up to `depth` wait; errors come out where they belong.

    Closing the generator ends the thread.
    """
    waiting: queue.Queue[Any] = queue.Queue(depth)
    over = threading.Event()

    def put(item: Any) -> None:
        while not over.is_set():
            try:
                waiting.put(item, timeout=PATIENCE_S)
                break
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put((item, None))
                if over.is_set():
                    return
            put((END, None))
        except BaseException as error:
            put((END, error))

    thread = threading.Thread(target=work, name="windows", daemon=True)
    thread.start()
    try:
        while (got := waiting.get())[0] is not END:
            yield got[0]
        if got[1] is not None:
            raise got[1]
    finally:
        over.set()
        thread.join()


class WindowStream:
    """The windows from where a training stands, for ever; the Trainer sees one endless epoch.

    Args:
        lanes: of the train split.
        position: tells the window to begin with, once the first one is asked for.
        device: tells where they go, then too.
    """

    def __init__(
        self, lanes: Lanes, position: Callable[[], tuple[int, int]], device: Callable[[], torch.device]
    ) -> None:
        self.lanes, self.position, self.device = lanes, position, device
        self._ahead: Generator[Any, None, None] | None = None

    def __iter__(self) -> Iterator[Any]:
        self.close()
        self._ahead = ahead(windows(self.lanes, self.position(), self.device()))
        return self._ahead

    def close(self) -> None:
        """End the thread that works ahead."""
        if self._ahead is not None:
            self._ahead.close()
