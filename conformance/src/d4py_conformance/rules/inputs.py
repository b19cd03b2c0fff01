"""Rule G4: what the roots of a run are called with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from d4py_conformance.expected.compare import assert_outputs
from d4py_conformance.pes.common import Numbers, Ports, Relay, Tag
from d4py_conformance.suite import Execute, Suite, chain
from dispel4py import WorkflowGraph
from dispel4py.errors import InputError


class InputRules(Suite):
    """Roots take the run's inputs."""

    def test_g4_a_number_means_so_many_calls(self, execute: Execute) -> None:
        assert_outputs(execute(chain(Numbers()), 4).outputs, {"Numbers0": {"output": [1, 2, 3, 4]}})

    def test_g4_zero_means_none(self, execute: Execute) -> None:
        assert_outputs(execute(chain(Numbers(), Relay()), 0).outputs, {})

    def test_g4_a_number_counts_for_every_root(self, execute: Execute) -> None:
        graph = WorkflowGraph()
        graph.connect(Numbers(), "output", Relay(), "input")
        graph.connect(Numbers(), "output", Relay(), "input")
        assert_outputs(
            execute(graph, 2).outputs, {"Relay1": {"output": [1, 2]}, "Relay3": {"output": [1, 2]}}
        )

    def test_g4_each_root_may_have_a_number_of_its_own(self, execute: Execute) -> None:
        graph = WorkflowGraph()
        first, second, relay = Numbers(), Numbers(), Relay()
        graph.connect(first, "output", Tag("1"), "input")
        graph.connect(second, "output", Tag("2"), "input")
        graph.connect(relay, "output", Tag("3"), "input")
        inputs = {first: 1, second: 3, relay: [{"input": "a"}]}
        assert_outputs(
            execute(graph, inputs).outputs,
            {
                "Tag1": {"output": [("1", 1)]},
                "Tag3": {"output": [("2", n) for n in (1, 2, 3)]},
                "Tag5": {"output": [("3", "a")]},
            },
        )

    def test_g4_a_list_of_dicts_means_one_call_each(self, execute: Execute) -> None:
        graph = chain(Relay(), Tag("x"))
        inputs = {"Relay0": [{"input": "a"}, {"input": ["b"]}]}
        assert_outputs(
            execute(graph, inputs).outputs, {"Tag1": {"output": [("x", "a"), ("x", ["b"])]}}
        )

    def test_g4_any_iterable_of_dicts_will_do(self, execute: Execute) -> None:
        def generate() -> Iterator[dict[str, Any]]:
            for n in range(100):
                yield {"input": n}

        graph = chain(Relay(), Tag("x"))
        assert_outputs(
            execute(graph, {"Relay0": generate()}).outputs,
            {"Tag1": {"output": [("x", n) for n in range(100)]}},
        )

    def test_g4_a_root_with_several_inputs(self, execute: Execute) -> None:
        graph = chain(Ports("left", "right"), Relay())
        inputs = {"Ports0": [{"left": 1}, {"right": 2}, {"left": 3}]}
        assert_outputs(
            execute(graph, inputs).outputs,
            {"Relay1": {"output": [("left", 1), ("right", 2), ("left", 3)]}},
        )

    @pytest.mark.parametrize("key", ["object", "id", "name"])
    def test_g4_keys_are_the_pe_its_id_or_its_name(self, execute: Execute, key: str) -> None:
        first, second = Relay("First"), Relay("Second")
        graph = WorkflowGraph()
        graph.connect(first, "output", Tag("1"), "input")
        graph.connect(second, "output", Tag("2"), "input")
        keys: dict[str, tuple[Any, Any]] = {
            "object": (first, second),
            "id": ("First0", "Second2"),
            "name": ("First", "Second"),
        }
        one, two = keys[key]
        inputs = {one: [{"input": "a"}], two: [{"input": "b"}, {"input": "c"}]}
        assert_outputs(
            execute(graph, inputs).outputs,
            {"Tag1": {"output": [("1", "a")]}, "Tag3": {"output": [("2", "b"), ("2", "c")]}},
        )

    def test_g4_names_of_no_root_beside_one_are_left_out(self, execute: Execute) -> None:
        outputs = execute(chain(Numbers(), Relay()), {"Nobody": 3, "Numbers": 2, "Relay": 4})
        assert_outputs(outputs.outputs, {"Relay1": {"output": [1, 2]}})

    def test_g4_inputs_that_name_no_root_are_refused(self, execute: Execute) -> None:
        with pytest.raises(InputError, match="Nobody"):
            execute(chain(Numbers(), Relay()), {"Nobody": 3})
