"""C5, H2: whatever happens to a run, its results are those of a model in plain Python.

A few seeds of each kind of fault; ``hatch run chaos`` does as many as one likes.
"""

import pytest

from d4py_conformance.chaos.run import ChaosRun


@pytest.fixture
def chaos(_program):
    """Does a run with a fault of each of some kinds, and checks what came of it."""

    def chaos(seed, *kinds):
        outcome = ChaosRun(_program, seed, len(kinds), kinds, calls=200, lease=2.0).run()
        assert outcome.problems == []
        assert len(outcome.faults) >= len(kinds) - 1  # the last one may find nobody any more

    return chaos


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_h2_workers_are_killed_and_frozen_and_come_and_go(chaos, seed):
    chaos(seed, "kill", "freeze", "join", "leave")


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_h2_connections_break_before_answers_and_within_them(chaos, seed):
    chaos(seed, "cut", "tear", "hold", "kill")


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_h2_the_server_and_the_driver_are_killed(chaos, seed):
    chaos(seed, "server", "driver", "kill")
