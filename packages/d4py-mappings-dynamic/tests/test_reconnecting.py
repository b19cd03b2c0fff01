"""Broken connections and restarted servers: nothing is lost, nothing is processed twice."""

import itertools
import os
import socket
import threading
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
import redis
from dynamic_helpers.breaking_proxy import BreakingProxy
from dynamic_helpers.disturbed_runs import CALLS, Disturber, make_graph, model

from d4py_conformance.expected.compare import assert_outputs
from d4py_conformance.waiting import LIMIT, NEVER
from d4py_dynamic.store.redis.connections import client as client_module
from d4py_dynamic.store.redis.connections import retry as retry_module
from d4py_dynamic.store.redis.connections.address import Address
from d4py_dynamic.store.redis.connections.client import broken_connections, connect
from d4py_dynamic.store.redis.connections.errors import service_errors
from d4py_dynamic.store.redis.connections.retry import BreakLimit, RetryUntilDeadline
from d4py_dynamic.store.redis.connections.server import find_server
from d4py_dynamic.store.redis.connections.waiting_socket import is_to_this_host, local_process
from d4py_dynamic.store.redis.keys import RunKeys
from d4py_dynamic.store.redis.run_store import RedisRunStore
from d4py_dynamic.store.redis.scripts import IdempotentScripts, ScriptRequest
from dispel4py import run
from dispel4py.engine.planning.plan import make_plan
from dispel4py.errors import ServiceError


def test_c5_broken_connections_are_made_again(server):
    """Each cut hits all connections, whatever they were about."""
    with server.client() as client:

        def cut():
            client.client_kill_filter(_type="normal", skipme=True)

        killer = Disturber(60, cut)
        run(make_graph(), "hybrid_redis", CALLS, 3, redis_url=server.url, on_result=killer)
    assert killer.disturbed >= 10
    assert_outputs(killer.outputs, model())


def test_c5_a_run_survives_a_restart_of_the_server(start_server):
    server = start_server("--appendonly", "yes", "--appendfsync", "always")
    restarter = Disturber(400, server.restart)
    run(
        make_graph(), "hybrid_redis", CALLS, 3,
        redis_url=server.url, on_result=restarter, reconnect=NEVER,
    )  # fmt: skip
    assert restarter.disturbed == 3
    assert_outputs(restarter.outputs, model())
    with server.client() as client:
        assert client.keys() == []


def test_c5_a_run_survives_a_server_that_stops_for_longer_than_a_timeout(server):
    """As it does while it forks for a snapshot, or while its virtual machine is moved."""
    stopper = Disturber(700, partial(server.stand_still, 1.8))
    url = f"{server.url}?socket_timeout=1.5"
    run(
        make_graph(), "hybrid_redis", CALLS, 3, redis_url=url, on_result=stopper, reconnect=NEVER
    )  # fmt: skip
    assert stopper.disturbed == 1
    assert_outputs(stopper.outputs, model())


def test_c5_a_server_that_comes_back_empty_ends_the_run(start_server):
    server = start_server()
    restarter = Disturber(400, server.restart)
    with pytest.raises(ServiceError, match=r"has lost|has forgotten"):
        run(
            make_graph(), "hybrid_redis", CALLS, 3,
            redis_url=server.url, on_result=restarter, reconnect=NEVER,
        )  # fmt: skip
    with server.client() as client:
        assert client.keys() == []


class TestIdempotentScripts:
    @pytest.fixture
    def scripts(self, server):
        with server.client() as client:
            client.hset("d4py:{x}:unfinished", "intact", 1)
            client.hset("d4py:{x}:answers", "intact", 1)
            yield IdempotentScripts(client, "d4py:{x}", "a caller")
            client.flushall()

    @pytest.fixture
    def join(self, scripts):
        return lambda driver_id="": scripts("join", ScriptRequest(driver_id=driver_id))

    def test_c5_a_call_that_is_sent_again_has_its_answer_and_no_other_effect(self, scripts, join):
        ranks = [join(), join()]
        scripts._number -= 1
        assert [*ranks, join(), join()] == [0, 1, 1, 2]
        assert scripts._client.hlen("d4py:{x}:members") == 3

    def test_i4_a_log_line_that_is_sent_again_is_there_once(self, scripts):
        def send(line):
            request = ScriptRequest()
            request.set("event", request.value(line))
            scripts("send_event", request)

        scripts._client.xgroup_create("d4py:{x}:out", "workers", mkstream=True)
        send(b"a line")
        scripts._number -= 1
        send(b"a line")
        send(b"another line")
        lines = [fields[b"d"] for _, fields in scripts._client.xrange("d4py:{x}:out")]
        assert lines == [b"a line", b"another line"]

    def test_c5_a_server_that_has_forgotten_a_call_is_detected(self, scripts, join, server):
        join()
        scripts._client.hdel("d4py:{x}:answers", "a caller")
        text = "needs 'appendfsync always'"
        with pytest.raises(ServiceError, match=text), service_errors(Address(server.url)):
            join()

    def test_c5_answers_that_were_evicted_are_no_older_state(self, scripts, join, server):
        join()
        scripts._client.delete("d4py:{x}:answers")
        text = r"they were deleted or evicted \(GONE d4py:\{x\}:answers"
        with pytest.raises(ServiceError, match=text), service_errors(Address(server.url)):
            join()

    @pytest.mark.parametrize("text", ["GONE d4py:{x}:answers", "NOGROUP No such key", "LOST lease"])
    def test_c5_a_server_that_may_be_another_lacks_keys_for_either_reason(self, text):
        address = Address("redis+sentinel://localhost/primary")
        both = rf"\({text}\), or failed over, during the run, to a server that lacks what it had"
        with pytest.raises(ServiceError, match=both), service_errors(address):
            raise redis.ResponseError(text)

    @pytest.mark.parametrize(
        ("largest", "advice"),
        [
            (None, "if it uses TLS, its URL begins with rediss://"),
            (1 << 20, "look in its log for why it ended the connection"),
        ],
    )
    def test_a_server_that_has_answered_is_not_said_to_use_tls(self, largest, advice):
        address = Address("redis://localhost", largest=largest)
        with pytest.raises(ServiceError, match=advice), service_errors(address):
            raise redis.ConnectionError("Connection closed by server.")

    @pytest.mark.parametrize(("driver_id", "is_kept"), [("mine", True), ("replaced", False)])
    def test_c8_events_of_a_driver_that_was_replaced_are_not_kept(
        self, scripts, driver_id, is_kept
    ):
        scripts._client.hset("d4py:{x}:info", "driver", "mine")
        request = ScriptRequest(driver_id=driver_id, kept=9)
        request.set("events", request.value(b"sealed"))
        assert scripts("publish", request) == is_kept
        assert scripts._client.exists("d4py:{x}:events") == is_kept

    def test_a_call_that_was_refused_does_not_count(self, scripts, join):
        scripts._client.hset("d4py:{x}:info", "driver", "another")
        with pytest.raises(redis.ResponseError, match="LOST driver"):
            join("mine")
        assert join("another") == 0


class Clock:
    """The clock of retries, which a pause moves on."""

    now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class TestRetryUntilDeadline:
    @pytest.fixture
    def clock(self, monkeypatch):
        clock = Clock()
        for name in "monotonic", "sleep":
            monkeypatch.setattr(retry_module, name, getattr(clock, name))
        return clock

    def tried(self, seconds, error):
        retry, failures = RetryUntilDeadline(seconds), []

        def fail():
            raise error

        with pytest.raises(type(error)):
            retry.call_with_retry(fail, failures.append)
        assert len(failures) == retry.broken
        return retry.broken

    def test_without_retries_there_is_one_try(self):
        assert self.tried(0.0, redis.ConnectionError()) == 1

    def test_there_are_retries_until_the_deadline(self, clock):
        assert self.tried(60.0, redis.ConnectionError()) > 100
        assert 60.0 <= clock.now < 60.5

    def test_the_deadline_starts_with_the_first_failure(self, clock):
        retry, tries = RetryUntilDeadline(60.0), []

        def fail_late_once():
            tries.append(clock.now)
            if len(tries) == 1:
                clock.sleep(70.0)
                raise redis.TimeoutError
            return "an answer"

        assert retry.call_with_retry(fail_late_once, lambda error: None) == "an answer"

    def test_timeouts_of_retries_end_at_the_deadline(self, clock):
        retry, limits = RetryUntilDeadline(0.2), []

        def fail():
            limits.append(retry.limit(3.0))
            raise redis.ConnectionError

        with pytest.raises(redis.ConnectionError):
            retry.call_with_retry(fail, lambda error: None)
        assert limits[0] == 3.0
        assert all(0 < limit <= 0.2 for limit in limits[1:])
        assert retry.limit(3.0) == 3.0

    def test_a_wrong_password_is_not_retried(self):
        assert self.tried(5.0, redis.AuthenticationError()) == 1

    def test_a_command_whose_connection_breaks_is_sent_again(self, server, wait_until):
        address = Address(server.url, reconnect_seconds=NEVER)
        with connect(address, NEVER) as client, server.client() as other:
            thread = threading.Thread(target=client.blpop, args=("list", 0), daemon=True)
            thread.start()
            wait_until(lambda: other.info("clients")["blocked_clients"], "waiting")
            other.client_kill_filter(_type="normal", skipme=True)
            other.rpush("list", "an answer")
            thread.join(LIMIT)
            assert broken_connections(client) == 1

    def test_a_connection_that_broke_while_it_was_idle_is_made_again(self, start_server):
        server = start_server()
        address = Address(server.url, reconnect_seconds=NEVER)
        with connect(address) as client:
            client.ping()
            restarted = threading.Timer(0.0, server.restart)
            server.kill()
            restarted.start()
            # The pool finds the connection broken before the command is sent.
            assert client.ping()
            restarted.join()

    def test_a_connection_that_breaks_twice_before_a_command_is_made_again(self):
        def serve():
            for answer in (b"+PONG\r\n", b"", b"+PONG\r\n"):
                connection, _ = listener.accept()
                with connection:
                    left = 2  # CLIENT SETINFO with a name, and with a version
                    while left:
                        count = connection.recv(1 << 10).count(b"SETINFO")
                        connection.sendall(b"+OK\r\n" * count)
                        left -= count
                    while answer and b"PING" not in connection.recv(1 << 10):
                        pass
                    connection.sendall(answer)

        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=serve)
            thread.start()
            url = f"redis://127.0.0.1:{listener.getsockname()[1]}?protocol=2"
            with connect(Address(url, reconnect_seconds=5.0)) as client:
                assert [client.ping(), client.ping()] == [True, True]
            thread.join()

    def test_the_answer_to_a_large_command_has_a_longer_timeout(self, server, monkeypatch):
        monkeypatch.setattr(client_module, "_BYTES_PER_SECOND", 1 << 15)
        with connect(Address(server.url), 0.5) as client, server.client() as other:
            client.ping()
            server.stand_still(0.8)
            client.set("large", bytes(32 << 20))  # for which there are 1024 seconds more
            with server.stopped(), pytest.raises(redis.TimeoutError):
                client.set("small", b"")
            other.flushall()


class TestConnectionsThatKeepBreaking:
    """Each is made again in time, so that no single command fails."""

    @pytest.fixture(autouse=True)
    def clock(self, monkeypatch):
        """A clock of retries by which a hundred looks at it take as long as `--reconnect`."""
        times = itertools.count(step=LIMIT / 100)
        monkeypatch.setattr(retry_module, "monotonic", lambda: next(times))

    @pytest.fixture
    def driver_behind(self, server):
        """Makes the driver's side of a run's store, behind a proxy that breaks connections."""
        plan, keys, secret = make_plan(make_graph()), RunKeys("a1b2", ()), bytes(32)
        made = RedisRunStore(server.address, keys, secret, plan)
        made.create("a test")
        with ExitStack() as stack:
            stack.callback(made.delete)

            def driver_behind(breaks):
                proxy = BreakingProxy(server.url.removeprefix("unix://"), breaks)
                stack.callback(proxy.close)
                address = Address(f"redis://127.0.0.1:{proxy.port}", reconnect_seconds=LIMIT)
                driver = RedisRunStore(address, keys, secret, plan)
                stack.callback(driver.close)
                return driver

            yield driver_behind

    def test_c5_results_are_counted_for_as_long_as_reconnect_says(self, driver_behind):
        driver = driver_behind(lambda count, names: count > 0)
        with self.error():
            driver.missing_results()

    @pytest.mark.parametrize("seconds", [0.0, 0.01])
    def test_c5_events_are_read_for_as_long_as_reconnect_says(self, driver_behind, seconds):
        driver = driver_behind(lambda count, names: b"XREAD" in names)
        with self.error():
            while driver.events(seconds) == []:
                pass

    def error(self):
        text = f"made again, and broken again, for {LIMIT:g} seconds"
        return pytest.raises(ServiceError, match=text)


class TestBreakLimit:
    @pytest.fixture
    def break_at(self, monkeypatch):
        """Notes breaks at some times, of connections that have 2 s."""

        def break_at(*times):
            left = iter(times)
            monkeypatch.setattr(retry_module, "monotonic", lambda: next(left))
            breaks = BreakLimit(2.0)
            for _ in times:
                breaks.note_break()

        return break_at

    def test_breaks_in_quick_succession_come_to_an_end(self, break_at):
        break_at(0.0, 1.5)
        with pytest.raises(redis.ConnectionError, match="for 2 seconds"):
            break_at(0.0, 1.5, 3.0)

    def test_breaks_that_are_far_apart_do_not(self, break_at):
        break_at(0.0, 2.5, 5.0, 7.5)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at /proc")
class TestLocalServer:
    @pytest.fixture
    def address(self, server):
        """As a run finds it."""
        with find_server({"redis_url": server.url, "reconnect": 0.0}) as address:
            yield address

    @pytest.fixture
    def busy(self, server, address):
        """Keeps the server busy for half a second, or more where others want the core."""
        # Its clock stands still in a script, and not every server has `os` there.
        script = "for i = 1, 1e8 do end"
        with server.client() as client:
            client.config_set("lua-time-limit", 0)  # so that it says nothing meanwhile
            connection = client.connection_pool.get_connection()
            connection.send_command("EVAL", script, 0)  # it comes before all that is sent later
            yield
            connection.read_response()
            client.connection_pool.release(connection)
            client.config_set("lua-time-limit", 5000)

    @pytest.mark.usefixtures("busy")
    def test_c5_a_busy_local_server_is_waited_for(self, address):
        with connect(address, 0.2) as client:
            assert client.ping()

    @pytest.mark.usefixtures("busy")
    def test_a_busy_remote_server_is_not_waited_for(self, address):
        with (
            connect(address._replace(process=None), 0.2) as client,
            pytest.raises(redis.TimeoutError),
        ):
            client.ping()

    def test_a_stopped_local_server_is_not_waited_for(self, address, server):
        with connect(address, 0.2) as client:
            client.ping()
            with server.stopped(), pytest.raises(redis.TimeoutError):
                client.ping()

    def test_large_values_are_sent_and_received(self, address):
        data = bytes(range(256)) * 40_000
        with connect(address) as client:
            client.set("large", data)
            assert client.get("large") == data
            client.delete("large")

    @pytest.mark.parametrize(("source", "is_same"), [("127.0.0.1", True), ("127.0.0.2", False)])
    def test_a_connection_to_another_address_may_leave_this_host(self, source, is_same):
        with (
            socket.create_server(("127.0.0.1", 0)) as listener,
            socket.create_connection(listener.getsockname(), source_address=(source, 0)) as made,
        ):
            assert is_to_this_host(made) is is_same

    def test_a_process_of_another_program_is_not_the_server(self):
        assert (
            local_process({"process_id": os.getpid(), "executable": "/bin/valkey-server"}) is None
        )
        assert local_process({"process_id": 1 << 30, "executable": "/bin/valkey-server"}) is None
        assert local_process({}) is None
