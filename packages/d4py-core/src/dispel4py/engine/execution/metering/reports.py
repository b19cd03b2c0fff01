"""What a process reports of its instances; it travels to the process that drives the run.

Times are relative, since clocks of hosts differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

#: Number of a PE → id of a PE that is behind, and for which it waits.
Blocked = Mapping[int, str]


class InstanceActivity(NamedTuple):
    """What an instance has done so far in this process; see `dispel4py.events.InstanceReport`.

    `in_call` is for how many seconds the call in progress has lasted; None without one.
    """

    pe_id: str
    instance: int
    calls: int
    items_out: dict[str, int]
    seconds: float
    bytes_out: dict[str, int]
    failures: int
    in_call: float | None
    blocked_by: str | None
    is_done: bool


class SlowestCall(NamedTuple):
    """A slow call, or batch of calls; see `dispel4py.events.SlowCall`.

    `ago` is how many seconds ago it began.
    """

    pe_id: str
    instance: int
    ago: float
    seconds: float
    item: str
    calls: int


class MeterReport(NamedTuple):
    """What has changed in a process since its last report.

    Attributes:
        worker: number of the process.
        host: its host.
        pid: its process id.
        instances: those whose activity has changed.
        slow: slow calls since the last report.
        queues: id of a PE, and how many items wait for its instances here.
    """

    worker: int
    host: str
    pid: int
    instances: list[InstanceActivity]
    slow: list[SlowestCall]
    queues: list[tuple[str, int]]


#: Takes the reports of a process.
SendReport = Callable[[MeterReport], None]
