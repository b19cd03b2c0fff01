"""C5, H2: whatever happens to a run, its results are those of a model in plain Python.

A few seeds of each kind of fault; ``hatch run chaos`` does as many as one likes.
"""

import pytest

from d4py_conformance.chaos import ChaosRun


@pytest.fixture
def chaos(_program):
    """Does a run with so many faults of some kinds, and checks what came of it."""

    def chaos(seed, count, *kinds):
        outcome = ChaosRun(_program, seed, count, kinds, calls=250, lease=2.0).run()
        assert outcome.problems == []
        assert sum(outcome.faults.values()) >= count - 1  # the last one may find nobody any more

    return chaos


@pytest.mark.parametrize("seed", [1, 2])
def test_h2_workers_are_killed_and_frozen_and_come_and_go(chaos, seed):
    chaos(seed, 4, "kill", "freeze", "join", "leave")
