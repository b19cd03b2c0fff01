"""Mutants that read the inputs of roots, or share out their calls, wrongly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from d4py_conformance.mutants.routing import ODD_ITEM
from d4py_conformance.mutants.sound import Sound
from dispel4py import WorkflowGraph
from dispel4py.engine.inputs import CallRange, root_inputs
from dispel4py.engine.planning.plan import make_plan
from dispel4py.result import RunOptions, RunResult


class WantsRootsOnly(Sound):
    """Refuses inputs that name something beside the roots."""

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        if isinstance(inputs, Mapping):
            for key in inputs:
                root_inputs(make_plan(graph), {key: 0})
        return super().run(graph, inputs, options)


class DealsACallTwice(Sound):
    """Deals independent calls in pieces, each of which begins with the last call of another."""

    def call(self, root: int, items: Iterator[dict[str, Any]]) -> None:
        if not self.plan.pes[root].has_independent_calls:
            super().call(root, items)
            return
        for piece in self.pieces([*items]):
            left = piece
            while left:
                left = self.executor.call_range(root, 0, left)

    def pieces(self, made: list[dict[str, Any]]) -> Iterator[CallRange]:
        """Return the pieces."""
        for first in range(0, len(made), ODD_ITEM):
            yield CallRange(first, made[first : first + ODD_ITEM + 1])


class DropsTheLastCalls(DealsACallTwice):
    """Deals them in pieces of one size, and forgets what is left."""

    def pieces(self, made: list[dict[str, Any]]) -> Iterator[CallRange]:
        for first in range(0, len(made) - ODD_ITEM, ODD_ITEM):
            yield CallRange(first, made[first : first + ODD_ITEM])


class NumbersCallsByPiece(DealsACallTwice):
    """Counts the calls of each piece from 0, so that different ones have the same id."""

    def pieces(self, made: list[dict[str, Any]]) -> Iterator[CallRange]:
        for first in range(0, len(made), ODD_ITEM):
            yield CallRange(0, made[first : first + ODD_ITEM])
