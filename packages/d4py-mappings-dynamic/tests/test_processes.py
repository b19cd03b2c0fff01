"""How many processes a run has, on all four mappings."""

import multiprocessing
import os
import time

import pytest

from d4py_conformance.suite import chain
from dispel4py import IterativePE, ProducerPE


class Process(ProducerPE):
    def _process(self, inputs):
        return os.getpid()


class BesideIt(IterativePE):
    """Sends by which process it was called, and by which its root."""

    def _process(self, data):
        time.sleep(0.002)
        return data, os.getpid()


@pytest.mark.parametrize("processes", [1, 3])
def test_n_counts_all_processes_including_that_of_the_root(in_processes, processes):
    seen = set()

    def take(pe_id, output, data):
        seen.update(data)
        workers = {child.pid for child in multiprocessing.active_children()}
        assert len(workers) == processes
        assert seen <= workers

    in_processes(chain(Process(), BesideIt()), 100, processes, on_result=take)
    assert seen
