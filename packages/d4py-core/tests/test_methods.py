"""Methods that nothing would run are problems of the graph, each with what to write instead."""

import functools

import pytest

from dispel4py import (
    ConsumerPE,
    GenericPE,
    IterativePE,
    ProducerPE,
    SimpleFunctionPE,
    WorkflowGraph,
    run,
)
from dispel4py.engine.planning.plan import make_plan
from dispel4py.errors import GraphError

YIELD = "has a yield, so that calling it runs none of its code; "
WRITE = YIELD + "write each item with self.write('output', item) instead"
ASYNC = "is an async def, which nothing awaits; write def, and in it asyncio.run(…) for what has"


def yields(self, *arguments):
    yield arguments


async def awaits(self, *arguments):
    return arguments


async def both(self, *arguments):
    yield arguments


class Ports(GenericPE):
    def __init__(self):
        super().__init__()
        self._add_input("input")
        self._add_output("output")


def with_method(base, name, method):
    return type("Mine", (base,), {name: method})()


class Forwards(IterativePE):
    def __init__(self):
        super().__init__()
        self.inner = {"a": 1}

    def __getattr__(self, name):
        return self.inner[name]


class Knows(Forwards):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self.inner[name]


def test_a_getattr_that_no_copy_of_the_pe_survives():
    (found,) = problems(Forwards())
    assert "Forwards0: __getattr__() raises RecursionError for '__setstate__'" in found
    assert problems(Knows()) == []


def problems(pe):
    graph = WorkflowGraph()
    graph.add(pe)
    try:
        make_plan(graph)
    except GraphError as error:
        return list(error.problems)
    return []


@pytest.mark.parametrize(
    ("base", "name", "method", "problem"),
    [
        (IterativePE, "_process", yields, f"_process() {WRITE}"),
        (ProducerPE, "_process", yields, f"_process() {WRITE}"),
        (ConsumerPE, "_process", yields, f"_process() {YIELD}remove the yield"),
        (Ports, "process", yields, f"process() {WRITE}"),
        (Ports, "_process", yields, f"_process() {WRITE}"),
        (IterativePE, "process", yields, f"process() {WRITE}"),
        (IterativePE, "preprocess", yields, f"preprocess() {WRITE}"),
        (IterativePE, "_preprocess", yields, f"_preprocess() {WRITE}"),
        (IterativePE, "postprocess", yields, f"postprocess() {WRITE}"),
        (IterativePE, "_postprocess", yields, f"_postprocess() {WRITE}"),
        (IterativePE, "_process", awaits, f"_process() {ASYNC}"),
        (ConsumerPE, "_process", both, f"_process() {ASYNC}"),
        (Ports, "process", awaits, f"process() {ASYNC}"),
        (ProducerPE, "_preprocess", awaits, f"_preprocess() {ASYNC}"),
        (ProducerPE, "_postprocess", awaits, f"_postprocess() {ASYNC}"),
    ],
)
def test_a_method_that_nothing_would_run_is_named_with_what_to_write(base, name, method, problem):
    (found,) = problems(with_method(base, name, method))

    assert found.startswith(f"Mine0: {problem}")


def test_a_method_of_the_instance_is_checked_too():
    pe = IterativePE()
    pe._process = functools.partial(yields, pe)

    assert problems(pe) == [f"IterativePE0: _process() {WRITE}"]


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (yields, f"its compute_fn yields() {YIELD}return one item, a list for instance"),
        (awaits, f"its compute_fn awaits() {ASYNC}"),
        (functools.partial(yields, 1), YIELD),
        (with_method(object, "__call__", yields), YIELD),
        (3, "its compute_fn is 3, which cannot be called; pass the function itself"),
    ],
)
def test_a_function_that_nothing_would_run_is_named(function, problem):
    pe = SimpleFunctionPE(function)

    (found,) = problems(pe)

    assert found.startswith(f"{pe.name}0: ")
    assert problem in found


@pytest.mark.parametrize(
    ("name", "method", "problem"),
    [
        ("_process", lambda self: 1, "one argument, which it does not take; write def _process("),
        ("_process", lambda data: 1, "one argument, which it does not take; write def _process("),
        ("_process", lambda self, a, b: 1, "write def _process(self, data)"),
        ("_process", lambda self, data, *, more: 1, "write def _process(self, data)"),
        ("process", lambda self: 1, "write def process(self, data)"),
        ("_preprocess", lambda self, data: 1, "no argument, .* write def _preprocess(self)"),
        ("postprocess", lambda self, data: 1, "no argument, .* write def postprocess(self)"),
    ],
)
def test_a_method_that_does_not_take_what_it_is_called_with_is_named(name, method, problem):
    (found,) = problems(with_method(IterativePE, name, method))

    assert found.startswith(f"Mine0: {name}() is called with ")
    for words in problem.split(".*"):
        assert words in found


@pytest.mark.parametrize(
    "method",
    [
        lambda self, data: 1,
        lambda self, data, more=2: 1,
        lambda self, data, *more: 1,
        lambda self, *data, **more: 1,
        lambda *arguments: 1,
        lambda self, data, *, more=3: 1,
        staticmethod(len),
        staticmethod(functools.partial(print, 1)),  # Python 3.14 binds it otherwise
    ],
)
def test_a_method_that_takes_it_is_no_problem(method):
    assert problems(with_method(IterativePE, "_process", method)) == []


def test_all_problems_are_reported_at_once_and_nothing_runs():
    graph = WorkflowGraph()
    first = with_method(ProducerPE, "_process", yields)
    graph.connect(first, "output", with_method(ConsumerPE, "_process", awaits), "input")

    with pytest.raises(GraphError) as raised:
        run(graph)

    assert [problem.split()[0] for problem in raised.value.problems] == ["Mine0:", "Mine1:"]


def test_what_an_author_calls_itself_may_be_a_generator():
    class Splits(Ports):
        def process(self, inputs):
            for word in self._process(inputs["input"]):
                self.write("output", word)

        def _process(self, text):
            yield from text.split()

    graph = WorkflowGraph()
    graph.add(Splits())

    assert run(graph, inputs=[{"input": "a b"}]).outputs == {"Splits0": {"output": ["a", "b"]}}


def test_ordinary_methods_are_no_problem():
    for base in (GenericPE, IterativePE, ProducerPE, ConsumerPE):
        assert problems(base()) == []
    for function in (print, len, int, None, lambda data: data, functools.partial(print, 1)):
        assert problems(SimpleFunctionPE(function)) == []
