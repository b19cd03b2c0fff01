"""Rule D1: what a mapping does not declare, it refuses before anything has started."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from d4py_conformance.expected.compare import assert_outputs
from d4py_conformance.pes.common import Relay
from d4py_conformance.pes.traced import Traced, TracedNumbers, TracedTalker
from d4py_conformance.suite import Execute, Suite, chain
from dispel4py.engine.planning.capabilities import Capabilities
from dispel4py.errors import UnsupportedGraphError, UsageError

#: Makes a PE that needs something; what that is; how often each item comes out of it.
_Need = tuple[Callable[[Path], Traced], set[str], int]


def _stateful(trace: Path) -> Traced:
    pe = Traced(trace)
    pe.stateful = True
    return pe


def _ordered(trace: Path) -> Traced:
    pe = Traced(trace)
    pe._add_input("input", ordered=True)
    return pe


NEEDS: dict[str, _Need] = {
    "stateful": (_stateful, {"stateful"}, 1),
    "group-by": (
        lambda trace: Traced(trace, grouping=[0], numprocesses=2),
        {"stateful", "group_by"},
        1,
    ),
    "global": (
        lambda trace: Traced(trace, grouping="global", numprocesses=2),
        {"stateful", "group_by"},
        1,
    ),
    "broadcast": (
        lambda trace: Traced(trace, grouping="all", numprocesses=2),
        {"stateful", "broadcast"},
        2,
    ),
    "ordered": (_ordered, {"stateful", "ordered"}, 1),
    "lifecycle": (TracedTalker, {"lifecycle"}, 1),
    "any-pickle": (lambda trace: Traced(trace, keep=lambda: trace), {"any_pickle"}, 1),
}


class DeclarationRules(Suite):
    """A mapping either runs a graph as it should or refuses it."""

    @pytest.mark.parametrize("need", NEEDS)
    def test_d1_what_is_not_declared_is_refused(
        self, execute: Execute, capabilities: Capabilities, tmp_path: Path, need: str
    ) -> None:
        make, needs, times = NEEDS[need]
        pe = make(tmp_path / "receiver")
        root, receiver = tmp_path / "root", tmp_path / "receiver"
        graph = chain(TracedNumbers(root), pe, Relay())
        if needs <= set(capabilities.declared()):
            outputs = execute(graph, 3).outputs["Relay2"]["output"]
            # How many instances there are of a PE without state is the mapping's business.
            items = [item for item in outputs if item not in ("pre", "post")]
            assert_outputs({"": {"": items}}, {"": {"": [(1,), (2,), (3,)] * times}})
            assert (root.exists(), receiver.exists()) == (True, True)
            return
        children = set(psutil.Process().children(recursive=True))
        # What cannot be carried is a fault of the graph for mappings that never carry such things.
        refusal = UsageError if needs == {"any_pickle"} else UnsupportedGraphError
        with pytest.raises(refusal, match=f"{pe.name}1"):
            execute(graph, 3)
        assert (root.exists(), receiver.exists()) == (False, False)
        assert set(psutil.Process().children(recursive=True)) <= children
