"""Code that crashes, hangs or eats memory takes nothing with it but the item it was busy with."""

import ctypes
import operator
import os
import signal
import subprocess
import sys
import time
import types

import pytest

from lstmusic.corpus import worker
from lstmusic.corpus.worker import Worker
from lstmusic.errors import LstmusicError
from lstmusic.schema import LimitsConfig

LIMITS = LimitsConfig(seconds=1, memory_mb=512)


@pytest.fixture
def start():
    """A function: a worker for a function of the standard library; ended after the test."""
    started = []

    def build(function, limits=LIMITS):
        started.append(Worker(function, limits))
        return started[-1]

    yield build
    for each in started:
        each.close()


def process_of(each):
    """The process id of a worker."""
    return each._child.process.pid


def test_answers_come_from_one_process_that_is_not_this_one(start):
    asked = start(operator.methodcaller("__len__"))
    assert [asked.call("x" * k) for k in (3, 0, 100_000)] == [(3, ""), (0, ""), (100_000, "")]
    assert process_of(asked) != os.getpid()
    first = process_of(asked)
    asked.call("again")
    assert process_of(asked) == first


@pytest.mark.parametrize(
    ("function", "item", "reason", "harmless"),
    [
        (ctypes.string_at, 0, "the parser died (SIGSEGV)", b"x"),
        (signal.raise_signal, signal.SIGABRT, "the parser died (SIGABRT)", signal.SIGCONT),
        (signal.raise_signal, signal.SIGKILL, "killed (SIGKILL), most likely for want of memory", signal.SIGCONT),
        (time.sleep, 60, "took longer than 1 s (limits.seconds)", 0),
        (bytearray, 600 * 2**20, "needed more than 512 MB (limits.memory_mb)", 0),
    ],
    ids=["segfault", "abort", "killed", "hang", "memory"],
)
def test_what_goes_wrong_is_named_and_the_next_item_is_served(start, function, item, reason, harmless):
    asked = start(function)
    started = time.monotonic()
    assert asked.call(item) == (None, reason)
    assert time.monotonic() - started < 10
    assert asked.call(harmless)[1] == ""


def test_what_earlier_items_left_behind_does_not_decide(start, tmp_path):
    """An item that a used process cannot stand is asked again in a fresh one."""
    asked = start(exec, LimitsConfig(seconds=5, memory_mb=512))
    assert asked.call("import lstmusic; lstmusic.hoard = bytearray(300 * 2**20)") == (None, "")
    first = process_of(asked)
    assert asked.call("bytearray(300 * 2**20)") == (None, "")
    assert process_of(asked) != first


def test_an_exit_code_is_named(start):
    assert start(os._exit).call(3) == (None, "the parser died (exit code 3)")


def test_what_is_printed_is_not_taken_for_an_answer(start):
    asked = start(print)
    assert asked.call("x" * 100_000) == (None, "")
    assert asked.call("y") == (None, "")


def test_a_process_that_is_stopped_from_outside_is_no_fault_of_the_item(start):
    with pytest.raises(LstmusicError, match=r"stopped from outside \(SIGTERM\)"):
        start(signal.raise_signal).call(signal.SIGTERM)


def test_ctrl_c_in_the_whole_group_is_left_to_the_parent(start):
    assert start(signal.raise_signal).call(signal.SIGINT) == (None, "")


def test_a_process_that_cannot_start_says_why(start, monkeypatch):
    ghost = types.ModuleType("ghost")
    exec("def appear(item): pass", ghost.__dict__)
    monkeypatch.setitem(sys.modules, "ghost", ghost)
    with pytest.raises(LstmusicError, match=r"cannot start: .*No module named 'ghost'"):
        start(ghost.appear).call(0)


def test_an_interrupted_call_does_not_answer_the_next(start, monkeypatch):
    asked = start(operator.methodcaller("upper"))
    asked.call("a")

    def interrupted(stream):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(worker.pickle, "load", interrupted)
        with pytest.raises(KeyboardInterrupt):
            asked.call("b")
    assert asked.call("c") == ("C", "")


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
def test_a_busy_process_ends_soon_after_its_parent_was_killed():
    program = (
        "import time\nfrom lstmusic.corpus.worker import Worker\nfrom lstmusic.schema import LimitsConfig\n"
        "asked = Worker(time.sleep, LimitsConfig(seconds=1))\nasked.call(0)\n"
        "print(asked._child.process.pid, flush=True)\nasked.call(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 20
    while alive(pid):
        assert time.monotonic() < deadline, "an orphan"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_thread_keeps_its_worker_while_it_asks_for_the_same():
    try:
        first = worker.of_this_thread(time.sleep, LIMITS)
        assert worker.of_this_thread(time.sleep, LIMITS) is first
        assert worker.of_this_thread(time.sleep, LimitsConfig(seconds=2)) is not first
    finally:
        worker.close()
