"""Remote workers that join a run: the real commands, most on this host's loopback."""

import os
import pickle
import re
import secrets
import signal
import socket
import time

import pytest
from dynamic_helpers.remote_hosts import (
    MARKER,
    PASSWORD,
    SECRET,
    Hosts,
    assert_exact,
    children,
    fetched,
)

from d4py_conformance.subprocesses.network_namespaces import (
    CABLE,
    ended,
    ip,
    silent_cable,
    slow_down,
    two_namespaces,
)
from d4py_conformance.waiting import LIMIT, NEVER, wait_until
from d4py_dynamic.remote.remote_workers import RemoteWorkers
from d4py_dynamic.store.redis.address import Address
from d4py_dynamic.store.redis.errors import RunGoneError
from d4py_dynamic.store.redis.keys import RunKeys
from d4py_dynamic.store.redis.run_store import RedisRunStore
from dispel4py.errors import ServiceError, WorkerLostError
from dispel4py.processes.start_methods import Start

#: No worker is evicted because it sends no heartbeat, whatever a test waits for.
NO_LEASE = "--lease", NEVER
#: A server that is lost is tried again all the time; one that never answered is not.
RETRIES = "--reconnect", NEVER

MAPPINGS = [
    ("dyn_redis", "plain"),
    ("dyn_redis", "tallied"),
    ("dyn_auto_redis", "tallied"),
    ("hybrid_redis", "collected"),
]


@pytest.fixture
def hosts():
    """Two hosts, both of which are this one."""
    made = Hosts()
    yield made
    made.stop()


def finish(hosts, driver, graph, count):
    """Let the run end, check its results, and return what the driver has logged."""
    hosts.open_gate()
    out, err = ended(driver, 0)
    assert_exact(out, graph, count)
    wait_until(lambda: not hosts.client.keys(), "the deletion of all keys")
    return err


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


class TestOtherKeys:
    def test_a_worker_with_another_key_neither_reads_nor_writes(self, hosts):
        driver = hosts.driver("dyn_redis", "plain", "-i", 1, "-n", 0)
        prefix = hosts.prefix()

        def stored():
            heartbeats = f"{prefix}:members".encode()
            return {key: value for key, value in hosts.values().items() if key != heartbeats}

        wait_until(lambda: hosts.client.exists(f"{prefix}:watched"), "the start of the run")
        before = stored()
        done = hosts.command("worker", "--redis-url", hosts.url, D4PY_KEY=secrets.token_urlsafe(32))
        assert done.returncode == 2, done.stderr
        assert "this is not the key of run" in done.stderr
        assert stored() == before
        workers = hosts.workers("-n", 1)
        finish(hosts, driver, "plain", 1)
        ended(workers, 0)

    def test_a_run_without_a_key_cannot_be_joined(self, hosts):
        driver = hosts.driver("dyn_redis", "plain", "-i", 3000, "-n", 1, D4PY_KEY="")
        run_id = hosts.run_id()
        done = hosts.command("worker", "--redis-url", hosts.url, "--run", run_id, D4PY_KEY=SECRET)
        assert done.returncode == 2, done.stderr
        assert f"run {run_id} was started without a key" in done.stderr
        done = hosts.command("worker", "--redis-url", hosts.url, D4PY_KEY=SECRET)
        assert done.returncode == 1, done.stderr
        assert "there is no run to join" in done.stderr
        finish(hosts, driver, "plain", 3000)

    def test_nothing_is_stored_as_plain_text(self, hosts):
        driver = hosts.driver("hybrid_redis", "collected", "-i", 3000, "-n", 0)
        workers = hosts.workers("-n", 2)
        hosts.await_work(hosts.await_ranks(2))
        workers.send_signal(signal.SIGSTOP)  # so that the results stay
        driver.send_signal(signal.SIGSTOP)
        kinds = {key.split(b":")[2] for key in hosts.values() if key.count(b":") > 1}
        assert kinds >= {b"states", b"positions", b"spec", b"info", b"pin", b"inbox"}
        for key, value in hosts.values().items():
            for word in (MARKER, "Middle", "Collect", "dispel4py.", "wf.py", SECRET):
                assert word not in value, key
        for process in driver, workers:
            process.send_signal(signal.SIGCONT)
        finish(hosts, driver, "collected", 3000)
        ended(workers, 0)

    def test_foreign_bytes_are_dropped_and_reported_and_never_unpickled(self, hosts):
        driver = hosts.driver("hybrid_redis", "collected", "-i", 3000, "-n", 0)
        workers = hosts.workers("-n", 2)
        ranks = hosts.await_ranks(2)
        hosts.await_work(ranks)
        prefix = hosts.prefix()
        trace = hosts.folder / "unpickled"
        foreign_bytes = pickle.dumps(Bomb(str(trace)))
        streams = [f"{prefix}:{name}" for name in ("shared", "pin:2:0", "out")]
        streams += [f"{prefix}:inbox:{rank}" for rank in ranks]
        for stream in streams:
            hosts.client.xadd(stream, {"d": foreign_bytes, "p": 1, "n": "x", "r": "x"})
        err = finish(hosts, driver, "collected", 3000)
        ended(workers, 0)
        for stream in streams:
            assert f"dropped {len(foreign_bytes)} foreign bytes at {stream}" in err
        assert not trace.exists()


class Bomb:
    """An object whose unpickling makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.slow
class TestWrongUse:
    def test_a_run_that_does_not_exist_is_an_error(self, hosts):
        done = hosts.command("worker", "--redis-url", hosts.url, "--run", "0a0b", D4PY_KEY=SECRET)
        assert done.returncode == 1
        assert f"there is no run 0a0b at {hosts.address}" in done.stderr

    def test_one_of_several_runs_has_to_be_named(self, hosts):
        drivers = [hosts.driver("dyn_redis", "plain", "-i", 1, "-n", 0) for _ in range(2)]
        wait_until(lambda: hosts.client.scard("d4py:runs") == 2, "the start of both runs")
        wait_until(lambda: len(hosts.client.keys("*:spec")) == 2, "both runs to be open")
        names = {name.decode() for name in hosts.client.smembers("d4py:runs")}
        done = hosts.command("worker", "--redis-url", hosts.url)
        assert done.returncode == 2
        assert "several runs are open; choose one by --run" in done.stderr
        assert all(name in done.stderr for name in names)
        for name in names:
            ended(hosts.workers("--run", name, "-n", 1), 0)
        for driver in drivers:
            ended(driver, 0)

    def test_a_run_with_another_key_is_not_found(self, hosts):
        keys = {mapping: secrets.token_urlsafe(32) for mapping in ("dyn_redis", "hybrid_redis")}
        drivers = [
            hosts.driver(mapping, "plain", "-i", 1, "-n", 0, D4PY_KEY=key)
            for mapping, key in keys.items()
        ]
        wait_until(lambda: len(hosts.client.keys("*:spec")) == 2, "both runs to be open")
        done = hosts.command("worker", "--redis-url", hosts.url)
        assert done.returncode == 2
        assert re.search(r"this is not the key of run \w+, \w+ ", done.stderr)
        for driver, key in zip(drivers, keys.values(), strict=True):
            ended(hosts.workers("-n", 1, D4PY_KEY=key), 0)
            ended(driver, 0)

    def test_other_versions_are_refused(self, hosts):
        driver = hosts.driver("dyn_redis", "plain", "-i", 1, "-n", 0)
        info = f"{hosts.prefix()}:info"
        wait_until(lambda: hosts.client.hget(info, "open") == b"1", "the run to be open")
        versions = hosts.client.hget(info, "versions")
        hosts.client.hset(info, "versions", "Python 2.7")
        done = hosts.command("worker", "--redis-url", hosts.url)
        assert done.returncode == 2
        assert f"the run is on Python 2.7, and this is {versions.decode()}" in done.stderr
        assert hosts.ranks() == set()
        driver.send_signal(signal.SIGINT)
        ended(driver, 130)

    @pytest.mark.parametrize(
        ("key", "mode", "message"),
        [
            ("short", 0o600, "has 5 characters; it must have at least 32"),
            (SECRET, 0o644, "others can read"),
        ],
        ids=["short", "readable"],
    )
    @pytest.mark.parametrize("command", ["worker", "dyn_redis"])
    def test_an_invalid_key_file_is_an_error(self, hosts, command, key, mode, message):
        path = hosts.folder / "key"
        path.write_text(key)
        path.chmod(mode)
        workflow = [hosts.folder / "here" / "wf.py", "-a", "plain"]
        options = ["--redis-url", hosts.url, "--key-file", path]
        done = hosts.command(command, *(workflow if command == "dyn_redis" else []), *options)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
        assert not hosts.client.keys()

    def test_a_missing_key_file_is_an_error(self, hosts):
        path = hosts.folder / "key"
        done = hosts.command("worker", "--redis-url", hosts.url, "--key-file", path)
        assert done.returncode == 2
        assert f"there is no file {path} (--key-file)" in done.stderr

    def test_a_missing_key_is_an_error(self, hosts):
        done = hosts.command("worker", "--redis-url", hosts.url, D4PY_KEY="")
        assert done.returncode == 2
        assert "the run's key is missing: set D4PY_KEY or use --key-file" in done.stderr

    @pytest.mark.parametrize("command", ["worker", "runs"])
    def test_a_server_that_does_not_answer_is_an_error(self, hosts, command):
        done = hosts.command(command, "--redis-url", "redis://127.0.0.1:1", *RETRIES)
        assert done.returncode == 1
        assert "the Redis server at redis://127.0.0.1:1 does not answer" in done.stderr

    @pytest.mark.parametrize("command", ["worker", "runs"])
    def test_a_wrong_password_is_an_error(self, hosts, command):
        url = hosts.url.replace(PASSWORD, "open sesame")
        done = hosts.command(command, "--redis-url", url, *RETRIES)
        assert done.returncode == 1
        assert f"the Redis server at {hosts.address} refused the user name or pass" in done.stderr
        assert "sesame" not in done.stderr

    def test_a_run_that_has_ended_cannot_be_joined_and_is_not_created_again(self, hosts):
        keys = RunKeys("0a0b", ())
        store = RedisRunStore(Address(hosts.url), keys, bytes(32))
        with pytest.raises(RunGoneError):
            store.join()
        store.create("dyn_redis")
        assert store.join() == 0
        store.delete()
        with pytest.raises(RunGoneError):
            store.join()
        assert not hosts.client.keys()

    @pytest.mark.parametrize("options", [["-n", 0], ["--key-file", "run.key"]])
    def test_the_private_server_of_a_run_cannot_be_joined(self, hosts, options):
        done = self.run_without_a_server(hosts, *options)
        assert done.returncode == 2
        assert "workers cannot join a run on its private Redis server" in done.stderr
        assert not (hosts.folder / "there" / "run.key").exists()

    def test_a_key_in_the_environment_alone_does_not_ask_for_remote_workers(self, hosts):
        hosts.open_gate()
        done = self.run_without_a_server(hosts, "-i", 10)
        assert done.returncode == 0, done.stderr
        assert_exact(done.stdout, "plain", 10)
        assert "workers can join" not in done.stderr

    def run_without_a_server(self, hosts, *options):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", 6379)) == 0:
                pytest.skip("there is a server on this machine")
        workflow = hosts.folder / "here" / "wf.py"
        return hosts.command("dyn_redis", workflow, "-a", "plain", *options, REDIS_URL="")


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
