"""Rule M6: items of an ordered input arrive in the order in which the root made them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from d4py_conformance.pes.common import Numbers, Relay
from d4py_conformance.pes.order import (
    Copied,
    Ends,
    GateForFirst,
    Grouped,
    InOrder,
    Picky,
    RunningMean,
    SeveralNumbers,
    TaggedTally,
    TopThree,
    TwoOutputs,
    Uneven,
)
from d4py_conformance.suite import Execute, Require, Suite, chain, results
from dispel4py import GenericPE, ProcessingError, WorkflowGraph, create_iterative_chain

CALLS = 60
#: How many items a run has in all; far more than an ordered input may hold.
ITEMS = 1_000_000


def some(number: int) -> list[int]:
    """Nothing for most numbers, several things for others."""
    return [number * 10 + i for i in range(number % 4)] if number % 3 else []


def keyed(number: int) -> list[tuple[int, int]]:
    """Return a number with its group."""
    return [(number % 4, number)]


def scored(number: int) -> list[tuple[int, int]]:
    """Return a number with a score that others have, too."""
    return [(number % 7, number)]


def twice(number: int) -> int:
    """Twice a number."""
    return 2 * number


def _stages() -> dict[str, tuple[Callable[[], list[Any]], Callable[[int], list[Any]]]]:
    """By name: what is between a root and an ordered input, and what comes of a number there."""
    return {
        "a-replicated-stage": (lambda: [Uneven()], lambda number: [number]),
        "two": (lambda: [Uneven(), Uneven(numprocesses=2)], lambda number: [number]),
        "none-or-several": (lambda: [Uneven(some)], some),
        "of-several-several": (
            lambda: [Uneven(some), Uneven(numprocesses=2), Uneven(some)],
            lambda number: [made for first in some(number) for made in some(first)],
        ),
        "grouped": (lambda: [Uneven(keyed), Grouped()], keyed),
        "every-instance": (lambda: [Uneven(), Copied(), Uneven()], lambda number: [number] * 2),
        "composite": (
            lambda: [Uneven(), create_iterative_chain([twice, twice]), Uneven()],
            lambda number: [4 * number],
        ),
        "single": (lambda: [Uneven(some), _single(), Uneven()], some),
        "nothing": (list, lambda number: [number]),
    }


def _single() -> GenericPE:
    pe = Relay()
    pe.single = True
    return pe


STAGES = _stages()


def numbered(items: list[Any]) -> list[tuple[int, Any]]:
    """Return what an `InOrder` sends if these come."""
    return [*enumerate(items, 1)]


class OrderRules(Suite):
    """Ordered inputs."""

    @pytest.mark.parametrize("stages", STAGES)
    def test_m6_items_arrive_in_the_order_of_the_root(
        self, execute: Execute, require: Require, stages: str
    ) -> None:
        require("stateful", "ordered")
        make, made = STAGES[stages]
        if stages in ("grouped", "every-instance"):
            require("group_by" if stages == "grouped" else "broadcast")
        flow = chain(Numbers(), *make(), last := InOrder())
        (found,) = [outputs for outputs in [execute(flow, CALLS).outputs] if outputs]
        (name,) = [name for name in found if name.startswith(last.name)]
        expected = [item for number in range(1, CALLS + 1) for item in made(number)]
        assert found[name]["output"] == numbered(expected)

    def test_m6_a_running_mean_is_that_of_the_series(
        self, execute: Execute, require: Require
    ) -> None:
        require("stateful", "ordered")
        flow = chain(SeveralNumbers(CALLS), Uneven(), RunningMean())
        expected, mean = [], 0.0
        for count, number in enumerate([-1, *range(1, 2 * CALLS + 1), -3], 1):
            mean += (number - mean) / count
            expected.append(mean)
        assert results(execute(flow, 2), "RunningMean2") == expected

    def test_m6_of_equals_the_earliest_are_kept(self, execute: Execute, require: Require) -> None:
        require("stateful", "ordered", "group_by", "lifecycle")
        found = results(execute(chain(Numbers(), Uneven(scored), TopThree()), CALLS), "TopThree2")
        assert found == [[(6, 6), (6, 13), (6, 20)]]

    def test_m6_each_of_several_instances_has_its_items_in_order(
        self, execute: Execute, require: Require
    ) -> None:
        require("stateful", "ordered", "group_by")
        flow = chain(Numbers(), Uneven(keyed), InOrder(grouping=[0], numprocesses=3))
        found = [item for _, item in results(execute(flow, CALLS), "InOrder2")]
        for key in range(4):
            mine = [number for found_key, number in found if found_key == key]
            assert mine == [number for number in range(1, CALLS + 1) if number % 4 == key]
        flow = chain(Numbers(), Uneven(), InOrder(numprocesses=2), Relay())
        assert sorted(item for _, item in results(execute(flow, CALLS), "Relay3")) == [
            *range(1, CALLS + 1)
        ]

    def test_m6_several_ways_are_put_together(self, execute: Execute, require: Require) -> None:
        # Two ways from the root, one of them with two outputs, and one ordered input after another.
        require("stateful", "ordered")
        graph = WorkflowGraph()
        root, short, split = Numbers(), Uneven(some, numprocesses=2), TwoOutputs()
        first, second = InOrder(inputs=["a", "b", "c"]), InOrder(inputs=["a", "b"])
        graph.connect(root, "output", short, "input")
        graph.connect(root, "output", split, "input")
        graph.connect(short, "output", first, "a")
        graph.connect(split, "left", first, "b")
        graph.connect(split, "right", first, "c")
        graph.connect(first, "output", after := Uneven(), "input")
        graph.connect(after, "output", second, "a")
        graph.connect(split, "right", second, "b")
        at_first: list[Any] = []
        at_second: list[Any] = []
        for number in range(1, CALLS + 1):
            for item in some(number):
                at_first.append(item)
                at_second.append((len(at_first), item))
            for turn in range(number % 4):
                item = number * 10 + turn
                at_first.append(item)
                at_second.append((len(at_first), item))
                if (number + turn) % 3:
                    at_second.append(item)
        found = results(execute(graph, CALLS), f"InOrder{5}")
        assert found == numbered(at_second)

    def test_m6_items_of_each_root_are_in_its_order(
        self, execute: Execute, require: Require
    ) -> None:
        require("stateful", "ordered")
        graph = WorkflowGraph()
        last = InOrder()
        for sign in (1, -1):
            stage = Uneven(_negative if sign < 0 else None)
            graph.connect(Numbers(), "output", stage, "input")
            graph.connect(stage, "output", last, "input")
        found = [item for _, item in results(execute(graph, CALLS), "InOrder2")]
        assert [item for item in found if item > 0] == [*range(1, CALLS + 1)]
        assert [-item for item in found if item < 0] == [*range(1, CALLS + 1)]

    def test_m6_what_is_skipped_leaves_no_gap(self, execute: Execute, require: Require) -> None:
        require("stateful", "ordered")
        result = execute(chain(Numbers(), Picky(), InOrder()), CALLS, on_error="skip")
        expected = [number if number % 5 else -number for number in range(1, CALLS) if number % 10]
        assert results(result, "InOrder2") == numbered(expected)
        assert sorted(failure.item for failure in result.failures) == [*range(5, CALLS + 1, 5)]

    def test_m6_what_preprocess_and_postprocess_write_comes_last(
        self, execute: Execute, require: Require
    ) -> None:
        require("stateful", "ordered", "lifecycle")
        flow = chain(Numbers(), _only(Ends()), Uneven(numprocesses=2), InOrder())
        found = [item for _, item in results(execute(flow, CALLS), "InOrder3")]
        assert found[: CALLS // 2] == [*range(1, CALLS + 1, 2)]
        last = ["begins Ends", *(f"ends Ends {i}" for i in range(3))]
        assert found[CALLS // 2 :] == last

    @pytest.mark.parametrize(
        ("calls", "per_call"),
        [pytest.param(ITEMS // 100, 100, id="many-calls"), pytest.param(1, ITEMS, id="one-call")],
    )
    def test_c6_a_root_waits_for_an_ordered_input(
        self, execute: Execute, require: Require, tmp_path: Path, calls: int, per_call: int
    ) -> None:
        # One item takes long, and all that come after it overtake it by another instance.
        require("stateful", "ordered", "group_by", "bounded_memory")
        tally, verdict = tmp_path / "tally", tmp_path / "verdict"
        gate = GateForFirst(tally, ITEMS, verdict)
        with pytest.raises(ProcessingError, match="EnoughError"):
            execute(chain(TaggedTally(tally, per_call), gate, InOrder()), calls, processes=4)
        assert int(verdict.read_text()) < ITEMS, "nothing made the root wait"


def _negative(number: int) -> list[int]:
    return [-number]


def _only(pe: GenericPE) -> GenericPE:
    """Return the PE with one instance, which writes at its beginning and its end."""
    pe.single = True
    return pe
