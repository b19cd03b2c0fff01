"""Servers that replace each other: a run goes on exactly, or ends with an error that says why."""

import os
import signal

import pytest
from dynamic_helpers.disturbed_runs import CALLS, Disturber, make_graph, model
from dynamic_helpers.remote_hosts import Hosts, assert_exact
from dynamic_helpers.replicated import Cluster, Watched
from redis.cluster import RedisCluster

from d4py_conformance.chaos.faults import Name, Ticks
from d4py_conformance.expected.compare import assert_outputs
from d4py_conformance.subprocesses.network_namespaces import ended
from d4py_conformance.waiting import wait_until
from dispel4py import WorkflowGraph, run
from dispel4py.errors import OptionError, ServiceError


@pytest.fixture(scope="module")
def cluster(need_server):
    made = Cluster()
    yield made
    made.stop()


@pytest.fixture
def watched(need_server):
    made = Watched()
    yield made
    made.stop()


def outcome(url, begin, replicas, at=300):
    """Run the workflow while a replica takes over; return the outputs, or the error.

    Args:
        url: of the servers.
        begin: begins the fail-over, after some results.
        replicas: one of them takes over.
        at: after how many results.
    """

    def fail_over():
        if disturber.disturbed == 1:
            begin()
            # The workers go on meanwhile, at the old primary.
            wait_until(lambda: any(map(is_primary, replicas)), "the fail-over")

    disturber = Disturber(at, fail_over)
    try:
        run(make_graph(0.01), "hybrid_redis", CALLS, 3, redis_url=url, on_result=disturber)
    except ServiceError as error:
        return str(error)
    return disturber.outputs


def is_primary(node):
    return node.client.info("replication")["role"] == "master"


def assert_exact_or_explained(found):
    if isinstance(found, str):
        assert "failed over, during the run, to a server that lacks what it had confirmed" in found
    else:
        assert_outputs(found, model())


class TestCluster:
    @pytest.mark.parametrize("mapping", ["dyn_redis", "dyn_auto_redis"])
    def test_a_run_is_exact_and_leaves_no_keys(self, cluster, mapping):
        graph = WorkflowGraph()
        graph.connect(Ticks(0), "output", Name(), "input")
        result = run(graph, mapping, 20, 2, redis_url=cluster.url)
        numbers = [number for _, number in result.outputs["Name1"]["output"]]
        assert sorted(numbers) == [*range(1, 21)]
        assert cluster.keys() == []

    def test_h2_workers_join_a_run_and_another_driver_resumes_it(self, cluster):
        hosts = Hosts()
        hosts.client.close()
        hosts.url, hosts.client = cluster.url, RedisCluster.from_url(cluster.url)
        try:
            arguments = "-i", 600, "-n", 1, "--resumable"
            driver = hosts.driver("hybrid_redis", "collected", *arguments)
            hosts.await_ranks(1)
            workers = hosts.workers("-n", 1)
            hosts.await_work(hosts.await_ranks(2))
            os.kill(driver.pid, signal.SIGKILL)
            listed = hosts.command("runs", "--redis-url", hosts.url)
            assert hosts.run_id() in listed.stdout
            resumed = hosts.resume()
            hosts.open_gate()
            out, _ = ended(resumed, 0)
            assert_exact(out, "collected", 600)
            ended(workers, 0)
            assert cluster.keys() == []
        finally:
            hosts.stop()

    def test_only_database_0_is_there(self, cluster):
        with pytest.raises(ServiceError, match="a Redis Cluster has number 0 only"):
            run(make_graph(), "hybrid_redis", 1, 2, redis_url=f"{cluster.url}/3")

    def test_c5_a_run_survives_a_planned_failover(self, cluster):
        taking_over = []

        def fail_over():
            number = cluster.node_with_runs()
            # A machine that stood still may have swapped the two before.
            pair = cluster.primaries[number], cluster.replicas[number]
            taking_over.extend(node for node in pair if not is_primary(node))
            taking_over[0].client.execute_command("CLUSTER FAILOVER")

        assert_outputs(outcome(cluster.url, fail_over, taking_over), model())
        assert cluster.keys() == []

    @pytest.mark.slow
    def test_c5_a_node_that_dies_is_replaced_by_its_replica(self, need_server):
        cluster = Cluster()
        try:
            url = ",".join([cluster.url, *(f"127.0.0.1:{n.port}" for n in cluster.nodes[1:3])])

            def kill():
                cluster.primaries[cluster.node_with_runs()].kill()

            assert_exact_or_explained(outcome(url, kill, cluster.replicas))
        finally:
            cluster.stop()


class TestSentinel:
    @pytest.mark.slow
    def test_c5_a_run_survives_a_failover_that_waits_for_the_replica(self, watched):
        if "valkey_version" not in watched.primary.client.info("server"):
            pytest.skip("Redis has no such fail-over")
        begin = watched.fail_over("COORDINATED")
        assert_outputs(outcome(watched.url, begin, [watched.replica]), model())
        assert watched.keys() == []

    def test_c5_a_failover_that_drops_writes_is_an_error_or_has_no_effect(self, watched):
        assert_exact_or_explained(outcome(watched.url, watched.fail_over(), [watched.replica]))

    @pytest.mark.slow
    def test_c5_a_primary_that_dies_is_replaced_by_its_replica(self, watched):
        assert_exact_or_explained(outcome(watched.url, watched.primary.kill, [watched.replica]))

    def test_an_unknown_name_is_reported(self, watched):
        with pytest.raises(ServiceError, match="No master found for 'other'"):
            run(
                make_graph(), "hybrid_redis", 1, 2, redis_url=watched.url.replace("/d4py", "/other")
            )

    def test_the_name_is_needed(self, watched):
        with pytest.raises(OptionError, match="HOST:PORT,HOST:PORT/PRIMARY"):
            run(make_graph(), "hybrid_redis", 1, 2, redis_url=watched.url.replace("/d4py", ""))
