"""How many processes a run has, on all four mappings."""

import itertools
import multiprocessing
import os
import time

import pytest

from dispel4py import IterativePE, ProducerPE, WorkflowGraph, run

MAPPINGS = ["dyn_multi", "dyn_auto_multi", "dyn_redis", "dyn_auto_redis"]


@pytest.fixture(params=MAPPINGS)
def execute(request):
    """Runs a graph on each mapping."""
    where = {}
    if "redis" in request.param:
        where["redis_url"] = request.getfixturevalue("server").url

    def execute(graph, inputs, processes, **options):
        return run(graph, request.param, inputs, processes, **where, **options)

    return execute


def chain(*pes):
    graph = WorkflowGraph()
    for source, destination in itertools.pairwise(pes):
        graph.connect(source, "output", destination, "input")
    return graph


class Process(ProducerPE):
    def _process(self, inputs):
        return os.getpid()


class BesideIt(IterativePE):
    """Sends by which process it was called, and by which its root."""

    def _process(self, data):
        time.sleep(0.002)
        return data, os.getpid()


@pytest.mark.parametrize("processes", [1, 3])
def test_n_counts_all_processes_also_that_of_the_root(execute, processes):
    seen = set()

    def take(pe_id, output, data):
        seen.update(data)
        workers = {child.pid for child in multiprocessing.active_children()}
        assert len(workers) == processes
        assert seen <= workers

    execute(chain(Process(), BesideIt()), 100, processes, on_result=take)
    assert seen
