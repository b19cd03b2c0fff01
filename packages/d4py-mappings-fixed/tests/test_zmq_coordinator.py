"""`zmq_multi` on several hosts, both of which are this one."""

import re
import secrets
import signal
import socket

import pytest
from fixed_helpers.zmq_hosts import EXPECTED, results

from d4py_conformance.pes.common import Numbers, Relay
from d4py_conformance.subprocesses.network_namespaces import ended
from d4py_conformance.suite import chain
from d4py_conformance.waiting import wait_until
from dispel4py.result import RunOptions

pytest.importorskip("zmq")

from d4py_fixed.zmq.coordinator import run_on_hosts


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

    def test_the_key_may_be_in_a_file(self, hosts, host_folder):
        driver = hosts.driver("-i", 100, "-n", 4, "--key-file", host_folder / "key", D4PY_KEY="")
        wait_until((host_folder / "key").exists, "no key")
        wait_until(lambda: (host_folder / "key").stat().st_size, "no key")
        ended(hosts.agent("-n", 4, "--key-file", host_folder / "key", D4PY_KEY=""), 0)
        out, err = ended(driver, 0)
        assert results(out) == EXPECTED
        assert not (host_folder / "key").exists()
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
