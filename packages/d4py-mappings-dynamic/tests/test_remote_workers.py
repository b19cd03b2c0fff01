"""Remote workers that join a run, and leave it: the real commands on this host's loopback."""

import re
import signal
import socket

import pytest
from dynamic_helpers.remote_hosts import PASSWORD, SECRET, Hosts, fetched
from dynamic_helpers.remote_runs import MAPPINGS, finish

from d4py_conformance.subprocesses.network_namespaces import ended
from d4py_conformance.waiting import LIMIT, NEVER, wait_until


@pytest.fixture
def hosts():
    """Two hosts, both of which are this one."""
    made = Hosts()
    yield made
    made.stop()


class TestRuns:
    @pytest.mark.parametrize(("mapping", "graph"), MAPPINGS)
    def test_c2_a_driver_without_workers_leaves_all_work_to_remote_workers(
        self, hosts, mapping, graph
    ):
        driver = hosts.driver(mapping, graph, "-i", 500, "-n", 0)
        workers = hosts.workers("-n", 2)
        hosts.await_work(hosts.await_ranks(2))
        err = finish(hosts, driver, graph, 500)
        ended(workers, 0)
        assert "workers can join:\n  dispel4py worker --redis-url redis://127.0.0.1:" in err
        assert PASSWORD not in err
        assert SECRET not in err

    @pytest.mark.parametrize(("mapping", "graph"), [MAPPINGS[1], MAPPINGS[3]])
    def test_c2_remote_workers_work_beside_local_ones(self, hosts, mapping, graph):
        driver = hosts.driver(mapping, graph, "-i", 1000, "-n", 1)
        commands = [hosts.workers("-n", 1), hosts.workers("-n", 1)]
        hosts.await_work(hosts.await_ranks(3))
        finish(hosts, driver, graph, 1000)
        for command in commands:
            ended(command, 0)

    @pytest.mark.parametrize("mapping", ["dyn_redis", "hybrid_redis"])
    @pytest.mark.parametrize("count", [500, 2000], ids=["at-once", "fed"])
    def test_d3_remote_workers_share_the_calls_of_a_root_and_return_them_when_they_leave(
        self, hosts, mapping, count
    ):
        # The calls take longer than what follows from them, so each worker has to take some.
        arguments = (mapping, "fetched", "-f", fetched(hosts, count), "-n", 0)
        driver = hosts.driver(*arguments, PAUSE="0.05")
        commands = [hosts.workers("-n", 1), hosts.workers("-n", 1)]
        ranks = hosts.await_ranks(2)
        both = {f"0/{rank}".encode() for rank in ranks}
        calls = f"{hosts.prefix()}:calls"
        wait_until(lambda: both <= {*hosts.client.hkeys(calls)}, "calls of both workers")
        commands[0].send_signal(signal.SIGTERM)
        commands[0].wait(LIMIT)
        hosts.await_work(hosts.await_ranks(1))
        finish(hosts, driver, "fetched", count)
        ended(commands[1], 0)

    def test_the_key_may_be_in_a_file_that_the_driver_writes(self, hosts):
        key = hosts.folder / "key"
        driver = hosts.driver("dyn_redis", "plain", "-n", 0, "--key-file", key, D4PY_KEY="")
        hosts.prefix()
        workers = hosts.workers("--key-file", key, D4PY_KEY="")
        finish(hosts, driver, "plain", 1)
        ended(workers, 0)
        assert not key.exists()

    def test_a_key_that_the_user_has_not_chosen_is_logged(self, hosts):
        driver = hosts.driver("dyn_redis", "plain", "-n", 0, D4PY_KEY="")
        line = ""
        while "--run" not in line:
            line = driver.stderr.readline()
        key, run_id = re.search(r"D4PY_KEY=(\S+) dispel4py worker .* --run (\S+)", line).groups()
        workers = hosts.workers("--run", run_id, D4PY_KEY=key)
        finish(hosts, driver, "plain", 1)
        ended(workers, 0)

    def test_c3_a_pe_that_raises_in_a_remote_worker_fails_the_run(self, hosts):
        driver = hosts.driver("dyn_redis", "plain", "-i", 9, "-n", 0, MISBEHAVE="1")
        workers = hosts.workers("-n", 2)
        for process in driver, workers:
            _, err = ended(process, 1)
            assert 'raise ValueError("the sensor is broken")' in err
            assert "Middle1 (instance 0) failed in process" in err
        assert not hosts.client.keys()


@pytest.mark.slow
class TestLeaving:
    @pytest.mark.parametrize(("mapping", "graph"), [MAPPINGS[1], MAPPINGS[3]])
    def test_c4_other_workers_continue_the_work_of_those_that_leave(self, hosts, mapping, graph):
        """Remote workers come and go; the first ones own the root and stateful instances."""
        driver = hosts.driver(mapping, graph, "-i", 3000, "-n", 0)
        left = set()
        workers = hosts.workers("-n", 2)
        for number in signal.SIGINT, signal.SIGTERM:
            here = hosts.await_ranks(2)
            hosts.await_work(here)
            other = hosts.workers("-n", 2)
            hosts.await_work(hosts.await_ranks(4) - here)
            workers.send_signal(number)
            _, err = ended(workers, 130)
            assert "Traceback" not in err
            left |= here
            hosts.await_ranks(2)
            workers = other
        err = finish(hosts, driver, graph, 3000)
        ended(workers, 0)
        for rank in left:
            assert f"worker {rank} left" in err

    def test_c4_the_owner_of_a_slow_root_leaves_during_its_calls(self, hosts):
        driver = hosts.driver("dyn_redis", "tallied", "-i", 3000, "-n", 0, PAUSE="0.05")
        first = hosts.workers("-n", 1)
        ranks = hosts.await_ranks(1)
        hosts.await_work(ranks)
        other = hosts.workers("-n", 1)
        hosts.await_work(hosts.await_ranks(2) - ranks)
        first.send_signal(signal.SIGINT)
        ended(first, 130)
        finish(hosts, driver, "tallied", 3000)
        ended(other, 0)

    def test_c4_idle_remote_workers_leave(self, hosts):
        driver = hosts.driver("dyn_redis", "plain", "-i", 1, "-n", 1, PAUSE=str(NEVER))
        workers = hosts.workers("-n", 2)
        hosts.await_ranks(3)
        workers.send_signal(signal.SIGINT)
        ended(workers, 130)
        finish(hosts, driver, "plain", 1)

    def test_c4_a_command_that_waits_for_a_run_is_interrupted(self, hosts):
        workers = hosts.workers("--wait", NEVER)
        wait_until(lambda: len(hosts.client.client_list()) > 1, "the connection of the command")
        workers.send_signal(signal.SIGINT)
        ended(workers, 130)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_c4_remote_workers_end_when_the_driver_is_stopped(self, hosts, number):
        driver = hosts.driver("hybrid_redis", "collected", "-i", 3000, "-n", 1)
        workers = hosts.workers("-n", 2)
        hosts.await_work(hosts.await_ranks(3))
        driver.send_signal(number)
        ended(driver, 130)
        ended(workers, 0)
        assert not hosts.client.keys()


class TestList:
    def test_runs_shows_progress(self, hosts):
        driver = hosts.driver("hybrid_redis", "collected", "-i", 3000, "-n", 1)
        workers = hosts.workers("-n", 2)
        hosts.await_work(hosts.await_ranks(3))
        done = hosts.command("runs", "--redis-url", hosts.url)
        assert done.returncode == 0, done.stderr
        titles, row = re.split(r" {2,}", done.stdout.splitlines()[0]), done.stdout.splitlines()[1]
        run = dict(zip(titles, re.split(r" {2,}", row), strict=True))
        assert run["run"] == hosts.run_id()
        assert run["mapping"] == "hybrid_redis"
        assert run["driver"] == f"{socket.gethostname()}, process {driver.pid}"
        assert run["workers"] == "3"
        assert int(run["calls"]) > 0
        assert int(run["unfinished"]) > 0
        assert run["open to"] == "workers with its key"
        finish(hosts, driver, "collected", 3000)
        ended(workers, 0)
        done = hosts.command("runs", "--redis-url", hosts.url)
        assert done.stdout == f"no runs at {hosts.address}\n"
