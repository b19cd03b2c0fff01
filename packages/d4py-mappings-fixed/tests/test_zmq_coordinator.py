"""`zmq_multi` on several hosts: most by this one's loopback, the rest in two namespaces."""

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import pytest

from d4py_conformance.pes.common import Numbers, Relay
from d4py_conformance.subprocesses.network_namespaces import (
    ended,
    in_namespace,
    ip,
    silent_cable,
    slow_down,
    two_namespaces,
)
from d4py_conformance.subprocesses.programs import Command
from d4py_conformance.subprocesses.reserved_ports import ReservedPort
from d4py_conformance.suite import chain
from d4py_conformance.waiting import LIMIT, wait_until
from dispel4py.result import RunOptions

pytest.importorskip("zmq")

from d4py_fixed.zmq.coordinator import run_on_hosts

COMMAND = Path(sysconfig.get_path("scripts"), "dispel4py")
SECRET = secrets.token_urlsafe(32)

#: Each PE makes a file named after its process; the driver's environment makes it fail or pause.
WORKFLOW = """
import os, pathlib, time
from dispel4py import GenericPE, IterativePE, ProducerPE, WorkflowGraph

PLACE = pathlib.Path(__file__).parent
MISBEHAVE = os.environ.get("MISBEHAVE", "")
PAUSE = float(os.environ.get("PAUSE", "0"))

class Word(str):
    pass

class Observed:
    def __init__(self):
        super().__init__()
        self.place, self.pause, self.misbehave = str(PLACE), PAUSE, MISBEHAVE
    def _preprocess(self):
        pathlib.Path(self.place, f"{self.id}.{os.getpid()}").touch()

class First(Observed, ProducerPE):
    count = 0
    def _process(self, inputs):
        self.count += 1
        time.sleep(self.pause)
        return Word("marker-on-the-wire %d" % (self.count % 10))

class Middle(Observed, IterativePE):
    def _process(self, data):
        if self.misbehave:
            raise ValueError("the sensor is broken")
        return {"word": data}

class Count(Observed, GenericPE):
    def __init__(self):
        super().__init__()
        self.numprocesses = 2
        self._add_input("input", grouping=["word"])
        self._add_output("output")
        self.counts = {}
    def process(self, inputs):
        word = inputs["input"]["word"]
        self.counts[word] = self.counts.get(word, 0) + 1
    def _postprocess(self):
        for word, count in self.counts.items():
            self.write("output", f"{word}: {count}")

graph = WorkflowGraph()
first, middle, count = First(), Middle(), Count()
graph.connect(first, "output", middle, "input")
graph.connect(middle, "output", count, "input")
"""


@pytest.fixture
def folder():
    """A folder for each host; the workflow is in the driver's."""
    with tempfile.TemporaryDirectory(prefix="d4py-test-") as made:
        (Path(made) / "here").mkdir()
        (Path(made) / "there").mkdir()
        (Path(made) / "here" / "wf.py").write_text(WORKFLOW)
        yield Path(made)


#: A script whose classes and functions are sent to the other host.
SCRIPT = """
import sys
from dispel4py import IterativePE, ProducerPE, SimpleFunctionPE, WorkflowGraph, run

class Sample:
    def __init__(self, value):
        self.value = value

class Make(ProducerPE):
    count = 0
    def _process(self, inputs):
        self.count += 1
        return Sample(self.count)

class Check(IterativePE):
    def _process(self, sample):
        assert type(sample) is Sample
        return scaled(sample)

def scaled(sample, factor=10):
    return Sample(factor * sample.value)

graph = WorkflowGraph()
check = Check()
graph.connect(Make(), "output", check, "input")
graph.connect(check, "output", SimpleFunctionPE(lambda sample: sample), "input")
if __name__ == "__main__":
    samples = run(
        graph, "zmq_multi", 3, 3, bind=sys.argv[1], local=int(sys.argv[2]), wait=60.0
    ).outputs["PE_<lambda>2"]["output"]
    print([type(sample) is Sample and sample.value for sample in samples])
"""


class Hosts:
    """Starts commands on two hosts; `prefixes` are prepended to the commands of each."""

    def __init__(self, folder, here="127.0.0.1", prefixes=((), ())):
        self.folder = folder
        self.prefixes = prefixes
        self.reserved = ReservedPort()
        self.address = f"tcp://{here}:{self.reserved.number}"
        self.started = []

    def driver(self, *arguments, **environment):
        arguments = [COMMAND, "zmq_multi", "wf.py", "--bind", self.address, *arguments]
        return self._start(0, self.folder / "here", arguments, environment)

    def script(self, local):
        (self.folder / "here" / "script.py").write_text(SCRIPT)
        arguments = [sys.executable, "script.py", self.address, local]
        return self._start(0, self.folder / "here", arguments, {})

    def agent(self, *arguments, **environment):
        arguments = [COMMAND, "zmq_multi", "--connect", self.address, *arguments]
        return self._start(1, self.folder / "there", arguments, environment)

    def _start(self, host, folder, arguments, environment):
        process = Command(
            [*self.prefixes[host], *map(str, arguments)],
            cwd=folder,
            env={**os.environ, "D4PY_KEY": SECRET, "PYTHONHASHSEED": str(host), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.started.append(process)
        return process

    def pids(self):
        """Return (PE, process) of all instances, once all have started."""

        def found():
            return [
                (path.stem, int(path.suffix[1:]))
                for path in (self.folder / "here").glob("*.[0-9]*")
            ]

        wait_until(lambda: len(found()) == 4, "not all have started")
        return found()

    def stop(self):
        self.reserved.close()
        for process in self.started:
            process.send_to_all(signal.SIGKILL)
            process.communicate()


@pytest.fixture
def hosts(folder):
    """Two hosts, both this one."""
    made = Hosts(folder)
    yield made
    made.stop()


EXPECTED = {f"marker-on-the-wire {n}: 10" for n in range(10)}


def results(out):
    return set(re.findall(r"marker-on-the-wire \d+: \d+", out))


class TestRuns:
    @pytest.mark.parametrize("local", [0, 1, 3, 4])
    def test_ranks_run_on_both_hosts(self, hosts, local):
        driver = hosts.driver("-i", 100, "-n", 4, "--local", local)
        agent = hosts.agent("-n", 3 if local else 4) if local < 4 else None
        out, err = ended(driver, 0)
        assert results(out) == EXPECTED
        if agent is not None:
            _, agent_err = ended(agent, 0)
            there = ", ".join(map(str, range(local, 4)))
            assert f"ranks on this host: {there}\n" in agent_err
            assert f"runs ranks {there}\n" in err

    def test_i7_the_statistics_name_the_seed(self):
        options = RunOptions(
            processes=2, seed=4711, extra={"bind": "tcp://127.0.0.1:0", "local": 2, "wait": 60.0}
        )
        result = run_on_hosts("zmq_multi", chain(Numbers(), Relay()), 3, options)
        assert result.outputs == {"Relay1": {"output": [1, 2, 3]}}
        assert result.stats.seed == 4711

    def test_agents_may_be_started_before_the_driver(self, hosts):
        agents = [hosts.agent("-n", 2), hosts.agent("-n", 2)]
        out, _ = ended(hosts.driver("-i", 100, "-n", 4), 0)
        assert results(out) == EXPECTED
        for agent in agents:
            ended(agent, 0)

    def test_a_host_that_is_not_needed_leaves_with_a_message(self, hosts):
        driver = hosts.driver("-i", 100_000, "-n", 4, PAUSE="0.01")
        hosts.agent("-n", 4)
        hosts.pids()
        _, err = ended(hosts.agent("-n", 4), 0)
        assert "the run has all the processes that it needs" in err
        driver.send_signal(signal.SIGINT)

    @pytest.mark.parametrize("processes", [1, 2, 6])
    def test_a_run_can_have_any_number_of_processes(self, hosts, processes):
        driver = hosts.driver("-i", 100, "-n", processes)
        ended(hosts.agent("-n", processes), 0)
        assert results(ended(driver, 0)[0]) == EXPECTED

    @pytest.mark.parametrize("local", [0, 1])
    def test_definitions_of_a_script_are_sent_to_the_other_host(self, hosts, local):
        driver, agent = hosts.script(local), hosts.agent("-n", 3)
        assert ended(driver, 0)[0] == "[10, 20, 30]\n"
        ended(agent, 0)

    def test_a_new_key_is_shown_with_the_command(self, hosts):
        driver = hosts.driver("-i", 100, "-n", 4, "--local", 3, D4PY_KEY="")
        shown = ""
        while "--connect" not in shown:
            shown += driver.stderr.readline()
        ended(hosts.agent("-n", 1, D4PY_KEY=re.search(r"D4PY_KEY=(\S+) dispel4py", shown)[1]), 0)
        assert results(ended(driver, 0)[0]) == EXPECTED

    def test_the_key_may_be_in_a_file(self, hosts, folder):
        driver = hosts.driver("-i", 100, "-n", 4, "--key-file", folder / "key", D4PY_KEY="")
        wait_until((folder / "key").exists, "no key")
        wait_until(lambda: (folder / "key").stat().st_size, "no key")
        ended(hosts.agent("-n", 4, "--key-file", folder / "key", D4PY_KEY=""), 0)
        out, err = ended(driver, 0)
        assert results(out) == EXPECTED
        assert not (folder / "key").exists()
        assert "D4PY_KEY" not in err

    def test_a_host_with_another_key_is_rejected_and_reported(self, hosts):
        driver = hosts.driver("-i", 100, "-n", 4)
        other = secrets.token_urlsafe(32)
        _, err = ended(hosts.agent("-n", 4, "--wait", 2, D4PY_KEY=other), 1)
        assert "no answer from tcp://127.0.0.1" in err
        ended(hosts.agent("-n", 4), 0)
        out, err = ended(driver, 0)
        assert results(out) == EXPECTED
        assert "connections without the run's key, rejected: " in err

    def test_too_few_hosts_are_an_error(self, hosts):
        agent = hosts.agent("-n", 1)  # first, as it has to have joined when the driver's time is up
        driver = hosts.driver("-n", 4, "--wait", 3)
        _, err = ended(driver, 1)
        name = socket.gethostname()
        message = "no host for 3 of 4 processes after 3 s (--wait); hosts that have joined: "
        assert message + name in err
        ended(agent, 1)

    def test_a_missing_driver_is_an_error(self, hosts):
        _, err = ended(hosts.agent("--wait", 0.5), 1)
        assert f"cannot connect to {hosts.address}" in err


@pytest.mark.slow
class TestFailures:
    def test_c3_an_exception_on_another_host_is_reported_by_the_driver(self, hosts):
        driver, agent = hosts.driver("-i", 100, "-n", 4, MISBEHAVE="1"), hosts.agent("-n", 4)
        _, err = ended(driver, 1)
        assert "Middle1 (instance 0) failed in process" in err
        assert "the sensor is broken" in err
        assert 'raise ValueError("the sensor is broken")' in err
        ended(agent, 1)

    def start_endless(self, hosts, local=0):
        driver = hosts.driver("-i", 1_000_000, "-n", 4, "--local", local, PAUSE="0.01")
        agent = hosts.agent("-n", 4)
        return driver, agent, hosts.pids()

    @pytest.mark.parametrize("pe", ["First0", "Middle1", "Count2"])
    @pytest.mark.parametrize("local", [0, 4])
    def test_c5_a_killed_process_is_reported(self, hosts, pe, local):
        if local:
            driver, agent = hosts.driver("-i", 10**6, "-n", 4, "--local", 4, PAUSE="0.01"), None
            pids = hosts.pids()
        else:
            driver, agent, pids = self.start_endless(hosts)
        os.kill(dict(pids)[pe], signal.SIGKILL)
        _, err = ended(driver, 1)
        where = "" if local else f", on {socket.gethostname()}"
        assert re.search(rf"killed by SIGKILL{where}; it ran {pe} \(instance [01]\)", err)
        if agent is not None:
            ended(agent, 1)

    def test_c5_a_killed_agent_is_reported(self, hosts):
        driver, agent, _ = self.start_endless(hosts, local=1)
        agent.kill()
        _, err = ended(driver, 1)
        assert f"lost host {socket.gethostname()}; it ran Middle1 (instance 0), Count2 " in err
        ended(agent, -signal.SIGKILL)

    def test_c4_the_hosts_end_when_the_driver_is_killed(self, hosts):
        driver, agent, _ = self.start_endless(hosts, local=1)
        driver.kill()
        _, err = ended(agent, 1)
        assert f"lost the connection to the driver at {hosts.address}" in err
        ended(driver, -signal.SIGKILL)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_c4_a_signal_to_the_driver_stops_all_hosts(self, hosts, number):
        driver, agent, _ = self.start_endless(hosts, local=2)
        driver.send_signal(number)
        ended(driver, 130)
        _, err = ended(agent, 1)
        assert "the run was interrupted" in err

    def test_c4_a_signal_to_an_agent_stops_all_hosts(self, hosts):
        driver, agent, _ = self.start_endless(hosts, local=2)
        agent.send_signal(signal.SIGINT)
        ended(agent, 130)
        _, err = ended(driver, 1)
        assert f"host {socket.gethostname()} was interrupted" in err

    def test_a_signal_while_waiting_for_hosts(self, hosts):
        driver, agent = hosts.driver("-n", 4), hosts.agent("-n", 1)
        while "joined" not in agent.stderr.readline():
            pass
        driver.send_signal(signal.SIGINT)
        ended(driver, 130)
        ended(agent, 1)


@pytest.mark.slow
class TestUsageErrors:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (
                ["wf.py", "--bind", "5555"],
                "--bind is '5555'; it must have the form tcp://HOST:PORT",
            ),
            (["wf.py", "--bind", "tcp://*:5555"], "by which other hosts reach this one"),
            (["wf.py", "--bind", "tcp://192.0.2.1:5555"], "cannot listen at tcp://192.0.2.1:5555"),
            (["wf.py", "--connect", "tcp://h:5555"], "--connect takes no workflow"),
            (["--connect", "h"], "--connect is 'h'; it must have the form tcp://HOST:PORT"),
            (["-n", "3"], "a WORKFLOW is missing"),
        ],
    )
    def test_invalid_arguments_are_errors(self, folder, arguments, message):
        done = subprocess.run(
            [COMMAND, "zmq_multi", *arguments],
            cwd=folder / "here",
            env={**os.environ, "D4PY_KEY": SECRET},
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        assert done.returncode == 2
        assert message in done.stderr

    def test_a_missing_key_is_an_error(self, folder):
        environment = {name: text for name, text in os.environ.items() if name != "D4PY_KEY"}
        done = subprocess.run(
            [COMMAND, "zmq_multi", "--connect", "tcp://127.0.0.1:1"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        assert done.returncode == 2
        assert "the run's key is missing: set D4PY_KEY" in done.stderr


@pytest.fixture
def namespaces():
    with two_namespaces() as names:
        yield names


@pytest.fixture
def two_hosts(folder, namespaces):
    """Two hosts that share a cable, and a disk for the sake of the tests."""
    made = Hosts(folder, "192.0.2.1", [in_namespace(name) for name in namespaces])
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
    def test_data_on_the_cable_cannot_be_read(self, two_hosts, namespaces, folder):
        listener = subprocess.Popen(
            [*in_namespace(namespaces[1]), sys.executable, "-c", LISTENER, folder / "recorded"],
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
        recorded = (folder / "recorded").read_bytes()
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
