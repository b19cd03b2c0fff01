"""What an instance sends to the driver.

Items stay pickled on their way from one instance to another: the driver only passes them on.
"""

from __future__ import annotations

from typing import NamedTuple

from dispel4py.mapping import MeterReport


class Items(NamedTuple):
    """Items for another instance.

    Attributes:
        pe: number of its PE.
        instance: number of the instance.
        input: name of the input.
        data: the list of items, pickled.
    """

    pe: int
    instance: int
    input: str
    data: bytes


class Results(NamedTuple):
    """Results of the run.

    Attributes:
        pe_id: id of the PE.
        output: name of the output.
        data: the list of items, pickled.
    """

    pe_id: str
    output: str
    data: bytes


class Skipped(NamedTuple):
    """An item that was skipped: a pickled `dispel4py.Failure`."""

    data: bytes


class Logged(NamedTuple):
    """A line that a PE has logged."""

    pe_id: str
    rank: int
    text: str


class Paused(NamedTuple):
    """Numbers of the roots that have to wait for an ordered input of the instance."""

    roots: tuple[int, ...]


class Reported(NamedTuple):
    """What the instance has done, for observers of the run."""

    report: MeterReport


class Ended(NamedTuple):
    """The instance has ended.

    Attributes:
        error: the exception that has ended it, pickled; None if all is done.
    """

    error: bytes | None = None


Message = Items | Results | Skipped | Logged | Paused | Reported | Ended
