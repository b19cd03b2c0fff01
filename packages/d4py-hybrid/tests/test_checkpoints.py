"""H2: what checkpoints cost where a state is large."""

import logging
import os
import re

import pytest

from d4py_conformance.chaos.faults import Killer, RunningSum, Ticks
from dispel4py import WorkflowGraph

ITEMS, STATE_BYTES = 400, 50_000_000


class Ponderous(RunningSum):
    """Has a large state beside its sum."""

    def _preprocess(self):
        self.archive = os.urandom(STATE_BYTES)


@pytest.mark.slow
def test_h2_fifty_megabytes_of_state_get_on_whoever_is_killed_and_tell_their_cost(execute, caplog):
    graph = WorkflowGraph()
    graph.connect(Ticks(0.005), "output", Ponderous(), "input")
    killer = Killer({40: "all"})
    with caplog.at_level(logging.INFO):
        execute(graph, ITEMS, 2, on_result=killer, commit_interval=0.1)
    assert killer.killed
    sums = [sum(range(1, number + 1)) for number in range(1, ITEMS + 1)]
    assert killer.outputs["Ponderous1"]["output"] == sums
    said = re.search(r"(\d+) checkpoints took (\d+\.\d) s, the last one of 50\.0 MB", caplog.text)
    assert said is not None
    assert int(said[1]) > 1
