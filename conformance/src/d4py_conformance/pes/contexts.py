"""PEs that set context variables, or run an event loop, while they write: rule I12."""

from __future__ import annotations

import asyncio
from decimal import Decimal, localcontext
from typing import Any

from dispel4py import IterativePE, ProducerPE

#: So many that some are sent in the middle of the call.
WRITTEN = 3000


class Round(ProducerPE):
    """Writes numbers from 1 while it computes with two digits."""

    def _process(self, inputs: Any) -> None:
        with localcontext() as context:
            context.prec = 2
            for n in range(1, WRITTEN + 1):
                self.write("output", n)


class Seventh(IterativePE):
    """Sends 1 / 7 for each item."""

    def _process(self, data: int) -> str:
        return str(Decimal(1) / 7)


class WriteInLoop(ProducerPE):
    """Writes numbers from 1 in an event loop."""

    def _process(self, inputs: Any) -> None:
        asyncio.run(self.write_all())

    async def write_all(self) -> None:
        for n in range(1, WRITTEN + 1):
            self.write("output", n)


class Await(IterativePE):
    """Runs an event loop for some of its items, and sends all."""

    def _process(self, data: int) -> int:
        return data if data % 100 else asyncio.run(self.same(data))

    async def same(self, data: int) -> int:
        await asyncio.sleep(0)
        return data
