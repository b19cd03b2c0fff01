"""Ranks of one machine send large buffers through shared memory, which nothing can leave behind.

That ranks do without where they are on other machines, or cannot open the memory of others, is
checked in `mpi_ranks.py`.
"""

import ast
import os
import signal

import pytest

pytest.importorskip("mpi4py")
pytest.importorskip("numpy")

from dispel4py.errors import WorkerLostError

#: Counts the arenas that each process has mapped: its own, and those of others that it uses.
WORKFLOW = """
from dispel4py import IterativePE, WorkflowGraph
from fixed_flows import Arrays

def arenas():
    with open("/proc/self/maps") as maps:
        return len({line.split(maxsplit=5)[-1] for line in maps if "d4py-arena" in line})

class Adds(IterativePE):
    stateful = True
    def _process(self, data):
        data["data"] += 0.5
        return {**data, self.id: arenas()}

class Reports(IterativePE):
    def _process(self, data):
        array = data.pop("data")
        return float(array.min()), float(array.max()), [*data.values(), arenas()]

graph = WorkflowGraph()
pes = Arrays(), Adds(), Adds(), Reports()
for one, other in zip(pes, pes[1:]):
    graph.connect(one, "output", other, "input")
"""


def test_m2_arrays_arrive_as_they_were_sent(mpi, write):
    write("wf.py", WORKFLOW)
    status, out, err = mpi.end(mpi.start("wf.py", "-i", 150, "-n", 4, "-q"))
    assert status == 0, err
    results = ast.literal_eval(out.removeprefix("Outputs: "))["Reports3"]["output"]
    assert results == [(n + 1.0, n + 1.0, [2, 2, 2]) for n in range(1, 151)]


def test_c4_nothing_is_left_of_arrays_when_a_rank_is_killed(mpi, execute_mpi, flows, chain):
    graph = chain(
        flows.Numbers(), flows.Makes(flows.array_of), flows.Makes(lambda array: os.getpid())
    )

    killed = []

    def kill(pe_id, output, rank):
        if not killed:
            with open(f"/proc/{rank}/maps", encoding="utf-8") as maps:
                assert "/memfd:d4py-arena" in maps.read()
            killed.append(rank)
            os.kill(rank, signal.SIGKILL)

    with pytest.raises(WorkerLostError, match="killed by SIGKILL"):
        execute_mpi(graph, 10**12, on_result=kill)
    mpi.assert_nothing_is_left()
