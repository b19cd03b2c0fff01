"""Redis servers: found by option or environment, with a password, full, stopped or dead."""

import os
import signal
import threading
import time

import pytest

from d4py_conformance.subprocesses.reserved_ports import ReservedPort
from d4py_conformance.waiting import NEVER
from d4py_dynamic.store.redis.connections import server as redis_server
from d4py_dynamic.store.redis.connections.address import Address
from d4py_dynamic.store.redis.connections.client import connect
from d4py_dynamic.store.redis.keys import QUIESCENT_FIELD
from dispel4py.errors import ServiceError

WORKFLOW = """
    import flows
    from dispel4py import WorkflowGraph

    graph = WorkflowGraph()
    graph.connect(flows.Numbers(), "output", flows.Slow(0.01), "input")
"""


@pytest.fixture
def port(start_server):
    """Starts a server on a port of this machine; returns the port."""

    with ReservedPort() as port:

        def start(*options):
            start_server("--port", str(port.number), "--bind", "127.0.0.1", *options)
            return port.number

        yield start


@pytest.fixture
def dispel4py(command, write, temporary):
    """Runs the command with a small workflow; returns its status, output and error output."""
    write("wf.py", WORKFLOW)

    def run(*flags, count=3, **environment):
        servers = [*temporary.glob("d4py-*")]  # of the test's servers
        program = command(
            "hybrid_redis", "wf.py", "-q", "-n", 2, "-i", count, *flags, **environment
        )
        ended = program.end()
        assert program.members() == []
        assert [*temporary.glob("d4py-*")] == servers
        return ended

    return run


RESULTS = "Outputs: {'Slow1': {'output': [1, 2, 3]}}"


def printed(out):
    return "".join(sorted(out)) == "".join(sorted(RESULTS + "\n"))


class TestFinding:
    def test_a_private_server(self, dispel4py):
        status, out, err = dispel4py()
        assert (status, err) == (0, "")
        assert printed(out)

    def test_by_url_with_password_and_database(self, dispel4py, port):
        number = port("--requirepass", "s3cret")
        url = f"redis://:s3cret@127.0.0.1:{number}/7"
        status, out, err = dispel4py("--redis-url", url)
        assert (status, err) == (0, "")
        assert printed(out)

    def test_by_environment(self, dispel4py, port):
        number = port()
        status, out, err = dispel4py(REDIS_URL=f"redis://127.0.0.1:{number}")
        assert (status, err) == (0, "")
        assert printed(out)

    def test_by_host_and_port(self, dispel4py, port):
        status, out, _ = dispel4py("-ri", "127.0.0.1", "-rp", port())
        assert status == 0
        assert printed(out)

    @pytest.mark.parametrize(
        ("login", "cause"), [(":wrong@", "refused the user name"), ("", "refused the user name")]
    )
    def test_a_wrong_password(self, dispel4py, port, login, cause):
        number = port("--requirepass", "s3cret")
        url = f"redis://{login}127.0.0.1:{number}"
        status, out, err = dispel4py("--redis-url", url, "--reconnect", NEVER)
        assert (status, out) == (1, "")
        (line,) = err.splitlines()
        assert line.startswith(
            f"dispel4py: error: the Redis server at redis://127.0.0.1:{number} {cause}"
        )
        assert "wrong@" not in line

    @pytest.mark.parametrize("given", ["flag", "environment"])
    def test_a_server_that_does_not_answer(self, dispel4py, given):
        url = "redis://127.0.0.1:1"
        flags = ["--redis-url", url] if given == "flag" else []
        variables = {"REDIS_URL": url} if given == "environment" else {}
        status, out, err = dispel4py(*flags, "--reconnect", NEVER, **variables)
        assert (status, out) == (1, "")
        assert err.startswith(f"dispel4py: error: the Redis server at {url} does not answer: ")
        assert "Traceback" not in err

    def test_no_address_at_all(self, dispel4py):
        status, _, err = dispel4py("--redis-url", "localhost:6379")
        assert status == 2
        assert "'localhost:6379' is not the address of a Redis server" in err


class TestMidRun:
    """A failure of the server during an endless run fails the run."""

    @pytest.fixture
    def server(self, start_server):
        return start_server()

    @pytest.fixture
    def fails(self, execute, flows, chain):
        """Runs until something that is done at the first result fails the run."""

        def run(action, graph=None, **options):
            actions = [action]

            def at_first(*result):
                if actions:
                    actions.pop()()

            graph = graph or chain(flows.Numbers(), flows.Relay(), flows.Kept(), flows.Relay())
            tap = flows.Slow(0.001)
            graph.connect(graph.get_contained_objects()[0], "output", tap, "input")
            with pytest.raises(ServiceError) as caught:
                execute(graph, 10**9, 3, reconnect=0.5, on_result=at_first, **options)
            return str(caught.value)

        return run

    def test_a_server_that_is_killed(self, fails, server):
        message = fails(server.process.kill)
        assert f"server at {server.url} does not answer" in message

    def test_a_server_that_is_stopped(self, fails, server):
        url = f"{server.url}?socket_timeout=1"
        message = fails(lambda: server.process.send_signal(signal.SIGSTOP), redis_url=url)
        assert f"server at {server.url} does not answer" in message

    def test_a_server_that_is_shut_down(self, fails, server):
        def shut_down():
            with server.client() as client:
                client.shutdown(nosave=True)

        message = fails(shut_down)
        assert f"server at {server.url} does not answer" in message

    @pytest.mark.parametrize("what", ["everything", "counts", "results", "a stream", "replicas"])
    def test_a_server_that_loses_keys(self, fails, flows, chain, server, what, wait_until):
        def lose():
            with server.client() as client:
                if what == "everything":
                    client.flushall()
                    return
                name = {
                    "counts": "unfinished",
                    "results": "out",
                    "a stream": "pin:2:0",
                    "replicas": "replicas",
                }[what]
                wait_until(lambda: client.keys(f"*:{name}"), "the key")
                (key,) = client.keys(f"*:{name}")
                if what == "results":
                    # The read that is outstanding gets what comes next, and not what comes then.
                    for _ in range(2):
                        seen = client.xlen(key)
                        while client.xlen(key) <= seen:
                            pass
                client.delete(key)

        graph = chain(flows.Numbers(), flows.Replica(), flows.Kept(), flows.Relay())
        assert "has lost" in fails(lose, graph)
        with server.client() as client:
            assert client.keys("*") == []

    def test_a_server_that_evicts_keys(self, execute, flows, chain, start_server):
        server = start_server("--maxmemory", "8mb", "--maxmemory-policy", "allkeys-lru")
        graph = chain(flows.Blocks(1024), flows.Size(pause=2.0))
        with pytest.raises(ServiceError, match="has lost"):
            execute(graph, 50_000, 2, redis_url=server.url)

    def test_a_server_that_is_full(self, execute, flows, chain, start_server):
        server = start_server("--maxmemory", "8mb", "--maxmemory-policy", "noeviction")
        graph = chain(flows.Blocks(1024), flows.Size(pause=2.0))
        with pytest.raises(ServiceError, match=r"is out of memory .*; raise its maxmemory"):
            execute(graph, 50_000, 2, redis_url=server.url)
        assert server.keys() == []

    def test_the_private_server_is_killed(self, execute, flows, chain, temporary, monkeypatch):
        monkeypatch.setattr(redis_server, "DEFAULT_PORT", 1)
        monkeypatch.delenv("REDIS_URL", raising=False)

        killed = []

        def kill(*result):
            if not killed:
                (folder,) = temporary.iterdir()
                with connect(Address(f"unix://{folder}/redis.sock")) as client:
                    killed.append(client.info("server")["process_id"])
                os.kill(killed[0], signal.SIGKILL)

        graph = chain(flows.Numbers(), flows.Slow(0.001))
        with pytest.raises(ServiceError, match="does not answer"):
            execute(graph, 10**9, redis_url=None, on_result=kill)
        assert list(temporary.iterdir()) == []


class TestForeignEntries:
    """Entries of other programs in a run's streams are dropped and reported."""

    def test_foreign_entries_change_nothing(self, execute, flows, chain, server, tmp_path):
        stop = threading.Event()
        last = {}  # key of a stream → id of the last entry there

        def disturb():
            with server.client() as client:
                while not stop.is_set():
                    for key in client.keys("d4py:*"):
                        # More come when those before are dropped, however slow that is.
                        waiting = key in last and client.xrange(key, last[key], last[key])
                        if client.type(key) == b"stream" and not waiting:
                            client.xadd(key, {"d": b"x" * 40}, nomkstream=True)
                            last[key] = client.xadd(key, {QUIESCENT_FIELD: b"x"}, nomkstream=True)
                    time.sleep(0.01)

        other = threading.Thread(target=disturb)
        other.start()
        try:
            graph = chain(flows.Numbers(), flows.Slow(0.001), flows.Kept())
            result = execute(graph, 500, 3)
        finally:
            stop.set()
            other.join()
        assert result.outputs["Kept2"]["output"] == [[*range(1, 501)]]
        assert result.stats.notes
        assert all(note.startswith("dropped ") for note in result.stats.notes)
