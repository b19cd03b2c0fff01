"""Remote workers on another host: two network namespaces that share a cable."""

import pytest
from dynamic_helpers.remote_hosts import Hosts
from dynamic_helpers.remote_runs import MAPPINGS, finish

from d4py_conformance.subprocesses.network_namespaces import (
    CABLE,
    ended,
    ip,
    silent_cable,
    slow_down,
    two_namespaces,
)
from d4py_conformance.waiting import wait_until


@pytest.fixture
def namespaces():
    with two_namespaces() as names:
        yield names


@pytest.fixture
def two_hosts(namespaces):
    """Two hosts that share only a cable (and a disk, for the gate)."""
    made = Hosts(namespaces)
    yield made
    made.stop()


class TestNamespaces:
    @pytest.mark.parametrize(("mapping", "graph"), [MAPPINGS[0], MAPPINGS[2], MAPPINGS[3]])
    def test_remote_workers_with_another_address_than_the_driver(self, two_hosts, mapping, graph):
        driver = two_hosts.driver(mapping, graph, "-i", 1000, "-n", 1)
        workers = two_hosts.workers("-n", 2)
        ranks = two_hosts.await_ranks(3)
        if mapping != "dyn_auto_redis":  # which may park some
            two_hosts.await_work(ranks)
        err = finish(two_hosts, driver, graph, 1000)
        ended(workers, 0)
        assert "dispel4py worker --redis-url redis://192.0.2.1:" in err

    @pytest.mark.slow
    def test_c5_a_cut_cable_ends_remote_workers_and_not_the_run(self, two_hosts, namespaces):
        driver = two_hosts.driver("hybrid_redis", "collected", "-i", 1000, "-n", 1, "--lease", 1.5)
        workers = two_hosts.workers("-n", 2)
        two_hosts.await_work(two_hosts.await_ranks(3))
        ip("-n", namespaces[1], "link", "set", CABLE, "down")
        two_hosts.await_ranks(1)
        finish(two_hosts, driver, "collected", 1000)
        _, err = ended(workers, 1)
        assert "does not answer" in err

    @pytest.mark.slow
    @pytest.mark.parametrize(("mapping", "graph"), [MAPPINGS[0], MAPPINGS[3]])
    def test_c5_a_slow_cable_that_loses_packets_changes_nothing(
        self, two_hosts, namespaces, mapping, graph
    ):
        slow_down(namespaces)
        driver = two_hosts.driver(mapping, graph, "-i", 600, "-n", 1)
        workers = two_hosts.workers("-n", 2)
        two_hosts.await_work(two_hosts.await_ranks(3))
        finish(two_hosts, driver, graph, 600)
        ended(workers, 0)

    @pytest.mark.slow
    def test_c5_workers_go_on_after_a_silence_of_their_cable(self, two_hosts, namespaces):
        """It lasts longer than an answer of the server may take."""
        driver = two_hosts.driver("hybrid_redis", "collected", "-i", 1000, "-n", 1)
        workers = two_hosts.workers("-n", 2, "--reconnect", 60)
        ranks = two_hosts.await_ranks(3)
        two_hosts.await_work(ranks)
        with silent_cable(namespaces):
            wait_until(lambda: two_hosts.seconds_of_silence(2) > 4, "a silence of 4 s")
        two_hosts.await_work(ranks)
        finish(two_hosts, driver, "collected", 1000)
        ended(workers, 0)
