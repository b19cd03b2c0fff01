"""C5, H2: the results of a run with random faults are those of a model in plain Python.

A few seeds of each kind of fault; ``hatch run chaos`` runs any number of them.
"""

import pytest

from d4py_conformance.chaos.run import ChaosRun


@pytest.fixture
def chaos(need_server):
    """Checks a run with one fault of each of some kinds."""

    def chaos(seed, *kinds):
        outcome = ChaosRun(need_server, seed, len(kinds), kinds, calls=200, lease=2.0).run()
        assert outcome.problems == []
        assert {*outcome.faults} >= {*kinds}

    return chaos


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_h2_workers_are_killed_and_stopped_and_join_and_leave(chaos, seed):
    chaos(seed, "kill", "freeze", "join", "leave")


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_h2_connections_break_before_and_within_replies(chaos, seed):
    chaos(seed, "cut", "tear", "hold", "kill")


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_h2_the_server_and_the_driver_are_killed(chaos, seed):
    chaos(seed, "server", "driver", "kill")
