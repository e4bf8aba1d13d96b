"""A process of its own for code that may crash, hang or eat memory: only the item it was busy with is lost.

The process is a fresh Python that reads pickled items from its standard input and answers them one by one. It carries its
own limits: the kernel refuses memory beyond them, and a watchdog thread in C, which needs no interpreter lock, ends it when
one item takes too long. So it ends even where whoever asked for it is gone.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any, NamedTuple, cast

from lstmusic.errors import LstmusicError
from lstmusic.schema import LimitsConfig

START_S = 120.0  # for a new process to import what it needs, on a busy machine
FROM_OUTSIDE = (signal.SIGTERM, signal.SIGINT)  # somebody stops the whole run: no fault of the item


class _Child(NamedTuple):
    """A running process and its ends of pipes."""

    process: subprocess.Popen
    requests: IO[bytes]
    answers: IO[bytes]
    complaints: IO[bytes]


class Worker:
    """Calls a function in a process of its own, which is started when it is needed and replaced when it dies.

    Args:
        function: picklable; what it raises ends the process, so it should raise nothing but MemoryError.
        limits: of one call.
    """

    def __init__(self, function: Callable[[Any], Any], limits: LimitsConfig) -> None:
        self.order = pickle.dumps((limits.seconds, limits.memory_mb, function))
        self.limits = limits
        self._child: _Child | None = None

    def call(self, item: Any) -> tuple[Any, str]:
        """The function's result for an item and an empty reason; or None and the reason why there is no result.

        Raises:
            LstmusicError: the process cannot be started, or was stopped from outside.
        """
        used, started = self._child is not None, time.monotonic()
        result, reason = self._ask(item)
        if reason and used and time.monotonic() - started < self.limits.seconds:
            # What earlier items left behind must not decide: asked again in a process that has seen no other
            result, reason = self._ask(item)
        return result, reason

    def _ask(self, item: Any) -> tuple[Any, str]:
        child = self._child = self._child or self._start()
        started = time.monotonic()
        try:
            _send(child.requests, item)
            result, reason = pickle.load(child.answers)
        except (EOFError, OSError, pickle.UnpicklingError):
            seconds = time.monotonic() - started
            with suppress(OSError):
                child.requests.close()  # one that is not dead yet finds nothing to wait for
            code = child.process.wait()
            self.close()
            return None, self._cause(code, seconds)
        except BaseException:  # Ctrl-C: the answer that is on its way would be taken for the next item's
            self.close()
            raise
        if reason:
            self.close()
        return result, reason

    def close(self) -> None:
        """End the process."""
        if self._child:
            process, *streams = self._child
            process.kill()
            process.wait()
            for stream in streams:
                with suppress(OSError):  # what could not be sent any more
                    stream.close()
            self._child = None

    def _start(self) -> _Child:
        path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), *sys.path]))
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        )
        child = _Child(
            process, *(cast(IO[bytes], stream) for stream in (process.stdin, process.stdout, process.stderr))
        )
        try:
            child.requests.write(self.order)
            child.requests.flush()
            pickle.load(child.answers)
        except BaseException as error:
            process.kill()
            _, said = process.communicate()
            if not isinstance(error, EOFError | OSError):
                raise
            lines = said.decode(errors="replace").splitlines()
            raise LstmusicError(f"a reading process cannot start: {lines[-1] if lines else error}") from error
        return child

    def _cause(self, code: int, seconds: float) -> str:
        if seconds >= self.limits.seconds:
            return f"took longer than {self.limits.seconds:g} s (limits.seconds)"
        if -code in FROM_OUTSIDE:
            raise LstmusicError(f"a reading process was stopped from outside ({signal.Signals(-code).name})")
        if code == -signal.SIGKILL:
            return "killed (SIGKILL), most likely for want of memory"
        return f"the parser died ({signal.Signals(-code).name if code < 0 else f'exit code {code}'})"


_of_thread = threading.local()


def of_this_thread(function: Callable[[Any], Any], limits: LimitsConfig) -> Worker:
    """This thread's worker, kept from one batch of items to the next as long as it is asked for the same."""
    wanted, present = Worker(function, limits), getattr(_of_thread, "worker", None)
    if present is None or present.order != wanted.order:
        close()
        _of_thread.worker = present = wanted
    return present


def close() -> None:
    """End the process of this thread's worker, if it has one."""
    present = getattr(_of_thread, "worker", None)
    if present is not None:
        present.close()
        _of_thread.worker = None


def _send(stream: IO[bytes], value: Any) -> None:
    stream.write(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))
    stream.flush()


def serve() -> None:
    """What the process does: answer items until its standard input ends."""
    faulthandler.dump_traceback_later(START_S, exit=True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the parent decides
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    seconds, memory_mb, function = pickle.load(requests)
    _limit_memory(memory_mb * 2**20)
    nowhere = open(os.devnull, "w")  # noqa: SIM115 (for as long as the process lives)
    _send(answers, "ready")
    for descriptor in (1, 2):  # what libraries in C print would be taken for answers, or fill a pipe that nobody reads
        os.dup2(nowhere.fileno(), descriptor)
    while True:
        faulthandler.cancel_dump_traceback_later()
        try:
            item = pickle.load(requests)
        except EOFError:
            return
        faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
        try:
            answer = function(item), ""
        except MemoryError:
            answer = None, f"needed more than {memory_mb} MB (limits.memory_mb)"
        _send(answers, answer)


def _limit_memory(size_bytes: int) -> None:
    """Where the platform can (not on Windows): no memory beyond a size, and no dump of it after a crash."""
    try:
        import resource
    except ImportError:
        return
    for kind, limit in ((resource.RLIMIT_AS, size_bytes), (resource.RLIMIT_CORE, 0)):
        with suppress(ValueError, OSError):  # a lower limit stands already, or the system knows none
            resource.setrlimit(kind, (limit, resource.getrlimit(kind)[1]))


if __name__ == "__main__":
    serve()
