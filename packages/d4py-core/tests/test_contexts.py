"""What a PE has set by context variables is its own, and a PE may run an event loop."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from decimal import Decimal, getcontext, localcontext
from itertools import pairwise
from typing import Any

import pytest

from dispel4py import IterativePE, ProducerPE, WorkflowGraph, run
from dispel4py.processes.user_code_thread import UserCodeThread

NAME = ContextVar("NAME", default="nothing")


def chain(*pes: Any) -> WorkflowGraph:
    graph = WorkflowGraph()
    for sender, receiver in pairwise(pes):
        graph.connect(sender, "output", receiver, "input")
    return graph


class WriteAll(ProducerPE):
    """Writes so many items that some leave in the middle of the call.

    Args:
        how: what it does meanwhile.
    """

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def write_all(self) -> None:
        for n in range(1, 5001):
            self.write("output", n)

    def _process(self, inputs: Any) -> None:
        if self.how == "decimal":
            with localcontext() as context:
                context.prec = 2
                self.write_all()
        elif self.how == "variable":
            token = NAME.set("sender")
            self.write_all()
            NAME.reset(token)
        else:
            asyncio.run(self.in_loop())

    async def in_loop(self) -> None:
        task = asyncio.current_task()
        self.write_all()
        await asyncio.sleep(0)
        assert asyncio.current_task() is task


class Sees(IterativePE):
    """Sends what it sees of what others have set."""

    def _process(self, data: int) -> Any:
        return str(Decimal(1) / 7), NAME.get()


class Awaits(IterativePE):
    """Runs an event loop in one call of some, since that takes long."""

    def _process(self, data: int) -> int:
        if data % 50:
            return 2 * data

        async def double() -> int:
            await asyncio.sleep(0)
            return 2 * data

        return asyncio.run(double())


@pytest.mark.parametrize("how", ["decimal", "variable"])
def test_i12_what_a_pe_has_set_in_a_call_is_not_set_for_others(how: str) -> None:
    outputs = run(chain(WriteAll(how), Sees()), inputs=1).outputs
    with localcontext() as context:
        context.prec = 28
        assert set(outputs["Sees1"]["output"]) == {(str(Decimal(1) / 7), "nothing")}


def test_i12_what_was_set_before_the_run_is_set_in_every_call() -> None:
    token = NAME.set("caller")
    try:
        with localcontext() as context:
            context.prec = 6
            outputs = run(chain(WriteAll("variable"), Sees()), inputs=1).outputs
    finally:
        NAME.reset(token)
    assert set(outputs["Sees1"]["output"]) == {("0.142857", "caller")}


class Sets(IterativePE):
    """Sets the precision in its first call, and goes on with it."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def _preprocess(self) -> None:
        if self.how == "preprocess":
            getcontext().prec = 4

    def _process(self, data: int) -> str:
        if self.how == "process" and data == 1:
            getcontext().prec = 4
        return str(Decimal(1) / 7)


@pytest.mark.parametrize("how", ["preprocess", "process"])
@pytest.mark.parametrize("instances", [1, 3])
def test_i12_what_a_pe_has_set_lasts_until_its_end(how: str, instances: int) -> None:
    sets = Sets(how)
    sets.numprocesses = instances
    outputs = run(chain(WriteAll("variable"), sets, Sees()), inputs=1).outputs
    assert outputs["Sees2"]["output"] == [(str(Decimal(1) / 7), "nothing")] * 5000
    results = run(chain(WriteAll("variable"), sets), inputs=1).outputs["Sets1"]["output"]
    assert results == ["0.1429"] * 5000
    assert getcontext().prec == 28


def test_i12_pes_that_run_an_event_loop_may_follow_each_other() -> None:
    outputs = run(chain(WriteAll("loop"), Awaits(), Awaits()), inputs=1).outputs
    assert outputs["Awaits2"]["output"] == [4 * n for n in range(1, 5001)]


def test_i12_a_pe_may_run_an_event_loop_where_the_caller_does_as_in_a_notebook() -> None:
    tasks: list[Any] = []

    async def main() -> Any:
        task = asyncio.current_task()
        result = run(
            chain(WriteAll("loop"), Awaits()),
            inputs=1,
            on_result=lambda pe, output, data: tasks.append(asyncio.create_task(taken(data))),
        )
        assert asyncio.current_task() is task
        return result, sum(await asyncio.gather(*tasks))

    async def taken(data: int) -> int:
        return data

    result, total = asyncio.run(main())
    assert result.outputs == {}
    assert total == 5000 * 5001


def test_i12_threads_of_a_run_have_what_was_set_where_they_were_started() -> None:
    seen: list[Any] = []

    def see() -> None:
        seen.append((str(Decimal(1) / 7), NAME.get()))
        getcontext().prec = 3

    token = NAME.set("starter")
    try:
        with localcontext() as context:
            context.prec = 5
            thread = UserCodeThread(target=see, daemon=True)
            thread.start()
            thread.join()
            assert context.prec == 5
    finally:
        NAME.reset(token)
    assert seen == [("0.14286", "starter")]
