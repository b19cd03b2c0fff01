"""Counts the instructions that an item costs on paths within one process, by valgrind.

Times depend on what else a machine does; instructions hardly do.  Batches depend on time, so the
clock of the engine stands still here, and all are as large as they may be.  A path is run with two
numbers of items, each in a process of its own, so that what the start costs cancels out:

    dispel4py-conformance bench-instructions words codec
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import islice, pairwise
from typing import Any, NamedTuple, NoReturn

from dispel4py import GenericPE, IterativePE, ProducerPE, RunOptions, WorkflowGraph
from dispel4py.engine.execution.routing import Router
from dispel4py.engine.items.codec import Codec
from dispel4py.engine.items.copying import copy_item
from dispel4py.engine.planning.plan import make_plan
from dispel4py.engine.run_events import RunEvents
from dispel4py.errors import OptionError
from dispel4py.events import Event
from dispel4py.mappings.simple import SimpleMapping
from dispel4py.observing.event_stream import EventStream

#: Numbers of items with which a path is run.
_FEW, _MANY = 8_000, 24_000
_BATCH = 1_000
_WORDS = [(f"word{number * 7919 % 1009}", 1) for number in range(1009)]


class Path(NamedTuple):
    """A path that items take.

    Attributes:
        what: What is done with an item.
        run: Does it with so many items.
    """

    what: str
    run: Callable[[int], Any]


class _Source(ProducerPE):
    """Sends items in turn, again and again."""

    number = -1

    def __init__(self, items: Sequence[Any]) -> None:
        super().__init__()
        self.items = items

    def _process(self, inputs: Any) -> Any:
        self.number += 1
        return self.items[self.number % len(self.items)]


class _Relay(IterativePE):
    """Sends what it gets."""

    def _process(self, data: Any) -> Any:
        return data


class _Count(GenericPE):
    """Counts words, in three instances."""

    def __init__(self) -> None:
        super().__init__(3)
        self._add_input("input", grouping=[0])
        self.counts: dict[str, int] = {}

    def process(self, inputs: Any) -> None:
        word, one = inputs["input"]
        self.counts[word] = self.counts.get(word, 0) + one


def _chain(pes: Sequence[GenericPE]) -> WorkflowGraph:
    graph = WorkflowGraph()
    for source, destination in pairwise(pes):
        graph.connect(source, "output", destination, "input")
    return graph


def _on_simple(pes: Sequence[GenericPE], count: int, observers: Sequence[RunEvents] = ()) -> None:
    SimpleMapping(clock=lambda: 0.0).run(_chain(pes), count, RunOptions(observers=observers))


class _Ignore:
    """An observer that does nothing."""

    def on_event(self, event: Event) -> None:
        """See `dispel4py.events.Observer`."""


def _stages() -> list[GenericPE]:
    return [_Source(range(1000)), *(_Relay() for _ in range(5))]


def _observed(count: int) -> None:
    events = EventStream([_Ignore()])
    _on_simple(_stages(), count, [events])
    events.end(None)


def _batches(count: int) -> Iterable[list[Any]]:
    """Yield words in batches."""
    words = (_WORDS[number % len(_WORDS)] for number in range(count))
    while batch := [*islice(words, _BATCH)]:
        yield batch


def _route(count: int) -> None:
    (route,) = make_plan(_chain([_Source(_WORDS), _Count()])).pes[0].routes["output"]
    router = Router(route, 3, 0, copy_item, _raise)
    for batch in _batches(count):
        for _ in router.split(batch):
            pass


def _raise(error: BaseException, item: Any) -> NoReturn:
    raise error


def _pickle(count: int) -> None:
    codec = Codec()
    for batch in _batches(count):
        codec.loads(codec.dumps(batch))


def _copy(item: Any) -> Callable[[int], None]:
    def run(count: int) -> None:
        for _ in range(count):
            copy_item(item)

    return run


_NESTED = {
    "id": 1,
    "samples": [{"at": 0.5, "values": [0.5, 0.25, 1.0]} for _ in range(8)],
    "tags": ("a", "b"),
}
PATHS = {
    "stages": Path(
        "a number through a root and five PEs that change nothing, `simple`",
        lambda count: _on_simple(_stages(), count),
    ),
    "observed": Path("the same in an observed run", _observed),
    "words": Path(
        "a pair of a word and a 1, counted by word in three instances, `simple`",
        lambda count: _on_simple([_Source(_WORDS), _Count()], count),
    ),
    "dicts": Path(
        "a dict of two numbers through a root and a PE, `simple`",
        lambda count: _on_simple([_Source([{"a": 1, "b": 0.5}]), _Relay()], count),
    ),
    "route": Path("a pair, routed by its word to one of three instances", _route),
    "codec": Path("a pair, pickled and unpickled in a batch", _pickle),
    "copy": Path(
        "a copy of a dict with eight dicts, each with a list of three numbers", _copy(_NESTED)
    ),
}


def instructions_per_item(name: str) -> float:
    """Return how many instructions an item costs on a path.

    Raises:
        OptionError: valgrind is not installed, or cannot run this Python.
    """
    few, many = (_instructions(name, count) for count in (_FEW, _MANY))
    return (many - few) / (_MANY - _FEW)


def print_table(names: Sequence[str]) -> None:
    """Print a table in Markdown of some paths; of all if none is named.

    Raises:
        OptionError: see `instructions_per_item`; or there is no such path.
    """
    unknown = [name for name in names if name not in PATHS]
    if unknown:
        raise OptionError(f"there is no path {unknown[0]!r}; there are: {', '.join(PATHS)}")
    print("| path | what is done with an item | instructions |\n|---|---|---|")
    for name in names or PATHS:
        print(f"| {name} | {PATHS[name].what} | {instructions_per_item(name):,.0f} |", flush=True)


def _instructions(name: str, count: int) -> int:
    command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    command += [sys.executable, "-m", __name__, name, str(count)]
    try:
        ended = subprocess.run(
            command,
            env={**os.environ, "PYTHONHASHSEED": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise OptionError(
            "valgrind is not installed; on Debian: apt-get install valgrind"
        ) from None
    found = re.search(r"I +refs: +([\d,]+)", ended.stderr)
    if ended.returncode or found is None:
        raise OptionError(f"valgrind has not counted: {ended.stderr[-2000:]}")
    return int(found[1].replace(",", ""))


if __name__ == "__main__":
    PATHS[sys.argv[1]].run(int(sys.argv[2]))
