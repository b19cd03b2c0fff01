"""The PEs that the rule tests are made from.

They live in a module of their own because worker processes have to be able to import them.
"""

from __future__ import annotations

import csv
import os
import secrets
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from dispel4py import BasePE, GenericPE, IterativePE, ProducerPE

#: In a run apart, this variable of the environment is the number of the process that called `run`.
DRIVER = "D4PY_CONFORMANCE_DRIVER"


@dataclass
class Sample:
    """An item of a class of the workflow's own."""

    station: str
    values: list[float]


class Numbers(ProducerPE):
    """Sends 1, 2, 3, …, one per call."""

    def __init__(self) -> None:
        super().__init__()
        self.counter = 0

    def _process(self, inputs: Any) -> int:
        self.counter += 1
        return self.counter


class Emit(ProducerPE):
    """Writes all of the given items in each call."""

    def __init__(self, items: Iterable[Any]) -> None:
        super().__init__()
        self.items = list(items)

    def _process(self, inputs: Any) -> None:
        for item in self.items:
            self.write("output", item)


class Relay(IterativePE):
    """Sends what it gets."""

    def __init__(self, name: str | None = None, numprocesses: int = 1) -> None:
        super().__init__()
        self.name = name or self.name
        self.numprocesses = numprocesses

    def _process(self, data: Any) -> Any:
        return data


class Tag(IterativePE):
    """Sends ``(tag, item)``."""

    def __init__(self, tag: str) -> None:
        super().__init__()
        self.tag = tag

    def _process(self, data: Any) -> tuple[str, Any]:
        return self.tag, data


class Ports(GenericPE):
    """Sends ``(names of the inputs that this call came with, item)``."""

    def __init__(self, *inputs: str) -> None:
        super().__init__()
        for name in inputs:
            self._add_input(name)
        self._add_output("output")

    def process(self, inputs: dict[str, Any]) -> dict[str, Any]:
        (data,) = inputs.values()
        return {"output": (*inputs, data)}


class Sorter(BasePE):
    """Sends even numbers to ``even``, odd ones to ``odd``, and writes each one twice to ``all``."""

    def __init__(self) -> None:
        super().__init__(inputs=["input"], outputs=["even", "odd", "all"])

    def process(self, inputs: dict[str, Any]) -> dict[str, Any]:
        number = inputs["input"]
        self.write("all", number)
        self.write("all", number)
        return {"odd" if number % 2 else "even": number}


class Silent(IterativePE):
    """Sends nothing, by returning ``{}`` for even numbers and None for odd ones."""

    def process(self, inputs: dict[str, Any]) -> dict[str, Any] | None:
        return None if inputs["input"] % 2 else {}


class Pause(Relay):
    """Sends what it gets after some seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def _process(self, data: Any) -> Any:
        time.sleep(self.seconds)
        return data


class Apply(IterativePE):
    """Gets a function and sends what it makes of 20."""

    def _process(self, function: Any) -> Any:
        return function(20)


class Identity(IterativePE):
    """Sends its own id and rank, and logs a line."""

    def _process(self, data: Any) -> tuple[str, Any]:
        self.log(f"at {data}")
        return self.id, self.rank


class Diary(GenericPE):
    """Writes down what happens to an instance, and sends the list when the instance ends.

    The list starts with ``"pre"``, once for each call of preprocess; the items follow.
    """

    def __init__(self, grouping: str | Sequence[Any] | None = None, numprocesses: int = 1) -> None:
        super().__init__(numprocesses)
        self._add_input("input", grouping=grouping)
        self._add_output("output")
        self.events: list[Any] = []

    def _preprocess(self) -> None:
        self.events.append("pre")

    def _process(self, inputs: dict[str, Any]) -> None:
        self.events.append(inputs["input"])

    def _postprocess(self) -> None:
        self.write("output", self.events)


class KeptDiary(Diary):
    """A diary that is a state of its own, so that one instance sees everything."""

    stateful = True


class Talker(IterativePE):
    """Sends ``"pre"``, each item, and ``"post"``."""

    def _preprocess(self) -> None:
        self.write("output", "pre")

    def _process(self, data: Any) -> Any:
        return data

    def _postprocess(self) -> None:
        self.write("output", "post")


class TalkingNumbers(Numbers):
    """A root that sends ``"pre"``, numbers, and ``"post"``."""

    def _preprocess(self) -> None:
        self.write("output", "pre")

    def _postprocess(self) -> None:
        self.write("output", "post")


class Total(IterativePE):
    """Sends the sum of all that it got when it ends, and nothing before."""

    stateful = True

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def _process(self, data: int) -> None:
        self.total += data

    def _postprocess(self) -> None:
        self.write("output", self.total)


class Reuser(ProducerPE):
    """Sends one and the same list in each call, longer by a number each time."""

    def __init__(self) -> None:
        super().__init__()
        self.data: list[Any] = []

    def _process(self, inputs: Any) -> None:
        self.data.append(len(self.data) + 1)
        self.write("output", self.data)
        self.data.append("spoilt")
        self.data.pop()


class Spoiler(IterativePE):
    """Appends a mark to the list that it gets, and sends that list."""

    def __init__(self, mark: str) -> None:
        super().__init__()
        self.mark = mark

    def _process(self, data: list[Any]) -> list[Any]:
        data.append(self.mark)
        return data


class StubbornError(Exception):
    """An exception that pickle cannot make again: its `args` are not what its class asks for."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{reason} (code {code})")


class Fails(IterativePE):
    """Sends what it gets, but raises at some numbers.

    Args:
        at: the numbers.
        stubborn: raise a `StubbornError` rather than a ValueError.
    """

    def __init__(self, at: Sequence[int], stubborn: bool = False) -> None:
        super().__init__()
        self.at = at
        self.stubborn = stubborn

    def _process(self, data: Any) -> Any:
        if data in self.at:
            self.explode()
        return data

    def explode(self) -> None:
        """Raise."""
        if self.stubborn:
            raise StubbornError(42, "the sensor is broken")
        raise ValueError("the sensor is broken")


class FailsOutside(Fails):
    """Sends what it gets, but raises in ``"preprocess"`` or ``"postprocess"``."""

    def __init__(self, phase: str) -> None:
        super().__init__(at=[])
        self.phase = phase

    def _preprocess(self) -> None:
        if self.phase == "preprocess":
            self.explode()

    def _postprocess(self) -> None:
        if self.phase == "postprocess":
            self.explode()


class FailsWithTime(IterativePE):
    """Raises at the first item, and says when, in seconds."""

    def _process(self, data: Any) -> None:
        raise ValueError(f"broken at {time.time()}")


class WrongOutput(GenericPE):
    """Sends to an output that it has not, by returning or by writing."""

    def __init__(self, by_writing: bool) -> None:
        super().__init__()
        self._add_input("input")
        self._add_output("left")
        self._add_output("right")
        self.by_writing = by_writing

    def process(self, inputs: dict[str, Any]) -> dict[str, Any] | None:
        if not self.by_writing:
            return {"middle": inputs["input"]}
        self.write("middle", inputs["input"])
        return None


class Clock(IterativePE):
    """Sends the time, in seconds, at which an item came."""

    def _process(self, data: Any) -> float:
        return time.time()


class TracedNumbers(Numbers):
    """Sends (1,), (2,), (3,), …, and leaves a file when it is called."""

    def __init__(self, trace: Path) -> None:
        super().__init__()
        self.trace = trace

    def _process(self, inputs: Any) -> Any:
        self.trace.touch()
        return (super()._process(inputs),)


class Traced(Relay):
    """Sends what it gets, and leaves a file when it is called."""

    def __init__(
        self,
        trace: Path,
        grouping: str | Sequence[Any] | None = None,
        numprocesses: int = 1,
        keep: Any = None,
    ) -> None:
        super().__init__(numprocesses=numprocesses)
        self.inputconnections["input"]["grouping"] = grouping
        self.trace = trace
        self.keep = keep

    def _process(self, data: Any) -> Any:
        self.trace.touch()
        return data


class TracedTalker(Traced):
    """The same with a life cycle: sends ``"pre"`` before and ``"post"`` behind."""

    def _preprocess(self) -> None:
        self.trace.touch()
        self.write("output", "pre")

    def _postprocess(self) -> None:
        self.write("output", "post")


class Where(Relay):
    """Sends ``(item, number of the process that it came to)``."""

    def _process(self, data: Any) -> tuple[Any, int]:
        return data, os.getpid()


class PlacedNumbers(Numbers):
    """Sends ``(n, number of the process)``."""

    def _process(self, inputs: Any) -> Any:
        return super()._process(inputs), os.getpid()


class PartialSum(IterativePE):
    """Sends the sum of what it got when it ends; whoever adds those up has it all."""

    ignored_state = ("sum",)

    def __init__(self) -> None:
        super().__init__()
        self.sum = 0

    def _process(self, data: int) -> None:
        self.sum += data

    def _postprocess(self) -> None:
        self.write("output", self.sum)


class InDriverError(Exception):
    """A PE was to kill its worker, and the worker is the process that called `run`."""


def crash_once(marker: Path) -> None:
    """Kill this process with SIGKILL, the first time that anybody asks for it.

    Args:
        marker: a file that is not there yet; holds the number of the process afterwards.
    """
    if os.environ.get(DRIVER) == str(os.getpid()):
        raise InDriverError("this PE runs in the process that called run()")
    try:
        with marker.open("x") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


class CrashingNumbers(Numbers):
    """Numbers whose worker is killed at one of them."""

    def __init__(self, marker: Path, at: int) -> None:
        super().__init__()
        self.marker = marker
        self.at = at

    def _process(self, inputs: Any) -> int:
        number = super()._process(inputs)
        if number == self.at:
            crash_once(self.marker)
        return number


class Crashing(Relay):
    """Sends what it gets; its worker is killed at one item."""

    def __init__(self, marker: Path, at: int) -> None:
        super().__init__()
        self.marker = marker
        self.at = at

    def _process(self, data: Any) -> Any:
        if data == self.at:
            crash_once(self.marker)
        return data


class CrashingCounter(Crashing):
    """Sends ``(item, how many came so far)``; its worker is killed at one item."""

    stateful = True

    def __init__(self, marker: Path, at: int) -> None:
        super().__init__(marker, at)
        self.count = 0

    def _process(self, data: Any) -> Any:
        self.count += 1
        return super()._process(data), self.count


#: How many items a `Tally` adds to its file at a time.
TALLY_STEP = 500


class Tally(ProducerPE):
    """Sends items, several per call; its file grows by a byte with every `step` of them.

    Args:
        file: the file.
        per_call: items per call.
        size: of each item, in bytes; 0 sends 1, 2, 3, … instead.
        step: how often to count.
    """

    def __init__(self, file: Path, per_call: int, size: int = 0, step: int = TALLY_STEP) -> None:
        super().__init__()
        self.file = file
        self.per_call = per_call
        self.size = size
        self.step = step
        self.sent = 0

    def _process(self, inputs: Any) -> None:
        for _ in range(self.per_call):
            self.sent += 1
            if self.sent % self.step == 0:
                with self.file.open("ab") as file:
                    file.write(b".")
            self.write("output", bytes(self.size) if self.size else self.sent)


class LooksSmall:
    """An item whose size shows only when it is pickled: what it holds is far down, and it lies.

    Args:
        size: of what it holds, in bytes.
    """

    __slots__ = ("_held",)
    nbytes = 8

    def __init__(self, size: int) -> None:
        self._held = [{"a": [{"b": [bytearray(size)]}]}]

    def __sizeof__(self) -> int:
        return 64


class LargeLater(ProducerPE):
    """Returns small items for a while, then large ones, of which it keeps a tally.

    Args:
        file: grows by a byte with each large item.
        small: how many small items, 1, 2, 3, …, come first.
        size: of the others, in bytes.
    """

    def __init__(self, file: Path, small: int, size: int) -> None:
        super().__init__()
        self.file, self.small, self.size = file, small, size
        self.sent = 0

    def _process(self, inputs: Any) -> int | LooksSmall:
        self.sent += 1
        if self.sent <= self.small:
            return self.sent
        with self.file.open("ab") as file:
            file.write(b".")
        return LooksSmall(self.size)


class EnoughError(Exception):
    """The run has shown what it was to show."""


class Gate(IterativePE):
    """Lets nothing pass: waits until the sender of a tally pauses or is done, and ends the run.

    Says in a file of its own how many items had been sent by then.

    Args:
        tally: the tally.
        count: how many items will have been sent at the end.
        verdict: that file.
        step: see `Tally`.
        lets: type of items that it lets pass.
    """

    def __init__(
        self,
        tally: Path,
        count: int,
        verdict: Path,
        step: int = TALLY_STEP,
        lets: type | None = None,
    ) -> None:
        super().__init__()
        self.lets = lets
        self.tally = tally
        self.step = step
        self.count = count
        self.verdict = verdict

    def _process(self, data: Any) -> None:
        if self.lets is not None and isinstance(data, self.lets):
            return
        sent, changed_at = 0, time.monotonic()
        while sent < self.count and time.monotonic() - changed_at < STILL_SECONDS:
            time.sleep(0.01)
            before, sent = sent, self.tally_now()
            if sent != before:
                changed_at = time.monotonic()
        # Other replicas may say so too, and may be stopped while they do.
        own = self.verdict.with_name(f"{self.verdict.name}-{os.getpid()}")
        own.write_text(str(sent))
        own.replace(self.verdict)
        raise EnoughError

    def tally_now(self) -> int:
        """How many items were sent."""
        return self.tally.stat().st_size * self.step if self.tally.exists() else 0


#: A sender that has not sent for so long is waiting.
STILL_SECONDS = 0.5


class Keeps(Relay):
    """Sends what it gets, and writes it to a file of each instance's own that it never closes.

    Args:
        place: a folder for the files; or a device, which is written to itself.
    """

    def __init__(self, place: Path) -> None:
        super().__init__()
        self.place = place
        self.keep: Callable[[Any], object] | None = None

    def _process(self, data: Any) -> Any:
        if self.keep is None:  # not in preprocess, which not all mappings call
            own = self.place / secrets.token_hex(8) if self.place.is_dir() else self.place
            self.keep = self.keeper(own.open("w"))
        self.keep(data)
        return data

    def keeper(self, file: TextIO) -> Callable[[Any], object]:
        """Return what writes an item."""
        self.file = file
        return self.write_down

    def write_down(self, data: Any) -> None:
        """Write an item."""
        self.file.write(f"{data}\n")


class KeepsCsv(Keeps):
    """The same by a `csv` writer, which alone knows the file."""

    def keeper(self, file: TextIO) -> Callable[[Any], object]:
        self.table = csv.writer(file, lineterminator="\n")
        return self.write_down

    def write_down(self, data: Any) -> None:
        self.table.writerow([data])


class KeepsDirectly(Keeps):
    """The same without anything that refers to itself, so that a reference count closes it."""

    def keeper(self, file: TextIO) -> Callable[[Any], object]:
        return partial(print, file=file)


#: How long the threads of `WorksOn` and `Submits` work, in seconds.
WORK_SECONDS = 0.3


class WorksOn(Relay):
    """Sends what it gets, while a thread goes on for a moment and leaves a file for each item."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def _process(self, data: Any) -> Any:
        threading.Thread(target=_work, args=(self.folder, data)).start()
        return data


class Forks(IterativePE):
    """Hands items on, and forks a process for each, which writes and logs as well."""

    def _process(self, data: Any) -> Any:
        self.write("output", data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # a process that has threads forks
            child = os.fork()
        if not child:
            try:
                self.log("in a process of its own")
                time.sleep(0.02)  # so long that what was written goes on its way
                self.write("output", -data)
            finally:
                os._exit(0)
        os.waitpid(child, 0)


class Submits(WorksOn):
    """The same by a pool of threads, which it never shuts down."""

    pool: ThreadPoolExecutor | None = None

    def _process(self, data: Any) -> Any:
        if self.pool is None:
            self.pool = ThreadPoolExecutor(2)
        self.pool.submit(_work, self.folder, data)
        return data


def _work(folder: Path, data: Any) -> None:
    time.sleep(WORK_SECONDS)
    (folder / str(data)).touch()


class Fetch(ProducerPE):
    """A root whose calls do not depend on one another: sends the `number` that one came with.

    A call that came with none sends ``"called"``.
    """

    independent_calls = True

    def _process(self, inputs: Any) -> Any:
        return inputs.pop("number", "called")


class NamedFetch(Fetch):
    """Sends ``(id of the call, number)``."""

    item_ids = True

    def _process(self, inputs: Any) -> Any:
        return self.item_id, super()._process(inputs)


class TalkingFetch(Fetch):
    """Sends ``"pre"`` before all and ``("post", how often it was called)`` behind."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def _preprocess(self) -> None:
        self.write("output", "pre")

    def _process(self, inputs: Any) -> Any:
        self.calls += 1
        return super()._process(inputs)

    def _postprocess(self) -> None:
        self.write("output", ("post", self.calls))


class FailingFetch(Fetch):
    """Raises at a number."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def _process(self, inputs: Any) -> Any:
        if inputs["number"] == self.at:
            raise ValueError("the server is broken")
        return super()._process(inputs)


class CrashingFetch(Fetch):
    """Its worker is killed at a number."""

    def __init__(self, marker: Path, at: int) -> None:
        super().__init__()
        self.marker = marker
        self.at = at

    def _process(self, inputs: Any) -> Any:
        if inputs["number"] == self.at:
            crash_once(self.marker)
        return super()._process(inputs)


class MeetingFetch(Fetch):
    """Each call waits until calls in so many processes were begun.

    Args:
        folder: where each process leaves a file.
        processes: how many.
    """

    def __init__(self, folder: Path, processes: int) -> None:
        super().__init__()
        self.numprocesses = processes
        self.folder = folder

    def _process(self, inputs: Any) -> Any:
        (self.folder / str(os.getpid())).touch()
        until = time.monotonic() + MEETING_SECONDS
        while len(os.listdir(self.folder)) < self.numprocesses:
            if time.monotonic() > until:
                raise TimeoutError("all calls are made in one place")
            time.sleep(0.002)
        return super()._process(inputs)


class OverwritingFetch(MeetingFetch):
    """Has the same file open for writing in each of the processes.

    Args:
        folder: see `MeetingFetch`.
        path: the file.
    """

    def __init__(self, folder: Path, path: Path) -> None:
        super().__init__(folder, 2)
        self.path = path

    def _preprocess(self) -> None:
        self.file = self.path.open("w")

    def _postprocess(self) -> None:
        self.file.close()


#: How long a `MeetingFetch` waits.
MEETING_SECONDS = 20.0
