"""Chaos: a run of `chaos_flow` whose workers, connections, server and driver are disturbed.

Which faults there are and when is drawn from a seed, and they come when so many results have come
of a PE that keeps pace with the root, so that a run is always in the middle, however fast the
machine is; before its last calls the root waits until all have come.  Afterwards its results are
compared with a model in plain Python, item by item.  Driver, workers and server are processes as a
user would start them; a TCP proxy stands between them.

    >>> [fault.kind for fault in draw_faults(7, 300, 3, ("kill", "freeze"))]
    ['freeze', 'kill', 'freeze']
"""

from __future__ import annotations

import json
import random
import re
import secrets
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from d4py_conformance.chaos import workflow as chaos_flow
from d4py_conformance.chaos.processes import Commands, Server, send
from d4py_conformance.chaos.tcp_proxy import Proxy
from d4py_conformance.expected.compare import differences
from d4py_conformance.subprocesses.programs import Command

#: Kinds of faults: a worker is killed; it is stopped for longer than the lease, and goes on; one
#: joins; one leaves on Ctrl-C; connections are cut; they are cut within a reply, or before it;
#: nothing passes for a while; the server is killed and comes back; so does the driver.
KINDS = ("kill", "freeze", "join", "leave", "cut", "tear", "hold", "server", "driver")

#: Its results keep pace with the calls of the root: as it has no state, any worker processes its
#: items, while instances with state may wait for the worker that is in the root.
_CLOCK = "Heavy"
#: Share of those results before which faults come.
_DISTURBED = 0.8
#: Seconds after which a run in which nothing happens hangs, a remote worker no longer waits for the
#: run, and after the run a process is left.
_HANGS, _WAITS, _ENDS = 180.0, 10.0, 30.0
#: Seconds that a held network may take; the last one is longer than clients wait for an answer.
_HOLDS = 0.2, 1.0, 4.0
#: Seconds for which clients try to reach the server again.
_PATIENCE = 30.0
_TICK = 0.01


@dataclass(frozen=True)
class Fault:
    """Something to do to a run.

    Attributes:
        kind: one of `KINDS`.
        at: after how many results of `_CLOCK`.
    """

    kind: str
    at: int


@dataclass
class Outcome:
    """What came of a run.

    Attributes:
        seed: of its faults.
        faults: how many there were of each kind.
        seconds: how long it took.
        takeovers: for each killed worker that owned something, the seconds until results of all
            of that came from other processes.
        problems: what was not as it should be; none is how it should be.
    """

    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    takeovers: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def draw_faults(seed: int, results: int, count: int, kinds: Sequence[str]) -> list[Fault]:
    """Return the faults of a seed, in order of time: of each kind about as many."""
    chance = random.Random(seed)
    chosen: list[str] = []
    while len(chosen) < count:
        chosen += chance.sample(kinds, len(kinds))
    places = sorted(chance.sample(range(1, results), count))
    return [Fault(kind, at) for kind, at in zip(chosen[:count], places, strict=True)]


class Takeovers:
    """Finds out from results how long it takes until others do what a killed process did."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._owner: dict[Any, int] = {}
        self._waits: list[tuple[float, int, set[Any]]] = []

    def forget(self) -> None:
        """All results come once more."""
        self._owner, self._waits = {}, []

    def killed(self, pid: int) -> None:
        """Note that a process was killed now."""
        places = {place for place, owner in self._owner.items() if owner == pid}
        if places:
            self._waits.append((time.monotonic(), pid, places))

    def seen(self, place: Any, pid: int) -> None:
        """Note that a result has come."""
        self._owner[place] = pid
        for wait in [*self._waits]:
            since, killed, places = wait
            if pid != killed:
                places.discard(place)
            if not places:
                self.seconds.append(time.monotonic() - since)
                self._waits.remove(wait)


class ChaosRun:
    """One run with its faults.

    Args:
        program: the server program.
        seed: of its faults.
        count: how many.
        kinds: of which kinds.
        calls: how often the root is called.
        lease: seconds after which a silent worker is given up.
    """

    def __init__(
        self,
        program: str,
        seed: int,
        count: int,
        kinds: Sequence[str],
        calls: int = 400,
        lease: float = 1.5,
    ) -> None:
        self._chance = random.Random(f"{seed} and more")
        disturbed = int(_DISTURBED * calls)
        self._faults = draw_faults(seed, disturbed, count, kinds)
        self._calls, self._lease = calls, lease
        self._outcome = Outcome(seed)
        self._takeovers = Takeovers()
        self._folder = Path(tempfile.mkdtemp(prefix="d4py-chaos-"))
        self._server = Server(program, self._folder, keeps="server" in kinds or "driver" in kinds)
        self._proxy = Proxy(self._server.port, self._chance)
        url = f"redis://127.0.0.1:{self._proxy.port}"
        self._server_options = "--redis-url", url, "--reconnect", _PATIENCE
        self._gate = self._folder / "disturbed"
        environment = {
            "D4PY_KEY": secrets.token_urlsafe(32),
            chaos_flow.GATE_CALL: str(disturbed + 1),
            chaos_flow.GATE_FILE: str(self._gate),
        }
        self._commands = Commands(self._folder, environment)
        self._resumable = "driver" in kinds
        self._frozen: dict[int, float] = {}
        self._remote: list[Command] = []
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._outputs: dict[str, list[Any]] = {}
        self._results = 0
        self._lines: Any = None
        self._files = 0
        self._actions = {
            "kill": self._kill,
            "freeze": self._freeze,
            "join": self._join,
            "leave": self._leave,
            "cut": self._cut,
            "tear": self._tear,
            "hold": self._hold,
            "server": self._lose_server,
            "driver": self._lose_driver,
        }

    def run(self) -> Outcome:
        """Run to the end, compare, and leave nothing behind."""
        started_at = time.monotonic()
        try:
            self._start()
            self._disturb()
            self._outcome.problems += self._differences()
        except AssertionError as error:
            self._outcome.problems.append(str(error))
        finally:
            self._clean_up()
        self._outcome.seconds = time.monotonic() - started_at
        self._outcome.takeovers = self._takeovers.seconds
        return self._outcome

    # Start and end.

    def _start(self) -> None:
        self._server.start()
        self._driver = self._drive(
            *("hybrid_redis", "d4py_conformance.chaos.workflow", "-i", self._calls, "-n", 2),
            *("--lease", self._lease, "--redeliveries", 100),  # what is killed here is not to blame
            *(["--resumable"] if self._resumable else []),
        )
        self._join()

    def _drive(self, *arguments: Any) -> Command:
        self._files += 1
        lines = self._folder / f"results-{self._files}.jsonl"
        lines.touch()
        self._lines = lines.open(encoding="utf-8")
        return self._commands.start(*arguments, *self._server_options, "--output", lines, "--quiet")

    def _differences(self) -> list[str]:
        if self._driver.returncode:
            printed = self._commands.printed(self._driver)
            return [f"the run ended with status {self._driver.returncode}: {printed}"]
        wanted = json.loads(json.dumps(chaos_flow.model(self._calls)))
        found = differences(
            {name: {"output": items} for name, items in wanted.items()},
            {name: {"output": items} for name, items in self._outputs.items()},
        )
        if not found and self._outputs["SumHere"] != wanted["SumHere"]:
            found.append("running sums came in another order")
        return found + self._left()

    def _left(self) -> list[str]:
        """Return what is there after the run and should not be."""
        for thaw in [action for _, action in self._later]:
            thaw()
        until = time.monotonic() + _ENDS
        while processes := self._commands.left():
            if time.monotonic() > until:
                return [f"processes are left: {', '.join(processes)}"]
            time.sleep(_TICK)
        keys = self._server.keys()
        return [f"{keys} keys are left"] if keys else []

    def _clean_up(self) -> None:
        for pid in self._frozen:
            send(pid, signal.SIGCONT)
        self._commands.stop()
        self._proxy.close()
        self._server.stop()
        self._lines.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    # The disturbance.

    def _disturb(self) -> None:
        faults = [*self._faults]
        moved_at, moved = time.monotonic(), -1
        while self._driver.poll() is None:
            self._read()
            now = time.monotonic()
            if self._results != moved:
                moved_at, moved = now, self._results
            assert now - moved_at < _HANGS, (
                f"no result for {_HANGS:.0f} s after {moved}\n{self._commands.stacks()}"
            )
            if not faults:
                self._gate.touch()
            elif len(self._outputs.get(_CLOCK, ())) >= faults[0].at and self._inject(
                faults[0].kind
            ):
                del faults[0]
            due = [action for at, action in self._later if at <= now]
            self._later = [(at, action) for at, action in self._later if at > now]
            for action in due:
                action()
            time.sleep(_TICK)
        self._read()

    def _inject(self, kind: str) -> bool:
        """Return whether there was something to do it to."""
        if not self._actions[kind]():
            return False
        self._outcome.faults[kind] += 1
        return True

    def _read(self) -> None:
        """Take the results that have come."""
        while line := self._lines.readline():
            while not line.endswith("\n"):
                line += self._lines.readline()
            result = json.loads(line)
            name, item = re.sub(r"\d+$", "", result["pe"]), result["data"]
            if name.endswith("Here"):
                item, pid = item
                self._takeovers.seen((name, item[0] if isinstance(item, list) else 0), pid)
            self._outputs.setdefault(name, []).append(item)
            self._results += 1

    def _workers(self) -> list[int]:
        found = [
            pid
            for command in (self._driver, *self._remote)
            for pid in self._commands.workers(command)
        ]
        return sorted({*found} - {*self._frozen})

    def _kill(self) -> bool:
        workers = self._workers()
        if not workers:
            return False
        pid = self._chance.choice(workers)
        self._takeovers.killed(pid)
        return send(pid, signal.SIGKILL)

    def _freeze(self) -> bool:
        """Stop a worker for longer than the lease; then it goes on, if it still can."""
        workers = self._workers()
        if not workers:
            return False
        pid = self._chance.choice(workers)
        self._frozen[pid] = time.monotonic()

        def thaw() -> None:
            del self._frozen[pid]
            send(pid, signal.SIGCONT)

        self._after(2 * self._lease + self._chance.random(), thaw)
        return send(pid, signal.SIGSTOP)

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        self._later.append((time.monotonic() + seconds, action))

    def _join(self) -> bool:
        self._remote.append(
            self._commands.start("worker", *self._server_options, "-n", 1, "--wait", _WAITS)
        )
        return True

    def _leave(self) -> bool:
        """Ctrl-C to a remote worker that is there, or to one that then joins."""
        running = [worker for worker in self._remote if worker.poll() is None]
        there = [worker for worker in running if self._commands.workers(worker)]
        if there:
            worker = self._chance.choice(there)
            self._remote.remove(worker)
            worker.send_signal(signal.SIGINT)
            return True
        if not running:
            self._inject("join")
        return False

    def _cut(self) -> bool:
        return self._proxy.cut(self._chance.random()) > 0

    def _tear(self) -> bool:
        self._proxy.tear(self._chance.randint(1, 4))
        return True

    def _hold(self) -> bool:
        self._proxy.hold(self._chance.choice(_HOLDS))
        return True

    def _lose_server(self) -> bool:
        self._server.kill()
        self._after(self._chance.random(), self._server.start)
        return True

    def _lose_driver(self) -> bool:
        """Kill the driver, and have another one take the run up, which hands out all results."""
        self._driver.kill()
        self._driver.wait()
        self._lines.close()
        self._outputs, self._results = {}, 0
        self._takeovers.forget()
        self._driver = self._drive("resume")
        return True
