"""Windows: items of a stream that belong together, by their number, by time, or by a pause.

Time is *event time*, which items carry in a field as a number of seconds, not the time at which
they arrive (Akidau et al., *The dataflow model*, VLDB 2015).  All windows are kept for each key by
itself.  What is open at the end of the run is sent then.
"""

import math
from collections import defaultdict
from typing import Any, TypedDict

from dispel4py import GenericPE, IterativePE

Item = dict[str, Any]


class Window(TypedDict):
    """Items of one key whose time is from `start` to before `end`, in the order of arrival."""

    key: Any
    start: float
    end: float
    items: list[Item]


class CountWindows(IterativePE):
    """Sends lists of a number of items; the last ones may be shorter.

    Args:
        size: number of items in a list.
        key: items of a list have the same value in this field; None puts all items together that
            come to one instance.
    """

    stateful = True

    def __init__(self, size: int, key: str | None = None) -> None:
        super().__init__()
        if key is not None:
            self.add_input("input", grouping=[key])
        self.size = size
        self.key = key
        self.open: dict[Any, list[Any]] = defaultdict(list)

    def _process(self, item: Any) -> list[Any] | None:
        key = None if self.key is None else item[self.key]
        items = self.open[key]
        items.append(item)
        return self.open.pop(key) if len(items) == self.size else None

    def postprocess(self) -> None:
        for items in self.open.values():
            self.write("output", items)


class TimeWindows(GenericPE):
    """Sends a `Window` for each stretch of time, also where items come out of order.

    A window waits for late items: it is sent once an item of its key has come that is later than
    its end by `lateness`.  What comes for it after that goes to the output ``late``.

    Args:
        seconds: length of a window; windows begin at multiples of it.
        lateness: how long a window waits for items that are late, in seconds of event time.
        key: field that windows are kept by.
        time: field with the time of an item, in seconds.
    """

    def __init__(
        self, seconds: float, lateness: float = 0.0, key: str = "key", time: str = "time"
    ) -> None:
        super().__init__()
        # Which items are late depends on their order, so that must be the same on every mapping.
        self.add_input("input", grouping=[key], ordered=True)
        self.add_output("output")
        self.add_output("late")
        self.seconds = seconds
        self.lateness = lateness
        self.key = key
        self.time = time
        self.open: dict[Any, dict[float, list[Item]]] = defaultdict(dict)
        self.watermarks: dict[Any, float] = {}

    def process(self, inputs: dict[str, Any]) -> None:
        item = inputs["input"]
        key, time = item[self.key], item[self.time]
        watermark = self.watermarks.get(key, -math.inf)
        start = time // self.seconds * self.seconds
        if start + self.seconds <= watermark:
            self.write("late", item)
            return
        self.open[key].setdefault(start, []).append(item)
        if time - self.lateness > watermark:
            self.watermarks[key] = time - self.lateness
            self._send(key, until=time - self.lateness)

    def postprocess(self) -> None:
        for key in self.open:
            self._send(key, until=math.inf)

    def _send(self, key: Any, until: float) -> None:
        """Send the windows of a key that end at a time or before."""
        windows = self.open[key]
        for start in sorted(start for start in windows if start + self.seconds <= until):
            end = start + self.seconds
            window: Window = {"key": key, "start": start, "end": end, "items": windows.pop(start)}
            self.write("output", window)


class SessionWindows(IterativePE):
    """Sends a `Window` for each session: items of a key without a long pause between them.

    The items of a key must come in the order of their time.

    Args:
        pause: how many seconds without an item end a session.
        key: field that sessions are kept by.
        time: field with the time of an item, in seconds.
    """

    def __init__(self, pause: float, key: str = "key", time: str = "time") -> None:
        super().__init__()
        self.add_input("input", grouping=[key], ordered=True)
        self.pause = pause
        self.key = key
        self.time = time
        self.open: dict[Any, list[Item]] = {}

    def _process(self, item: Item) -> Window | None:
        key = item[self.key]
        session = self.open.setdefault(key, [])
        if not session or item[self.time] - session[-1][self.time] < self.pause:
            session.append(item)
            return None
        self.open[key] = [item]
        return self._window(key, session)

    def postprocess(self) -> None:
        for key, session in self.open.items():
            self.write("output", self._window(key, session))

    def _window(self, key: Any, session: list[Item]) -> Window:
        end = session[-1][self.time] + self.pause
        return {"key": key, "start": session[0][self.time], "end": end, "items": session}
