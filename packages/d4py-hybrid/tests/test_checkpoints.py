"""H2: checkpoints of a large state."""

import logging
import os
import re

import pytest

from d4py_conformance.chaos.faults import Killer, RunningSum, Ticks
from dispel4py import WorkflowGraph

ITEMS, STATE_BYTES = 400, 50_000_000


class LargeState(RunningSum):
    """Has a large state beside its sum."""

    def _preprocess(self):
        self.archive = os.urandom(STATE_BYTES)


@pytest.mark.slow
def test_h2_a_state_of_fifty_megabytes_survives_its_workers_and_its_cost_is_logged(execute, caplog):
    graph = WorkflowGraph()
    graph.connect(Ticks(0.005), "output", LargeState(), "input")
    killer = Killer({40: "all"})
    with caplog.at_level(logging.INFO):
        execute(graph, ITEMS, 2, on_result=killer, commit_interval=0.1)
    assert killer.killed
    sums = [sum(range(1, number + 1)) for number in range(1, ITEMS + 1)]
    assert killer.outputs["LargeState1"]["output"] == sums
    logged = re.search(r"(\d+) checkpoints took (\d+\.\d) s, the last one of 50\.0 MB", caplog.text)
    assert logged is not None
    assert int(logged[1]) > 1
