"""PEs that leave files open, threads at work, or forked processes: rule I10."""

from __future__ import annotations

import csv
import gzip
import os
import secrets
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

from d4py_conformance.pes.common import Relay
from dispel4py import IterativePE


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
    """The same by a `csv` writer, which alone refers to the file."""

    def keeper(self, file: TextIO) -> Callable[[Any], object]:
        self.table = csv.writer(file, lineterminator="\n")
        return self.write_down

    def write_down(self, data: Any) -> None:
        self.table.writerow([data])


class KeepsDirectly(Keeps):
    """The same without anything that refers to itself, so that a reference count closes it."""

    def keeper(self, file: TextIO) -> Callable[[Any], object]:
        return partial(print, file=file)


#: What `KeepsInModule` has opened, by the name of the file.
OPENED: dict[str, tuple[TextIO, TextIO]] = {}


class KeepsInModule(Relay):
    """Sends what it gets, and writes it to files that a global variable alone refers to.

    Args:
        folder: where each instance has a file of its own, and one that is compressed.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.name = ""

    def _process(self, data: Any) -> Any:
        if not self.name:
            self.name = secrets.token_hex(8)
            own = self.folder / self.name
            OPENED[self.name] = own.open("w"), TextIOWrapper(gzip.GzipFile(f"{own}.gz", "w"))
        for file in OPENED[self.name]:
            file.write(f"{data}\n")
        return data


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
