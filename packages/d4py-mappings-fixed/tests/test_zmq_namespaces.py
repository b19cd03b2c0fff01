"""`zmq_multi` on two hosts: network namespaces that share a cable."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from fixed_helpers.zmq_hosts import SECRET, Hosts, results

from d4py_conformance.subprocesses.network_namespaces import (
    ended,
    in_namespace,
    ip,
    silent_cable,
    slow_down,
    two_namespaces,
)
from d4py_conformance.waiting import LIMIT

pytest.importorskip("zmq")


@pytest.fixture
def namespaces():
    with two_namespaces() as names:
        yield names


@pytest.fixture
def two_hosts(host_folder, namespaces):
    """Two hosts that share a cable, and a disk for the sake of the tests."""
    made = Hosts(host_folder, "192.0.2.1", [in_namespace(name) for name in namespaces])
    yield made
    made.stop()


#: Records in a file the data on the cable, until its standard input ends.
LISTENER = """
import socket, sys, threading
cable = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
cable.bind(("cable", 0))
cable.settimeout(0.1)
print("ready", flush=True)
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
with open(sys.argv[1], "wb") as file:
    while not ended.is_set():
        try:
            file.write(cable.recv(70_000))
        except TimeoutError:
            pass
"""


class TestNamespaces:
    def test_data_on_the_cable_cannot_be_read(self, two_hosts, namespaces, host_folder):
        listener = subprocess.Popen(
            [
                *in_namespace(namespaces[1]),
                sys.executable,
                "-c",
                LISTENER,
                host_folder / "recorded",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert listener.stdout.readline() == b"ready\n"
        # First and Middle here, both instances of Count there.
        driver = two_hosts.driver("-i", 10_000, "-n", 4, "--local", 2)
        agent = two_hosts.agent("-n", 2)
        out, _ = ended(driver, 0)
        assert results(out) == {f"marker-on-the-wire {n}: 1000" for n in range(10)}
        ended(agent, 0)
        listener.communicate(timeout=LIMIT)
        recorded = (host_folder / "recorded").read_bytes()
        assert len(recorded) > 20_000
        for word in (b"marker", b"on-the-wire", b"Middle", b"pickle", SECRET.encode()):
            assert word not in recorded

    @pytest.mark.slow
    def test_m1_a_slow_cable_that_loses_packets_and_is_silent_for_a_while_changes_nothing(
        self, two_hosts, namespaces
    ):
        slow_down(namespaces)
        driver = two_hosts.driver("-i", 2000, "-n", 4, "--local", 2, PAUSE="0.001")
        agent = two_hosts.agent("-n", 2)
        two_hosts.pids()
        with silent_cable(namespaces):
            time.sleep(4)  # less than it takes a host to count as lost
        out, _ = ended(driver, 0)
        assert results(out) == {f"marker-on-the-wire {n}: 200" for n in range(10)}
        ended(agent, 0)

    @pytest.mark.slow
    def test_c5_a_silent_cable_ends_the_run_on_both_sides(self, two_hosts, namespaces):
        driver = two_hosts.driver("-i", 1_000_000, "-n", 4, "--local", 2, PAUSE="0.01")
        agent = two_hosts.agent("-n", 2)
        two_hosts.pids()
        with silent_cable(namespaces):
            _, err = ended(driver, 1)
            assert "lost host" in err
            _, err = ended(agent, 1)
            assert "lost the connection to the driver at tcp://192.0.2.1" in err

    @pytest.mark.slow
    def test_c5_a_cut_cable_ends_the_run_on_both_sides(self, two_hosts, namespaces):
        driver = two_hosts.driver("-i", 1_000_000, "-n", 4, "--local", 2, PAUSE="0.01")
        agent = two_hosts.agent("-n", 2)
        two_hosts.pids()
        ip("-n", namespaces[0], "link", "set", "cable", "down")
        _, err = ended(driver, 1)
        assert "lost host" in err
        assert "it ran Count2 (instance 0), Count2 (instance 1)" in err
        _, err = ended(agent, 1)
        assert "lost the connection to the driver at tcp://192.0.2.1" in err

    def test_c5_a_killed_process_on_another_host_is_reported(self, two_hosts):
        driver = two_hosts.driver("-i", 1_000_000, "-n", 4, "--local", 2, PAUSE="0.01")
        agent = two_hosts.agent("-n", 2)
        os.kill(dict(two_hosts.pids())["Count2"], signal.SIGKILL)
        _, err = ended(driver, 1)
        assert re.search(r"killed by SIGKILL, on .*; it ran Count2 \(instance [01]\)", err)
        ended(agent, 1)
