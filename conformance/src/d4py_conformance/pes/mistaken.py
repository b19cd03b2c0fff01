"""PEs with mistakes that beginners make."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dispel4py import ConsumerPE, IterativePE


class Yields(IterativePE):
    """Yields what it should write."""

    def _process(self, data: Any) -> Iterator[Any]:
        yield data


class Awaits(ConsumerPE):
    """Is called by something that does not await it."""

    async def _process(self, data: Any) -> None:
        raise AssertionError("nothing awaits this")


class ReturnsData(IterativePE):
    """Returns a dict of data where one of outputs is due."""

    def process(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return {"station": "ESK", "value": inputs["input"]}
