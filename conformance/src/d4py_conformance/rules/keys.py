"""Rule M1 for keys that are equal by other rules than those of numbers and text."""

from __future__ import annotations

from typing import Any

import pytest

from d4py_conformance.pes.common import Emit, Relay
from d4py_conformance.pes.keys import EQUAL, OWN
from d4py_conformance.pes.lifecycle import Diary
from d4py_conformance.rules.instances import check_diaries
from d4py_conformance.rules.routing import instances_of
from d4py_conformance.suite import Execute, Require, Suite, chain, results
from dispel4py import ProcessingError


class KeyRules(Suite):
    """Group keys."""

    def test_m1_keys_that_are_spelled_differently_meet(
        self, execute: Execute, require: Require
    ) -> None:
        require("stateful", "group_by", "lifecycle", "any_pickle")
        items = [[key, i] for pair in EQUAL for i, key in enumerate(pair)]
        graph = chain(Emit(items), Relay(numprocesses=2), Diary(grouping=[0], numprocesses=4))
        diaries = results(execute(graph, 1), "Diary2")
        check_diaries(diaries, items)
        split = [pair for pair in EQUAL if len(instances_of(diaries, pair[0])) != 1]
        assert not split, f"equal keys were sent to different instances: {split}"

    def test_m1_numpy_times_meet_those_of_python(self, execute: Execute, require: Require) -> None:
        require("stateful", "group_by", "lifecycle", "any_pickle")
        numpy: Any = pytest.importorskip("numpy")
        day, hour = numpy.datetime64("2020-01-01"), numpy.timedelta64(1, "h")
        pairs = [
            (day, day.item()),
            (day + hour, (day + hour).astype("datetime64[ns]")),
            (day + numpy.timedelta64(1, "s"), (day + numpy.timedelta64(1, "s")).item()),
            (hour, hour.item()),
            (numpy.timedelta64(60, "m"), hour),
        ]
        items = [[key, i] for pair in pairs for i, key in enumerate(pair)]
        diaries = results(execute(chain(Emit(items), Diary([0], 4)), 1), "Diary1")
        assert all(len(instances_of(diaries, pair[0])) == 1 for pair in pairs)

    @pytest.mark.parametrize("pair", OWN, ids=["str", "tuple", "dataclass"])
    def test_m1_a_key_with_an_equality_of_its_own_is_refused(
        self, execute: Execute, require: Require, pair: tuple[Any, Any]
    ) -> None:
        require("stateful", "group_by", "any_pickle")
        plain, own = pair
        kind = type(own[1] if isinstance(own, tuple) else own).__name__
        items = [[key, i] for i, key in enumerate((plain, plain, own))]
        with pytest.raises(ProcessingError) as caught:
            execute(chain(Emit(items), Relay(), Diary([0], 9)), 1)
        assert caught.value.pe_id == "Relay1"
        for words in (f"{kind} has no hash", f"{kind}.__eq__", "group by"):
            assert words in str(caught.value)
