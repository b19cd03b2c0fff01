"""Remote workers that are killed, stopped or cut off, and drivers that die."""

import os
import re
import signal
import socket
import time

import pytest
from dynamic_helpers.remote_hosts import Hosts, assert_exact, children
from dynamic_helpers.remote_runs import finish

from d4py_conformance.subprocesses.network_namespaces import ended
from d4py_conformance.waiting import NEVER, wait_until
from d4py_dynamic.remote.remote_workers import RemoteWorkers
from d4py_dynamic.store.redis.connections.address import Address
from d4py_dynamic.store.redis.keys import RunKeys
from dispel4py.errors import ServiceError, WorkerLostError
from dispel4py.processes.workers.start_methods import Start

#: No worker is evicted because it sends no heartbeat, whatever a test waits for.
NO_LEASE = "--lease", NEVER


@pytest.fixture
def hosts():
    """Two hosts, both of which are this one."""
    made = Hosts()
    yield made
    made.stop()


@pytest.mark.slow
class TestDying:
    def test_c5_a_killed_worker_is_evicted_at_once(self, hosts):
        driver = hosts.driver("hybrid_redis", "collected", "-i", 2000, "-n", 0, *NO_LEASE)
        workers = hosts.workers("-n", 2)
        ranks = hosts.await_ranks(2)
        hosts.await_work(ranks)
        os.kill(children(workers)[0], signal.SIGKILL)
        wait_until(lambda: len(hosts.ranks() & ranks) == 1, "the eviction of the killed worker")
        err = finish(hosts, driver, "collected", 2000)
        assert f"killed by SIGKILL, on {socket.gethostname()}; other workers continued its" in err
        _, err = ended(workers, 0)
        assert "killed by SIGKILL" in err

    def test_c5_workers_whose_command_is_killed_are_evicted_at_once(self, hosts):
        driver = hosts.driver("hybrid_redis", "collected", "-i", 1000, "-n", 1, *NO_LEASE)
        workers = hosts.workers("-n", 2)
        hosts.await_work(hosts.await_ranks(3))
        workers.kill()
        hosts.await_ranks(1)
        err = finish(hosts, driver, "collected", 1000)
        assert "its parent was killed" in err
        ended(workers, -signal.SIGKILL)

    def test_c5_workers_that_join_continue_the_work_when_all_were_killed(self, hosts):
        driver = hosts.driver("hybrid_redis", "collected", "-i", 2000, "-n", 0)
        workers = hosts.workers("-n", 1)
        hosts.await_work(hosts.await_ranks(1))
        os.kill(children(workers)[0], signal.SIGKILL)
        ended(workers, 1)
        other = hosts.workers("-n", 1)
        hosts.await_work(hosts.await_ranks(1))
        finish(hosts, driver, "collected", 2000)
        ended(other, 0)

    def test_c5_the_loss_of_a_replica_fails_the_run(self, hosts):
        driver = hosts.driver("dyn_redis", "tallied", "-i", 1000, "-n", 1, *NO_LEASE)
        workers = hosts.workers("-n", 1)
        hosts.await_work(hosts.await_ranks(2))
        os.kill(children(workers)[0], signal.SIGKILL)
        _, err = ended(driver, 1)
        assert "killed by SIGKILL" in err
        assert "Tally2, with what its postprocess would have written" in err

    def test_c5_workers_of_a_host_that_vanishes_are_evicted_after_the_lease(self, hosts):
        driver = hosts.driver("hybrid_redis", "collected", "-i", 1000, "-n", 1, "--lease", 1.5)
        workers = hosts.workers("-n", 2)
        hosts.await_work(hosts.await_ranks(3))
        workers.send_to_all(signal.SIGKILL)
        hosts.await_ranks(1)
        err = finish(hosts, driver, "collected", 1000)
        assert len(re.findall(r"worker \d died: no heartbeat for \d s", err)) >= 2

    def test_c5_workers_that_are_killed_with_their_command_are_evicted_before_the_lease(
        self, hosts
    ):
        driver = hosts.driver("hybrid_redis", "collected", "-i", 1000, "-n", 1, *NO_LEASE)
        workers = hosts.workers("-n", 2)
        hosts.await_work(hosts.await_ranks(3))
        workers.send_to_all(signal.SIGKILL)
        wait_until(lambda: len(hosts.ranks()) == 1, "the eviction of both workers")
        hosts.open_gate()
        out, err = ended(driver, 0)
        assert_exact(out, "collected", 1000)
        assert "its connection to the server was closed" in err

    def test_c5_a_call_may_hold_the_gil_for_longer_than_the_lease(self, hosts):
        arguments = "hybrid_redis", "collected", "-i", 20, "-n", 0, "--lease", 1.2
        driver = hosts.driver(*arguments, HOLDS_LOCK_AT="3")
        workers = hosts.workers("-n", 1)
        err = finish(hosts, driver, "collected", 20)
        assert "no heartbeat" not in err
        ended(workers, 0)

    def test_c5_an_evicted_worker_that_continues_commits_nothing(self, hosts):
        driver = hosts.driver("hybrid_redis", "collected", "-i", 1000, "-n", 1, "--lease", 1.5)
        workers = hosts.workers("-n", 2)
        hosts.await_work(hosts.await_ranks(3))
        workers.send_to_all(signal.SIGSTOP)
        hosts.await_ranks(1)
        workers.send_to_all(signal.SIGCONT)
        _, err = ended(workers, 1)
        assert "the run has replaced it; other workers continue its work" in err
        finish(hosts, driver, "collected", 1000)

    def test_remote_workers_end_when_the_driver_is_dead_and_the_run_stays(self, hosts):
        driver = hosts.driver("hybrid_redis", "collected", "-i", 3000, "-n", 0, "--lease", 1.5)
        workers = hosts.workers("-n", 2)
        hosts.await_work(hosts.await_ranks(2))
        prefix = hosts.prefix()
        # Workers that leave save the instances that they have started; they start none for that.
        states = f"{prefix}:states"
        wait_until(lambda: hosts.client.hlen(states) == 4, "a state of each instance")
        before = hosts.client.hgetall(states)
        driver.kill()
        _, err = ended(workers, 1)
        assert f"process {driver.pid}) has sent no heartbeat for" in err
        assert "stays on the server" in err
        # All work in progress is there for a driver that resumes the run.
        after = hosts.client.hgetall(states)
        assert after.keys() == before.keys()
        assert any(after[pin] != state for pin, state in before.items())
        long_ago = int((time.time() - 60) * 1000)
        hosts.client.hset(f"{prefix}:members", "driver", long_ago)
        listed = hosts.command("runs", "--redis-url", hosts.url).stdout
        assert re.search(rf"process {driver.pid} \(no heartbeat for 6\d s\)", listed)

    def test_a_driver_whose_results_are_not_read_sends_heartbeats(self, hosts):
        driver = hosts.driver("dyn_redis", "plain", "-i", 9000, "-n", 0, "--output", "-")
        workers = hosts.workers("-n", 2)
        hosts.await_work(hosts.await_ranks(2))
        members, out = (f"{hosts.prefix()}:{name}" for name in ("members", "out"))
        hosts.open_gate()
        # Its standard output is not read, so it blocks when the pipe is full.
        for _ in range(3):
            seen = hosts.client.hget(members, "driver")
            wait_until(lambda n=seen: hosts.client.hget(members, "driver") != n, "a heartbeat")
        assert hosts.client.xlen(out) > 0
        lines, _ = ended(driver, 0)
        assert len(lines.splitlines()) == 9000
        ended(workers, 0)


class FailedProcesses:
    """Worker processes of which one has raised and another one was killed, between two checks."""

    pids = (11, 12)

    def __init__(self):
        self.failures = [ServiceError("gone"), WorkerLostError(1, 12, "killed by SIGKILL")]

    def join(self, seconds):
        return False

    def check(self):
        found, self.failures = self.failures, []
        return found

    def stop(self):
        pass

    def finishing(self, number):
        return []


class SentEvents(list):
    """The driver's side of a store, as far as remote workers use it."""

    def put(self, tasks, rank):
        pass

    def send_event(self, event):
        self.append((event.rank, event.drained))


def test_c5_a_worker_that_dies_while_another_one_fails_is_reported_as_lost(monkeypatch):
    keys, start = RunKeys("0a0b", ()), Start.of({})
    workers = RemoteWorkers(Address("redis://127.0.0.1:1"), keys, bytes(32), None, 9.0, 2, start)
    processes, sent = FailedProcesses(), SentEvents()

    def begin():
        workers._ranks, workers._pool, workers._store = [5, 6], processes, sent

    monkeypatch.setattr(workers, "_start", begin)
    monkeypatch.setattr(workers, "_has_another_driver", lambda: False)
    with pytest.raises(ServiceError, match="gone"):
        workers.serve()
    assert sent == [(6, False), (5, True)]
