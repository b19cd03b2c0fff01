"""An exception of any kind is the PE's, unless it is d4py's own or a signal's."""

import asyncio
import signal
import subprocess
import sys
import textwrap
import threading
from itertools import pairwise

import pytest

from dispel4py import (
    ConsumerPE,
    GenericPE,
    IterativePE,
    ProcessingError,
    ProducerPE,
    WorkflowGraph,
    run,
)
from dispel4py.base import BasePE
from dispel4py.exceptions.unwinding import Unwind, ignore_signal, is_foreign


class Count(ProducerPE):
    n = 0

    def _process(self, inputs):
        self.n += 1
        return self.n


class RustPanic(BaseException):
    """As libraries in Rust have them."""


class FailsIn(GenericPE):
    """Raises in a phase, or while its group key is read."""

    def __init__(self, phase, error):
        super().__init__()
        self._add_input("input")
        self.phase, self.error = phase, error

    def preprocess(self):
        self.fail("preprocess")

    def process(self, inputs):
        if inputs["input"] == 2:
            self.fail("process")

    def postprocess(self):
        self.fail("postprocess")

    def fail(self, phase):
        if phase == self.phase:
            raise self.error


class Panics(dict):
    def __getitem__(self, key):
        raise RustPanic("no key")


def chain(*pes):
    graph = WorkflowGraph()
    for source, destination in pairwise(pes):
        graph.connect(source, "output", destination, "input")
    return graph


@pytest.mark.parametrize("phase", ["preprocess", "process", "postprocess"])
@pytest.mark.parametrize(
    "error",
    [asyncio.CancelledError("c"), GeneratorExit("g"), SystemExit(4), RustPanic("r")],
    ids=lambda error: type(error).__name__,
)
def test_c3_an_exception_of_any_kind_is_the_pes_in_each_phase(phase, error):
    with pytest.raises(ProcessingError) as caught:
        run(chain(Count(), FailsIn(phase, error)), inputs=3)

    assert (caught.value.pe_id, caught.value.phase) == ("FailsIn1", phase)
    assert caught.value.item == ("2" if phase == "process" else None)
    assert type(caught.value.__cause__) is type(error)


@pytest.mark.parametrize("phase", ["process", "postprocess"])
def test_c3_it_is_skipped_like_any_other(phase):
    result = run(chain(Count(), FailsIn(phase, RustPanic("r"))), inputs=3, on_error="skip")

    assert [failure.error.phase for failure in result.failures] == [phase]


def test_c3_one_that_a_group_key_raises_is_the_senders():
    class Send(IterativePE):
        def _process(self, data):
            return Panics() if data == 2 else {"k": data}

    class Grouped(ConsumerPE):
        def __init__(self):
            super().__init__()
            self._add_input("input", grouping=["k"])
            self.numprocesses = 2

    result = run(chain(Count(), Send(), Grouped()), inputs=3, on_error="skip")

    (failure,) = result.failures
    assert failure.pe_id == "Send1"
    assert "RustPanic: no key" in failure.error.reason


def test_c3_what_leaves_a_call_for_d4py_is_not_the_pes():
    class Writes(BasePE):
        def __init__(self):
            super().__init__(inputs=["input"], outputs=["output"])

        def process(self, inputs):
            for _ in range(2000):
                self.write("output", 2)

    with pytest.raises(ProcessingError, match="below") as caught:
        run(chain(Count(), Writes(), FailsIn("process", ValueError("below"))), inputs=3)
    assert caught.value.pe_id == "FailsIn2"
    assert is_foreign(Unwind())


@pytest.mark.parametrize("handler", [signal.SIG_IGN, ignore_signal])
def test_a_keyboard_interrupt_is_the_pes_where_ctrl_c_is_ignored(handler):
    assert is_foreign(KeyboardInterrupt())
    before = signal.signal(signal.SIGINT, handler)
    try:
        assert not is_foreign(KeyboardInterrupt())
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_keyboard_interrupt_on_another_thread_is_the_pes():
    found = []
    thread = threading.Thread(target=lambda: found.append(is_foreign(KeyboardInterrupt())))
    thread.start()
    thread.join()

    assert found == [False]


class Deadline(BaseException):
    """As test suites have them."""


def test_what_a_signal_handler_raises_is_the_callers():
    class Waits(ConsumerPE):
        def _process(self, data):
            signal.raise_signal(signal.SIGUSR1)

    def expire(number, frame):
        raise Deadline

    before = signal.signal(signal.SIGUSR1, expire)
    try:
        with pytest.raises(Deadline):
            run(chain(Count(), Waits()), inputs=1, on_error="skip")
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_c4_ctrl_c_ends_a_run_that_skips_errors():
    script = """
        import os, signal
        from dispel4py import *

        class Interrupted(ProducerPE):
            def _process(self, inputs):
                os.kill(os.getpid(), signal.SIGINT)

        graph = WorkflowGraph()
        graph.add(Interrupted())
        run(graph, inputs=10**9, on_error="skip")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == -signal.SIGINT
    assert done.stderr.endswith("KeyboardInterrupt\n")
