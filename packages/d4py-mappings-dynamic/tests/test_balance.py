"""Whole runs whose items differ much in what they cost, in processes, on all four mappings.

Nothing here depends on how fast the machine is: an item that takes long ends when the caller has
all the others, and everything that is to be at work at once waits for the rest of it.
"""

import os
import time

import pytest

from d4py_conformance.suite import chain
from d4py_conformance.waiting import wait_until
from dispel4py import IterativePE, ProducerPE

WORKERS = 4


class Lists(ProducerPE):
    def __init__(self, count):
        super().__init__()
        self.count = count

    def _process(self, inputs):
        return list(range(self.count))


class Apart(IterativePE):
    """Sends what is in a list, one by one."""

    def _process(self, data):
        for item in data:
            self.write("output", item)


class TakesLong(IterativePE):
    """Holds one item until a file is there; the others take a millisecond."""

    def __init__(self, item, gate):
        super().__init__()
        self.item, self.gate = item, gate

    def _process(self, data):
        if data == self.item:
            wait_until(self.gate.exists, "all other items")
        else:
            time.sleep(0.001)
        return data


@pytest.mark.parametrize("item", [0, 3, 500, 1000])
def test_one_item_that_takes_long_delays_none_of_a_thousand_others(in_processes, tmp_path, item):
    gate = tmp_path / "gate"
    came = []

    def take(pe_id, output, data):
        came.append(data)
        if len(came) == 1000:
            gate.touch()

    in_processes(chain(Lists(1001), Apart(), TakesLong(item, gate)), 1, WORKERS, on_result=take)
    assert came[-1] == item
    assert sorted(came) == list(range(1001))


class Meets(IterativePE):
    """Goes on when so many processes have come here."""

    def __init__(self, folder, count):
        super().__init__()
        self.folder, self.count = folder, count

    def _process(self, data):
        (self.folder / str(os.getpid())).touch()
        wait_until(lambda: len(os.listdir(self.folder)) >= self.count, "items on all workers")
        return data


def test_what_one_item_becomes_is_on_all_workers_at_once(in_processes, tmp_path):
    result = in_processes(chain(Lists(10_000), Apart(), Meets(tmp_path, WORKERS)), 1, WORKERS)
    assert sorted(result.outputs["Meets2"]["output"]) == list(range(10_000))
