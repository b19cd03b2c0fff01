"""The PEs that most workflows are made from."""

from functools import partial

import pytest

from dispel4py import (
    BasePE,
    CompositePE,
    ConsumerPE,
    GenericPE,
    IterativePE,
    ProducerPE,
    SimpleFunctionPE,
    create_iterative_chain,
    run,
)


def add(number, more=1):
    return number + more


class Increase(IterativePE):
    def _process(self, data):
        return None if data is None else data + 1


def names(graph) -> list[str]:
    return [pe.name for pe in graph.get_contained_objects()]


def test_base_pe_has_ports_by_name_and_by_number():
    pe = BasePE(inputs=["a"], outputs=["x"], num_inputs=2, num_outputs=1)

    assert list(pe.inputconnections) == ["a", "input0", "input1"]
    assert list(pe.outputconnections) == ["x", "output0"]


def test_base_pe_has_no_ports_unless_asked():
    assert (BasePE().inputconnections, BasePE().outputconnections) == ({}, {})


@pytest.mark.parametrize(
    ("pe", "inputs", "outputs"),
    [
        (IterativePE(), ["input"], ["output"]),
        (ProducerPE(), [], ["output"]),
        (ConsumerPE(), ["input"], []),
        (SimpleFunctionPE(add), ["input"], ["output"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_ports_have_the_names_that_workflows_use(pe, inputs, outputs):
    assert list(pe.inputconnections) == inputs
    assert list(pe.outputconnections) == outputs


def test_iterative_pe_hands_on_what_it_makes():
    assert Increase().process({"input": 4}) == {"output": 5}
    assert Increase().process({"input": -1}) == {"output": 0}


def test_m4_none_from_an_iterative_pe_sends_nothing():
    assert Increase().process({"input": None}) is None


def test_producer_gets_the_inputs_of_its_call():
    class Echo(ProducerPE):
        def _process(self, inputs):
            return inputs

    assert Echo().process({"file": "a"}) == {"output": {"file": "a"}}
    assert Echo().process({}) == {"output": {}}


def test_consumer_returns_nothing():
    class Greedy(ConsumerPE):
        def _process(self, data):
            return data

    assert Greedy().process({"input": 4}) is None


def test_function_pe_calls_its_function_with_its_parameters():
    assert SimpleFunctionPE(add, {"more": 10}).process({"input": 4}) == {"output": 14}


@pytest.mark.parametrize(
    ("function", "name"),
    [(add, "PE_add"), (partial(add, more=2), "PE_add"), (Increase(), "PE_Increase")],
    ids=["function", "partial", "object"],
)
def test_function_pe_is_named_after_its_function(function, name):
    assert SimpleFunctionPE(function).name == name


def test_function_pe_without_a_function_says_what_to_do():
    with pytest.raises(NotImplementedError, match="compute_fn"):
        SimpleFunctionPE().process({"input": 4})


def test_function_pe_can_be_subclassed():
    class Triple(SimpleFunctionPE):
        def _process(self, data):
            return 3 * data

    assert Triple().process({"input": 4}) == {"output": 12}


def test_composite_is_filled_by_its_function():
    def fill(graph, first, last):
        graph.connect(first, "output", last, "input")
        graph._map_input("in", first, "input")
        graph._map_output("out", last, "output")

    first, last = Increase(), Increase()
    composite = CompositePE(fill, {"first": first, "last": last})

    assert composite.get_contained_objects() == [first, last]
    assert composite.inputmappings == {"in": (first, "input")}
    assert composite.outputmappings == {"out": (last, "output")}


def test_chain_calls_its_functions_in_turn():
    chain = create_iterative_chain([add, (add, {"more": 10}), str])

    result = run(chain, inputs={"PE_add0": [{"input": 1}, {"input": 2}]})

    assert result.outputs == {"PE_str2": {"output": ["12", "13"]}}


def test_chain_of_one_function_is_a_composite_too():
    chain = create_iterative_chain([add])
    producer = SimpleFunctionPE(add)
    outer = CompositePE()
    outer.connect(producer, "output", chain, "input")

    assert run(outer, inputs={producer: [{"input": 1}]}).outputs == {"PE_add1": {"output": [3]}}


def test_chain_names_its_pes():
    assert names(create_iterative_chain([add, str], name_prefix="<", name_suffix=">")) == [
        "<add>",
        "<str>",
    ]


def test_chain_takes_another_class_of_pe():
    class Loud(SimpleFunctionPE):
        def _process(self, data):
            return f"{super()._process(data)}!"

    chain = create_iterative_chain([add], Loud)

    assert run(chain, inputs={"PE_add": [{"input": 1}]}).outputs == {"PE_add0": {"output": ["2!"]}}


class Bare(IterativePE):
    """Takes no arguments: whoever makes it sets its attributes."""

    def _process(self, data):
        return self.compute_fn(data, **self.params)


class Counting(Bare):
    """Has arguments of its own, none of which has to be given."""

    def __init__(self, start=0, step=1):
        super().__init__()
        self.count, self.step = start, step


class Both(IterativePE):
    """Has to be given the function and its arguments."""

    def __init__(self, function, params):
        super().__init__()
        self.function, self.arguments = function, params

    def _process(self, data):
        return self.function(data, **self.arguments)


@pytest.mark.parametrize("kind", [Bare, Counting, Both])
@pytest.mark.parametrize("pair", [tuple, list])
def test_chain_sets_up_pes_of_any_class(kind, pair):
    chain = create_iterative_chain([add, pair((add, {"more": 10}))], kind)

    outputs = run(chain, inputs={"PE_add0": [{"input": 1}]}).outputs

    assert outputs == {"PE_add1": {"output": [12]}}
    assert not [pe for pe in chain.get_contained_objects() if getattr(pe, "count", 0) != 0]


def test_base_pe_knows_the_names_of_ports():
    assert (BasePE.INPUT_NAME, BasePE.OUTPUT_NAME) == ("input", "output")


def test_chain_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one function"):
        create_iterative_chain([])


def test_every_base_is_a_generic_pe():
    assert all(
        issubclass(kind, GenericPE)
        for kind in (BasePE, IterativePE, ProducerPE, ConsumerPE, SimpleFunctionPE)
    )


def test_the_name_of_the_only_port_needs_no_list():
    pe = BasePE("input", outputs="output")

    assert (list(pe.inputconnections), list(pe.outputconnections)) == (["input"], ["output"])
