"""C5: what a server is sent twice has its effect once, and what was not delivered has none."""

import hashlib
import os
import signal
import socket
import threading
from urllib.parse import urlsplit

import pytest
import redis
from dynamic_helpers.remote_hosts import PASSWORD, Hosts, assert_exact
from dynamic_helpers.repeating_proxy import RepeatingProxy

from d4py_conformance.subprocesses.network_namespaces import ended
from d4py_conformance.waiting import wait_until
from d4py_dynamic.store.redis.connections.address import Address
from d4py_dynamic.store.redis.connections.client import connect
from d4py_dynamic.store.redis.scripts import load_script

COUNT = 60
#: A machine that is slow may need more time to connect than a run has by default.
PATIENT = ("--reconnect", 30)
#: What each run here sends: scripts, and other commands that change something.
SCRIPTS = {
    *("acknowledge", "audit", "commit", "delete_run", "evict_worker", "heartbeat", "join", "put"),
    *("send_event", "took", "verify"),
}
OTHERS = {"HSET", "MULTI", "SADD", "SET", "XREAD", "XREADGROUP"}


@pytest.fixture
def hosts():
    made = Hosts()
    yield made
    made.stop()


@pytest.fixture
def proxy(hosts):
    """A proxy between all processes of the run and the server."""
    made = RepeatingProxy(urlsplit(hosts.url).port)
    hosts.url = f"redis://:{PASSWORD}@127.0.0.1:{made.port}"
    yield made
    made.close()


def repeated(proxy, *more):
    """Return the commands, and the names of the scripts, that were executed twice."""
    names = {}
    for name in SCRIPTS.union(more):
        for beginning in (["common"], ["common", "idempotent"]):
            source = "".join(map(load_script, [*beginning, name]))
            names[hashlib.sha1(source.encode()).hexdigest().encode()] = name
    return {names.get(argument, command.decode()) for command, argument in proxy.repeated}


def assert_exact_end(hosts, driver, graph):
    hosts.open_gate()
    out, _ = ended(driver, 0)
    assert_exact(out, graph, COUNT)
    assert not hosts.client.keys()


def test_c5_a_run_is_exact_whose_commands_are_all_executed_twice(hosts, proxy):
    driver = hosts.driver("dyn_redis", "plain", "-i", COUNT, "-n", 1, *PATIENT)
    workers = hosts.workers("-n", 1, *PATIENT)
    hosts.await_work(hosts.await_ranks(2))
    assert_exact_end(hosts, driver, "plain")
    ended(workers, 0)
    assert repeated(proxy) >= SCRIPTS | OTHERS


def test_c5_h2_a_resumed_run_is_exact_whose_commands_are_all_executed_twice(hosts, proxy):
    driver = hosts.driver(
        "hybrid_redis", "collected", "-i", COUNT, "-n", 1, "--resumable", *PATIENT
    )
    hosts.await_work(hosts.await_ranks(1))
    os.kill(driver.pid, signal.SIGKILL)
    driver = hosts.resume(*PATIENT)
    wait_until(lambda: min(hosts.ranks(), default=0) >= 1, "workers of the new driver")
    assert_exact_end(hosts, driver, "collected")
    more = {"adopt", "take_over"}
    assert repeated(proxy, *more) >= SCRIPTS | OTHERS | more


def test_c5_what_a_broken_connection_has_not_delivered_is_discarded():
    """A system would else go on sending it, and a server execute it after newer commands."""
    value = bytes(16 << 20)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = Address(f"redis://127.0.0.1:{listener.getsockname()[1]}?protocol=2")
        with connect(address, 0.2) as client:
            thread = threading.Thread(target=refused, args=(client, value))
            thread.start()
            server, _ = listener.accept()
            server.sendall(b"+OK\r\n" * 2)  # to CLIENT SETINFO
            thread.join()
        with server, pytest.raises(ConnectionResetError):
            read_to_end(server)


def read_to_end(connection):
    while connection.recv(1 << 20):
        pass


def refused(client, value):
    with pytest.raises(redis.TimeoutError):
        client.set("a", value)
