"""PEs and limits for tests of the task loop."""

import time

from d4py_conformance.pes.common import Numbers, Relay
from d4py_conformance.waiting import LIMIT
from d4py_dynamic.worker.limits import WorkerLimits
from dispel4py import IterativePE

#: Output is committed, and the load looked at, as soon as possible.
EAGER = WorkerLimits(load_seconds=0.0, commit_seconds=0.0, outbox_bytes=500)
#: Output is committed between calls, and never within one, however slow the machine is.
PROMPT = WorkerLimits(load_seconds=LIMIT, commit_seconds=0.0, preempt_seconds=LIMIT)
#: All calls are quick, however slow the machine is.
PATIENT = WorkerLimits(
    load_seconds=LIMIT, commit_seconds=LIMIT, quick_seconds=LIMIT, preempt_seconds=LIMIT
)


def stateful(pe, instances=1):
    pe.stateful, pe.numprocesses = True, instances
    return pe


class Burst(IterativePE):
    """Writes each item many times in one call."""

    def __init__(self, times):
        super().__init__()
        self.times = times

    def _process(self, data):
        for i in range(self.times):
            self.write("output", data * self.times + i)


class Slow(Relay):
    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def _process(self, data):
        time.sleep(self.seconds)
        return data


class SlowNumbers(Numbers):
    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def _process(self, inputs):
        time.sleep(self.seconds)
        return super()._process(inputs)
