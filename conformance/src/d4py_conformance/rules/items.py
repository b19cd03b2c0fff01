"""Rules M2 and M4: what may be an item, that receivers share nothing, and what sends."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from d4py_conformance.expected.compare import assert_outputs
from d4py_conformance.pes.common import Emit, Numbers, Relay, Silent, Sorter, Tag
from d4py_conformance.pes.copies import Apply, Reuser, Sample, Spoiler
from d4py_conformance.pes.failing import WrongOutput
from d4py_conformance.pes.mistaken import Awaits, ReturnsData, Yields
from d4py_conformance.suite import Execute, Require, Suite, chain
from dispel4py import ProcessingError, SimpleFunctionPE, WorkflowGraph
from dispel4py.errors import GraphError
from dispel4py.utils import load_graph

ITEMS: list[Any] = [
    0, -1, 10**40, 1.5, float("inf"), float("nan"), 2 + 3j, True, "", "żółw", b"\x00\xff",
    [], [1, [2, [3]]], (), (1, (2,)), {}, {"a": [1]}, {1: "int key", (2, 3): "tuple key"},
    set(), {1, 2}, frozenset({"a"}), range(5), bytearray(b"abc"), Sample("ABER", [1.0, 2.0]),
    "x" * 100_000, Ellipsis, int, len,
]  # fmt: skip


class ItemRules(Suite):
    """Items."""

    def test_m2_items_arrive_as_they_were_sent(self, execute: Execute) -> None:
        graph = chain(Emit(ITEMS), Relay(), Relay())
        assert_outputs(execute(graph, 1).outputs, {"Relay2": {"output": ITEMS}})

    def test_m2_numpy_arrays(self, execute: Execute) -> None:
        numpy = pytest.importorskip("numpy")
        items = [
            numpy.arange(12, dtype="int16").reshape(3, 4),
            numpy.linspace(0.0, 1.0, 200_000),
            numpy.array(["a", None], dtype=object),
            numpy.float32(0.1),
        ]
        items.append(items[1][::2])
        outputs = execute(chain(Emit(items), Relay(), Relay()), 1).outputs
        assert_outputs(outputs, {"Relay2": {"output": items}})

    def test_m2_numpy_arrays_can_be_changed_by_their_receiver(self, execute: Execute) -> None:
        numpy = pytest.importorskip("numpy")
        graph = WorkflowGraph()
        emit = Emit([numpy.zeros(50_000)])
        for amount in (1, 2):
            graph.connect(emit, "output", SimpleFunctionPE(_add_in_place, {"n": amount}), "input")
        assert_outputs(
            execute(graph, 1).outputs,
            {
                "PE__add_in_place1": {"output": [numpy.full(50_000, 1.0)]},
                "PE__add_in_place2": {"output": [numpy.full(50_000, 2.0)]},
            },
        )

    def test_m2_items_that_only_dill_can_carry(self, execute: Execute, require: Require) -> None:
        require("any_pickle")
        offset = 1
        items = [lambda x: x + offset, lambda x: x * 2]
        graph = chain(Emit(items), Relay(), Apply())
        assert_outputs(execute(graph, 1).outputs, {"Apply2": {"output": [21, 40]}})

    def test_m2_pes_that_only_dill_can_carry(self, execute: Execute, require: Require) -> None:
        require("any_pickle")
        offset = 100
        pe = SimpleFunctionPE(lambda x: x + offset)
        pe.name = "Offset"
        outputs = execute(chain(Numbers(), pe), 3).outputs
        assert_outputs(outputs, {"Offset1": {"output": [101, 102, 103]}})

    def test_m2_items_of_a_class_in_a_workflow_file(
        self, execute: Execute, require: Require, tmp_path: Path
    ) -> None:
        # Nothing but the file knows the class: workers cannot import it by name.
        require("any_pickle")
        file = tmp_path / "conformance_classes_of_its_own.py"
        file.write_text(_WORKFLOW_FILE)
        outputs = execute(load_graph(str(file)), 3).outputs
        assert_outputs(outputs, {"Read2": {"output": ["1 m", "2 m", "3 m"]}})

    def test_m2_what_the_sender_does_later_is_not_seen(self, execute: Execute) -> None:
        graph = chain(Reuser(), Relay(), Spoiler("seen"))
        assert_outputs(
            execute(graph, 4).outputs,
            {"Spoiler2": {"output": [[*range(1, n + 1), "seen"] for n in (1, 2, 3, 4)]}},
        )

    def test_m2_what_a_receiver_does_is_not_seen_by_the_sender(self, execute: Execute) -> None:
        graph = chain(Reuser(), Spoiler("mine"))
        assert_outputs(
            execute(graph, 4).outputs,
            {"Spoiler1": {"output": [[*range(1, n + 1), "mine"] for n in (1, 2, 3, 4)]}},
        )

    def test_m2_what_a_sibling_does_is_not_seen(self, execute: Execute) -> None:
        graph = WorkflowGraph()
        emit = Emit([[1], [2], [3]])
        for mark in "abc":
            graph.connect(emit, "output", Spoiler(mark), "input")
        assert_outputs(
            execute(graph, 2).outputs,
            {
                f"Spoiler{i}": {"output": [[1, m], [2, m], [3, m]] * 2}
                for i, m in enumerate("abc", 1)
            },
        )

    def test_m2_results_are_as_they_were_sent(self, execute: Execute) -> None:
        outputs = execute(chain(Reuser()), 3).outputs
        assert_outputs(outputs, {"Reuser0": {"output": [[1], [1, 2], [1, 2, 3]]}})

    def test_m2_inputs_of_the_run_stay_as_they_were(self, execute: Execute) -> None:
        inputs = [{"input": [1]}, {"input": [2]}]
        outputs = execute(chain(Spoiler("x"), Relay()), {"Spoiler0": inputs}).outputs
        assert_outputs(outputs, {"Relay1": {"output": [[1, "x"], [2, "x"]]}})
        assert inputs == [{"input": [1]}, {"input": [2]}]

    def test_m2_copies_can_be_given_up(self, execute: Execute) -> None:
        # No PE here changes what it got or sent, so sharing does not show.
        items: list[Any] = [[1], {"a": [2]}, {3}]
        graph = WorkflowGraph()
        emit = Emit(items)
        for mark in "ab":
            graph.connect(emit, "output", Tag(mark), "input")
        assert_outputs(
            execute(graph, 2, share_items=True).outputs,
            {f"Tag{i}": {"output": [(m, x) for x in items] * 2} for i, m in enumerate("ab", 1)},
        )

    def test_m4_none_and_an_empty_dict_send_nothing(self, execute: Execute) -> None:
        assert_outputs(execute(chain(Numbers(), Silent(), Relay()), 6).outputs, {})

    def test_m4_write_sends_any_number_of_times(self, execute: Execute) -> None:
        outputs = execute(chain(Numbers(), Sorter()), 2).outputs
        assert_outputs(outputs, {"Sorter1": {"all": [1, 1, 2, 2], "odd": [1], "even": [2]}})

    def test_m4_falsy_items_are_items(self, execute: Execute) -> None:
        items = [0, "", [], {}, False, 0.0]
        outputs = execute(chain(Emit(items), Relay()), 1).outputs
        assert_outputs(outputs, {"Relay1": {"output": items}})

    @pytest.mark.parametrize("by_writing", [True, False], ids=["written", "returned"])
    def test_m4_an_unknown_output_is_an_error(self, execute: Execute, by_writing: bool) -> None:
        with pytest.raises(ProcessingError) as caught:
            execute(chain(Numbers(), WrongOutput(by_writing)), 3)
        for name in ("WrongOutput1", "middle", "left", "right"):
            assert name in str(caught.value)

    def test_m4_data_in_place_of_outputs_is_answered_with_what_to_return(
        self, execute: Execute
    ) -> None:
        with pytest.raises(ProcessingError) as caught:
            execute(chain(Numbers(), ReturnsData()), 3)
        for words in ("ReturnsData1", "'station': 'ESK'", "return {'output': data}"):
            assert words in str(caught.value)

    def test_m4_a_method_that_nothing_would_run_is_refused(self, execute: Execute) -> None:
        with pytest.raises(GraphError) as caught:
            execute(chain(Numbers(), Yields(), Awaits()), 3)
        for words in ("Yields1", "self.write('output', item)", "Awaits2", "async def"):
            assert words in str(caught.value)


def _add_in_place(array: Any, n: int) -> Any:
    array += n
    return array


_WORKFLOW_FILE = dedent(
    """
    from dataclasses import dataclass

    from dispel4py import IterativePE, ProducerPE, WorkflowGraph


    @dataclass
    class Length:
        metres: int


    class Measure(ProducerPE):
        metres = 0

        def _process(self, inputs):
            self.metres += 1
            return Length(self.metres)


    class Check(IterativePE):
        def _process(self, length):
            assert isinstance(length, Length)
            return length


    class Read(IterativePE):
        def _process(self, length):
            return f"{length.metres} m"


    graph = WorkflowGraph()
    check = Check()
    graph.connect(Measure(), "output", check, "input")
    graph.connect(check, "output", Read(), "input")
    """
)
