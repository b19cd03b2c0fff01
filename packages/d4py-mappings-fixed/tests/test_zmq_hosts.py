"""`zmq_multi` on several hosts: most on this one's loopback, the rest between two namespaces."""

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest

from d4py_conformance.subprocesses.network_namespaces import ended, in_namespace, ip, two_namespaces
from d4py_conformance.subprocesses.programs import Command, wait_until

pytest.importorskip("zmq")

COMMAND = Path(sysconfig.get_path("scripts"), "dispel4py")
SECRET = secrets.token_urlsafe(32)

#: Every PE says where it runs, and does what the environment of the driver asked of it.
WORKFLOW = """
import os, pathlib, time
from dispel4py import GenericPE, IterativePE, ProducerPE, WorkflowGraph

PLACE = pathlib.Path(__file__).parent
MISBEHAVE = os.environ.get("MISBEHAVE", "")
PAUSE = float(os.environ.get("PAUSE", "0"))

class Word(str):
    pass

class Told:
    def __init__(self):
        super().__init__()
        self.place, self.pause, self.misbehave = str(PLACE), PAUSE, MISBEHAVE
    def _preprocess(self):
        pathlib.Path(self.place, f"{self.id}.{os.getpid()}").touch()

class First(Told, ProducerPE):
    count = 0
    def _process(self, inputs):
        self.count += 1
        time.sleep(self.pause)
        return Word("marker-on-the-wire %d" % (self.count % 10))

class Middle(Told, IterativePE):
    def _process(self, data):
        if self.misbehave:
            raise ValueError("the sensor is broken")
        return {"word": data}

class Count(Told, GenericPE):
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
    """Where the workflow is; for the driver only."""
    with tempfile.TemporaryDirectory(prefix="d4py-test-") as made:
        (Path(made) / "here").mkdir()
        (Path(made) / "there").mkdir()
        (Path(made) / "here" / "wf.py").write_text(WORKFLOW)
        yield Path(made)


#: A run that a script starts, whose own classes and functions go to the other host.
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
    """Starts commands on hosts; `prefix` is what a command begins with there."""

    def __init__(self, folder, here="127.0.0.1", prefixes=((), ())):
        self.folder = folder
        self.prefixes = prefixes
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.address = f"tcp://{here}:{probe.getsockname()[1]}"
        self.started = []

    def driver(self, *arguments, **environment):
        arguments = [COMMAND, "zmq_multi", "wf.py", "--bind", self.address, *arguments]
        return self._start(0, self.folder / "here", arguments, environment)

    def script(self, local):
        (self.folder / "here" / "script.py").write_text(SCRIPT)
        arguments = [sys.executable, "script.py", self.address, local]
        return self._start(0, self.folder / "here", arguments, {})

    def guest(self, *arguments, **environment):
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
        """(PE, process) of what runs, once all do."""

        def found():
            return [
                (path.stem, int(path.suffix[1:]))
                for path in (self.folder / "here").glob("*.[0-9]*")
            ]

        wait_until(lambda: len(found()) == 4, "not all have started")
        return found()

    def stop(self):
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
    def test_ranks_run_here_and_there(self, hosts, local):
        driver = hosts.driver("-i", 100, "-n", 4, "--local", local)
        guest = hosts.guest("-n", 3 if local else 4) if local < 4 else None
        out, err = ended(driver, 0)
        assert results(out) == EXPECTED
        if guest is not None:
            _, guest_err = ended(guest, 0)
            there = ", ".join(map(str, range(local, 4)))
            assert f"ranks that run here: {there}\n" in guest_err
            assert f"runs ranks {there}\n" in err

    def test_several_hosts_and_one_that_comes_before_the_driver(self, hosts):
        guests = [hosts.guest("-n", 2), hosts.guest("-n", 2)]
        out, _ = ended(hosts.driver("-i", 100, "-n", 4), 0)
        assert results(out) == EXPECTED
        for guest in guests:
            ended(guest, 0)

    def test_a_host_that_is_not_needed_is_told(self, hosts):
        driver = hosts.driver("-i", 100_000, "-n", 4, PAUSE="0.01")
        hosts.guest("-n", 4)
        hosts.pids()
        _, err = ended(hosts.guest("-n", 4), 0)
        assert "the run has all the processes that it needs" in err
        driver.send_signal(signal.SIGINT)

    @pytest.mark.parametrize("processes", [1, 2, 6])
    def test_any_number_of_processes_will_do(self, hosts, processes):
        driver = hosts.driver("-i", 100, "-n", processes)
        ended(hosts.guest("-n", processes), 0)
        assert results(ended(driver, 0)[0]) == EXPECTED

    @pytest.mark.parametrize("local", [0, 1])
    def test_what_a_script_defines_goes_to_the_other_host(self, hosts, local):
        driver, guest = hosts.script(local), hosts.guest("-n", 3)
        assert ended(driver, 0)[0] == "[10, 20, 30]\n"
        ended(guest, 0)

    def test_the_key_is_told_where_none_was_given(self, hosts):
        driver = hosts.driver("-i", 100, "-n", 4, "--local", 3, D4PY_KEY="")
        told = ""
        while "--connect" not in told:
            told += driver.stderr.readline()
        ended(hosts.guest("-n", 1, D4PY_KEY=re.search(r"D4PY_KEY=(\S+) dispel4py", told)[1]), 0)
        assert results(ended(driver, 0)[0]) == EXPECTED

    def test_the_key_may_be_in_a_file(self, hosts, folder):
        driver = hosts.driver("-i", 100, "-n", 4, "--key-file", folder / "key", D4PY_KEY="")
        wait_until((folder / "key").exists, "no key")
        wait_until(lambda: (folder / "key").stat().st_size, "no key")
        ended(hosts.guest("-n", 4, "--key-file", folder / "key", D4PY_KEY=""), 0)
        out, err = ended(driver, 0)
        assert results(out) == EXPECTED
        assert not (folder / "key").exists()
        assert "D4PY_KEY" not in err

    def test_who_has_another_key_is_left_out_and_reported(self, hosts):
        driver = hosts.driver("-i", 100, "-n", 4)
        other = secrets.token_urlsafe(32)
        _, err = ended(hosts.guest("-n", 4, "--wait", 2, D4PY_KEY=other), 1)
        assert "no answer from tcp://127.0.0.1" in err
        ended(hosts.guest("-n", 4), 0)
        out, err = ended(driver, 0)
        assert results(out) == EXPECTED
        assert "strangers" in err

    def test_too_few_hosts_are_an_error(self, hosts):
        driver = hosts.driver("-n", 4, "--wait", 3)
        guest = hosts.guest("-n", 1)
        _, err = ended(driver, 1)
        name = socket.gethostname()
        assert (
            f"3 of 4 processes are still without a host after 3 s (--wait); who came: {name}" in err
        )
        ended(guest, 1)

    def test_nobody_to_connect_to_is_an_error(self, hosts):
        _, err = ended(hosts.guest("--wait", 0.5), 1)
        assert f"nobody listens at {hosts.address}" in err


@pytest.mark.slow
class TestFailures:
    def test_c3_an_exception_elsewhere_is_told_here(self, hosts):
        driver, guest = hosts.driver("-i", 100, "-n", 4, MISBEHAVE="1"), hosts.guest("-n", 4)
        _, err = ended(driver, 1)
        assert "Middle1 (instance 0) failed in process" in err
        assert "the sensor is broken" in err
        assert 'raise ValueError("the sensor is broken")' in err
        ended(guest, 1)

    def start_endless(self, hosts, local=0):
        driver = hosts.driver("-i", 1_000_000, "-n", 4, "--local", local, PAUSE="0.01")
        guest = hosts.guest("-n", 4)
        return driver, guest, hosts.pids()

    @pytest.mark.parametrize("pe", ["First0", "Middle1", "Count2"])
    @pytest.mark.parametrize("local", [0, 4])
    def test_c5_a_process_that_is_killed_is_told(self, hosts, pe, local):
        if local:
            driver, guest = hosts.driver("-i", 10**6, "-n", 4, "--local", 4, PAUSE="0.01"), None
            pids = hosts.pids()
        else:
            driver, guest, pids = self.start_endless(hosts)
        os.kill(dict(pids)[pe], signal.SIGKILL)
        _, err = ended(driver, 1, 3.0)
        where = "" if local else f", on {socket.gethostname()}"
        assert re.search(rf"killed by SIGKILL{where}; it ran {pe} \(instance [01]\)", err)
        if guest is not None:
            ended(guest, 1, 3.0)

    def test_c5_so_is_a_host(self, hosts):
        driver, guest, _ = self.start_endless(hosts, local=1)
        guest.kill()
        _, err = ended(driver, 1, 5.0)
        assert f"lost host {socket.gethostname()}; it ran Middle1 (instance 0), Count2 " in err
        ended(guest, -signal.SIGKILL, 3.0)

    def test_c4_the_hosts_end_when_the_driver_is_killed(self, hosts):
        driver, guest, _ = self.start_endless(hosts, local=1)
        driver.kill()
        _, err = ended(guest, 1, 5.0)
        assert f"lost the driver at {hosts.address}" in err
        ended(driver, -signal.SIGKILL, 3.0)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_c4_a_signal_here_stops_everything_everywhere(self, hosts, number):
        driver, guest, _ = self.start_endless(hosts, local=2)
        driver.send_signal(number)
        ended(driver, 130, 2.5)
        _, err = ended(guest, 1, 2.5)
        assert "the run was interrupted" in err

    def test_c4_so_does_one_elsewhere(self, hosts):
        driver, guest, _ = self.start_endless(hosts, local=2)
        guest.send_signal(signal.SIGINT)
        ended(guest, 130, 2.5)
        _, err = ended(driver, 1, 2.5)
        assert f"host {socket.gethostname()} was interrupted" in err

    def test_a_signal_while_waiting_for_hosts(self, hosts):
        driver, guest = hosts.driver("-n", 4), hosts.guest("-n", 1)
        while "joined" not in guest.stderr.readline():
            pass
        driver.send_signal(signal.SIGINT)
        ended(driver, 130, 2.5)
        ended(guest, 1, 2.5)


@pytest.mark.slow
class TestWrongUse:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["wf.py", "--bind", "5555"], "--bind is '5555'; it has to look like tcp://HOST:PORT"),
            (["wf.py", "--bind", "tcp://*:5555"], "by which of its addresses"),
            (["wf.py", "--bind", "tcp://192.0.2.1:5555"], "cannot listen at tcp://192.0.2.1:5555"),
            (["wf.py", "--connect", "tcp://h:5555"], "--connect takes no workflow"),
            (["--connect", "h"], "--connect is 'h'; it has to look like tcp://HOST:PORT"),
            (["-n", "3"], "a WORKFLOW is missing"),
        ],
    )
    def test_it_is_told(self, folder, arguments, message):
        done = subprocess.run(
            [COMMAND, "zmq_multi", *arguments],
            cwd=folder / "here",
            env={**os.environ, "D4PY_KEY": SECRET},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 2
        assert message in done.stderr

    def test_a_missing_key_is_told(self, folder):
        environment = {name: text for name, text in os.environ.items() if name != "D4PY_KEY"}
        done = subprocess.run(
            [COMMAND, "zmq_multi", "--connect", "tcp://127.0.0.1:1"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=30,
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
    """Two hosts that share nothing but a cable (and a disk, for the tests' sake)."""
    made = Hosts(folder, "192.0.2.1", [in_namespace(name) for name in namespaces])
    yield made
    made.stop()


#: Writes to a file what goes over the cable, until it is told to end.
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
    def test_what_goes_over_the_cable_cannot_be_read(self, two_hosts, namespaces, folder):
        listener = subprocess.Popen(
            [*in_namespace(namespaces[1]), sys.executable, "-c", LISTENER, folder / "heard"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert listener.stdout.readline() == b"ready\n"
        # First and Middle here, both instances of Count there.
        driver = two_hosts.driver("-i", 10_000, "-n", 4, "--local", 2)
        guest = two_hosts.guest("-n", 2)
        out, _ = ended(driver, 0)
        assert results(out) == {f"marker-on-the-wire {n}: 1000" for n in range(10)}
        ended(guest, 0)
        listener.communicate(timeout=30)
        heard = (folder / "heard").read_bytes()
        assert len(heard) > 20_000
        for word in (b"marker", b"on-the-wire", b"Middle", b"pickle", SECRET.encode()):
            assert word not in heard

    @pytest.mark.slow
    def test_c5_a_cable_that_is_cut_ends_the_run_on_both_sides(self, two_hosts, namespaces):
        driver = two_hosts.driver("-i", 1_000_000, "-n", 4, "--local", 2, PAUSE="0.01")
        guest = two_hosts.guest("-n", 2)
        two_hosts.pids()
        ip("-n", namespaces[0], "link", "set", "cable", "down")
        _, err = ended(driver, 1, 30.0)
        assert "lost host" in err
        assert "it ran Count2 (instance 0), Count2 (instance 1)" in err
        _, err = ended(guest, 1, 30.0)
        assert "lost the driver at tcp://192.0.2.1" in err

    def test_c5_a_process_that_is_killed_elsewhere_is_told(self, two_hosts):
        driver = two_hosts.driver("-i", 1_000_000, "-n", 4, "--local", 2, PAUSE="0.01")
        guest = two_hosts.guest("-n", 2)
        os.kill(dict(two_hosts.pids())["Count2"], signal.SIGKILL)
        _, err = ended(driver, 1, 4.0)
        assert re.search(r"killed by SIGKILL, on .*; it ran Count2 \(instance [01]\)", err)
        ended(guest, 1, 4.0)
