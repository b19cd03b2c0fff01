"""Mutants without a bound on the items that are on their way."""

from __future__ import annotations

import sys
from collections import deque
from typing import Any

from d4py_conformance.mutants.sound import Sound
from dispel4py.engine.planning.plan import Plan

#: How many bytes of items may look as if they were gathered.
MOST_HELD_BYTES = 4 << 20


class UnboundedQueue(Sound):
    """Takes whatever a root sends before it processes any of it."""

    def planned(self, plan: Plan) -> Plan:
        self.queue: deque[tuple[int, int, str, list[Any]]] = deque()
        return super().planned(plan)

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        self.queue.append((pe, instance, input_name, items))

    def finish(self, pe: int, instance: int) -> None:
        self.empty()
        super().finish(pe, instance)
        self.empty()

    def empty(self) -> None:
        """Process all that waits."""
        while self.queue:
            self.executor.push(*self.queue.popleft())
            self.executor.drain()


class GuessesSizes(UnboundedQueue):
    """Gathers items until they look as if they were large."""

    held = 0

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        super().send(pe, instance, input_name, items)
        self.held += sum(map(sys.getsizeof, items))
        if self.held > MOST_HELD_BYTES:
            self.held = 0
            while self.queue:
                self.executor.push(*self.queue.popleft())
