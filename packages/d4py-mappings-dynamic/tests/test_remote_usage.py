"""Keys, versions and addresses with which a worker joins no run."""

import pickle
import re
import secrets
import signal
import socket

import pytest
from dynamic_helpers.remote_hosts import MARKER, PASSWORD, SECRET, Hosts, assert_exact
from dynamic_helpers.remote_runs import finish

from d4py_conformance.subprocesses.network_namespaces import ended
from d4py_conformance.waiting import NEVER, wait_until
from d4py_dynamic.store.redis.connections.address import Address
from d4py_dynamic.store.redis.connections.errors import RunGoneError
from d4py_dynamic.store.redis.keys import RunKeys
from d4py_dynamic.store.redis.run_store import RedisRunStore

#: A server that is lost is tried again all the time; one that never answered is not.
RETRIES = "--reconnect", NEVER


@pytest.fixture
def hosts():
    """Two hosts, both of which are this one."""
    made = Hosts()
    yield made
    made.stop()


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
