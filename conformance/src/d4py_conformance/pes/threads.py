"""The PEs of rule I5: those that write and log in threads of their own.

They live in a module of their own because worker processes have to be able to import them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from d4py_conformance.waiting import wait_until
from dispel4py import IterativePE, ProducerPE


def in_threads(count: int, work: Callable[[int], Any]) -> None:
    """Call a function in so many threads, each with its number, and wait for them."""
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Receives(ProducerPE):
    """Sends (connection, number) of so many messages, received by a thread for each connection."""

    def __init__(self, connections: int, messages: int) -> None:
        super().__init__()
        self.connections, self.messages = connections, messages

    def _process(self, inputs: Any) -> None:
        in_threads(self.connections, self._receive)

    def _receive(self, connection: int) -> None:
        for number in range(self.messages):
            self.write("output", (connection, number))


class Doubles(IterativePE):
    """Sends what it gets twice: from a thread, and in the call itself."""

    def _process(self, data: Any) -> Any:
        in_threads(1, lambda number: self.write("output", data))
        return data


class LogsInThreads(IterativePE):
    """Sends what it gets, and logs from a thread before, at each item, and after."""

    def _preprocess(self) -> None:
        in_threads(1, lambda number: self.log("<thread in preprocess>"))

    def _process(self, data: Any) -> Any:
        in_threads(2, lambda number: self.log(f"<thread {number} at {data}>"))
        return data

    def _postprocess(self) -> None:
        in_threads(1, lambda number: self.log("<thread in postprocess>"))


class Listens(ProducerPE):
    """Has a thread write numbers, each once the one before has arrived, and waits in one call.

    Args:
        folder: where `Notes` leaves a file for each item.
        numbers: how many.
    """

    def __init__(self, folder: Path, numbers: int) -> None:
        super().__init__()
        self.folder, self.numbers = folder, numbers

    def _process(self, inputs: Any) -> None:
        with ThreadPoolExecutor(1) as pool:
            for number in range(self.numbers):
                pool.submit(self.write, "output", number).result()
                wait_until((self.folder / str(number)).exists, f"the arrival of {number}")


class Notes(IterativePE):
    """Leaves a file for each item."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def _process(self, data: Any) -> Any:
        (self.folder / str(data)).touch()
        return data


class ShutsDownAPool(IterativePE):
    """Gives work to a pool, which writes what comes of it, and is shut down in postprocess."""

    stateful = True

    def _preprocess(self) -> None:
        self.pool = ThreadPoolExecutor(2)
        self.kept: list[Any] = []

    def _process(self, data: Any) -> None:
        self.kept.append(data)

    def _postprocess(self) -> None:
        for data in self.kept:
            self.pool.submit(partial(self.write, "output"), data)
        self.pool.shutdown()

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        state.pop("pool", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, pool=ThreadPoolExecutor(2))


class WritesLate(ProducerPE):
    """Has a thread write, most likely when the first call has returned, and waits for it at last.

    Args:
        marker: a file that is made when it has.
    """

    def __init__(self, marker: Path) -> None:
        super().__init__()
        self.marker = marker
        self.thread: threading.Thread | None = None

    def _process(self, inputs: Any) -> None:
        if self.thread is None:
            self.thread = threading.Thread(target=self._write_late)
            self.thread.start()

    def _write_late(self) -> None:
        time.sleep(0.1)
        try:
            self.write("output", "late")
        finally:
            self.marker.touch()

    def _postprocess(self) -> None:
        if self.thread is not None:
            self.thread.join()
