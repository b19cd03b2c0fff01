"""`zmq_multi` on several hosts that fail, or that are started wrongly."""

import os
import re
import signal
import socket
import subprocess

import pytest
from fixed_helpers.zmq_hosts import COMMAND, SECRET

from d4py_conformance.subprocesses.network_namespaces import ended
from d4py_conformance.waiting import LIMIT

pytest.importorskip("zmq")


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
    def test_invalid_arguments_are_errors(self, host_folder, arguments, message):
        done = subprocess.run(
            [COMMAND, "zmq_multi", *arguments],
            cwd=host_folder / "here",
            env={**os.environ, "D4PY_KEY": SECRET},
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        assert done.returncode == 2
        assert message in done.stderr

    def test_a_missing_key_is_an_error(self, host_folder):
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
