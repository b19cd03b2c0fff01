"""Rule M2 for what is hard to copy: buffers filled again, functions, read-only arrays."""

from __future__ import annotations

from typing import Any

import pytest

from d4py_conformance.expected.compare import assert_outputs
from d4py_conformance.pes.copies import (
    Apply,
    CallEach,
    Columns,
    Double,
    Ends,
    Fit,
    Full,
    PassOn,
    Refill,
    Spoil,
)
from d4py_conformance.suite import Execute, Require, Suite, chain


class CopyRules(Suite):
    """Copies of items."""

    @pytest.mark.parametrize("known_by", ["view", "weak reference"])
    def test_m2_a_buffer_can_be_filled_again(
        self, execute: Execute, require: Require, known_by: str
    ) -> None:
        require("lifecycle")
        pytest.importorskip("numpy")
        outputs = execute(chain(Refill(known_by), Ends()), 6).outputs
        assert_outputs(outputs, {"Ends1": {"output": [(n, n) for n in range(1, 7)]}})

    @pytest.mark.parametrize("held_by", ["variable", "default", "attribute", "class", "itself"])
    def test_m2_what_a_function_holds_is_as_it_was_when_sent(
        self, execute: Execute, require: Require, held_by: str
    ) -> None:
        require("any_pickle")
        outputs = execute(chain(Fit(held_by), Apply()), 6).outputs
        assert_outputs(outputs, {"Apply1": {"output": [20 * n for n in range(1, 7)]}})

    def test_m2_functions_of_one_item_share_their_variables(
        self, execute: Execute, require: Require
    ) -> None:
        require("any_pickle")
        outputs = execute(chain(Fit("pair"), CallEach()), 6).outputs
        assert_outputs(outputs, {"CallEach1": {"output": [(n, n + 100) for n in range(1, 7)]}})

    @pytest.mark.parametrize("how", ["returned", "returned and kept", "written", "in a dict"])
    def test_m2_read_only_arrays_arrive_writable(self, execute: Execute, how: str) -> None:
        pytest.importorskip("numpy")
        outputs = execute(chain(Columns(how), Double()), 2).outputs
        assert_outputs(outputs, {"Double1": {"output": [2.0, 2.0]}})

    def test_m2_read_only_arrays_in_the_inputs_arrive_writable(self, execute: Execute) -> None:
        numpy: Any = pytest.importorskip("numpy")
        column = numpy.ones(20_000)
        column.setflags(write=False)
        outputs = execute(chain(Double()), [{"input": column}] * 2).outputs
        assert_outputs(outputs, {"Double0": {"output": [2.0, 2.0]}})
        assert column[0] == 1.0

    def test_m2_receivers_of_an_array_that_is_passed_on_have_one_each(
        self, execute: Execute
    ) -> None:
        pytest.importorskip("numpy")
        passing = [PassOn(how) for how in ("in part", "changed", "and changes it")]
        graph = chain(Full(), *passing, Spoil())
        for pe in passing[:-1]:
            graph.connect(pe, "output", Spoil(), "input")
        outputs = execute(graph, [{"input": n} for n in range(1, 41)]).outputs
        expected = {
            pe: {"output": [(float(n), float(n)) for n in range(added + 1, added + 41)]}
            for pe, added in {"Spoil4": 1, "Spoil5": 0, "Spoil6": 1}.items()
        }
        assert_outputs(outputs, expected)
