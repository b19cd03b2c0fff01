"""Rule M1 between hosts: a mapping that declares `multi_host` shares a run between two of them.

The hosts are two network namespaces of this machine, so nothing leaves it.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

import pytest

from d4py_conformance.subprocesses.network_namespaces import ADDRESSES, in_namespace, two_namespaces
from d4py_conformance.subprocesses.programs import Command
from d4py_conformance.suite import Require, Suite
from d4py_conformance.waiting import LIMIT, wait_until
from dispel4py.engine.planning.capabilities import Capabilities

#: Items of the run; the root is slow until both hosts have received some.
ITEMS = 1000
#: No other program is in a namespace, so any will do.
PORT = 6400


@dataclass(frozen=True)
class TwoHosts:
    """The commands that make up a run on two hosts.

    In the arguments ``{workflow}`` stands for the workflow's file, ``{items}`` for the number of
    calls of its root, ``{host}`` for the address of the first host, ``{port}`` for a port that is
    free there, and ``{key}`` for a secret.  The workflow is a root, a stateless PE, and one that
    asks for four instances.

    Attributes:
        coordinator: starts the run, on the first host, and ends with the run.
        agent: joins the run, on the second host.
        service: what both need, on the first, such as a server at that port; it is ended with the
            test.
        environment: variables that all of them get.
    """

    coordinator: Sequence[str]
    agent: Sequence[str]
    service: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


class MultiHostRules(Suite):
    """Several hosts."""

    @pytest.fixture
    def two_hosts(self) -> TwoHosts | None:
        """How a run gets to two hosts; give it if the mapping declares `multi_host`."""
        return None

    @pytest.mark.timeout(3 * LIMIT)
    def test_m1_two_hosts_share_a_run(
        self,
        require: Require,
        capabilities: Capabilities,
        two_hosts: TwoHosts | None,
        tmp_path: Path,
    ) -> None:
        require("multi_host")
        if two_hosts is None:
            pytest.skip("the fixture `two_hosts` gives no commands for a run on another host")
        grouping = _grouping(capabilities)
        with two_namespaces() as names, _Commands(two_hosts, names, tmp_path, grouping) as run:
            status, printed = run.wait()
        assert status == 0, printed
        notes = [line.split() for line in run.notes.read_text().splitlines()]
        kept = [(int(number), key, host) for pe, host, key, number in notes if pe == "Keep"]
        assert sorted(number for number, _, _ in kept) == [*range(1, ITEMS + 1)]
        assert len({host for _, host, _, _ in notes}) == 2, "one host did it all"
        if grouping:
            assert_keys_stay({(key, host) for _, key, host in kept})


def _grouping(capabilities: Capabilities) -> list[int] | None:
    """Return the grouping of the last PE, by key if the mapping can."""
    return [0] if capabilities.stateful and capabilities.group_by else None


def assert_keys_stay(places: set[tuple[str, str]]) -> None:
    """Fail if a key was on two hosts; `places` are pairs of a key and a host."""
    assert len(places) == len({key for key, _ in places}), "a key was on both hosts"


class _Commands:
    """The commands of a run, at work, each with a process group of its own."""

    def __init__(
        self, two_hosts: TwoHosts, names: Sequence[str], folder: Path, grouping: list[int] | None
    ) -> None:
        self.notes = folder / "notes"
        self.notes.touch()
        self._prefixes = [in_namespace(name) for name in names]
        self._environment = {**os.environ, **two_hosts.environment, "NOTES": str(self.notes)}
        self._started: list[Command] = []
        # Only the coordinator has the file.
        self._folders = folder / "here", folder / "there"
        for place in self._folders:
            place.mkdir()
        workflow = self._folders[0] / "shared_by_hosts.py"
        workflow.write_text(_WORKFLOW.format(grouping=grouping))
        self._words = {
            "workflow": str(workflow),
            "items": str(ITEMS),
            "host": ADDRESSES[0],
            "port": str(PORT),
            "key": secrets.token_urlsafe(32),
        }
        self._two_hosts = two_hosts

    def __enter__(self) -> _Commands:
        if self._two_hosts.service:
            self._start(0, self._two_hosts.service)
            wait_until(self._answers, "a service that listens")
        self._coordinator = self._start(0, self._two_hosts.coordinator)
        self._start(1, self._two_hosts.agent)
        return self

    def _answers(self) -> bool:
        connect = f"import socket; socket.create_connection({(ADDRESSES[0], PORT)}, 1)"
        command = [*self._prefixes[0], sys.executable, "-c", connect]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _start(self, host: int, command: Sequence[str]) -> Command:
        words = [word.format_map(self._words) for word in command]
        environment = {
            name: text.format_map(self._words) if name in self._two_hosts.environment else text
            for name, text in self._environment.items()
        }
        output = (self._folders[host] / f"output{len(self._started)}").open("w")
        with output:
            process = Command(
                [*self._prefixes[host], *words],
                {**environment, "PYTHONHASHSEED": str(host + 1)},
                cwd=self._folders[host],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._started.append(process)
        return process

    def wait(self) -> tuple[int | None, str]:
        """Return the coordinator's exit status, None if it did not end, and all output."""
        with suppress(subprocess.TimeoutExpired):
            self._coordinator.wait(LIMIT)
        printed = [
            f"--- {path.name} on host {number}\n{path.read_text()}"
            for number, folder in enumerate(self._folders)
            for path in sorted(folder.glob("output*"))
        ]
        return self._coordinator.poll(), "\n".join(printed)

    def __exit__(self, *raised: object) -> None:
        for process in self._started:
            process.send_to_all(signal.SIGKILL)
            process.wait()


_WORKFLOW = dedent(
    """
    import os
    import time

    from dispel4py import IterativePE, ProducerPE, WorkflowGraph


    class Count(ProducerPE):
        def __init__(self):
            super().__init__()
            self.notes = os.environ["NOTES"]
            self.number, self.hosts = 0, set()

        def _process(self, inputs):
            if len(self.hosts) < 2:
                with open(self.notes) as notes:
                    self.hosts = {{line.split()[1] for line in notes}}
                time.sleep(0.02)
            self.number += 1
            return self.number % 40, self.number


    class Note(IterativePE):
        def __init__(self):
            super().__init__()
            self.notes = os.environ["NOTES"]

        def _process(self, item):
            host = os.stat("/proc/self/ns/net").st_ino
            with open(self.notes, "a") as notes:
                notes.write(f"{{self.name}} {{host}} {{item[0]}} {{item[1]}}\\n")
            return item


    class Keep(Note):
        def __init__(self):
            super().__init__()
            self.numprocesses = 4
            self.inputconnections["input"]["grouping"] = {grouping}


    graph = WorkflowGraph()
    note = Note()
    graph.connect(Count(), "output", note, "input")
    graph.connect(note, "output", Keep(), "input")
    """
)
