"""Graphs for tests in which calls are cut off and replayed; a run is compared with `simple`.

The graphs of `d4py_conformance.expected.random_graphs` suit every mapping and have a model of their
results.  These have what only a task loop replays: roots whose calls are shared, PEs that seek, and
calls that write several items.
"""

from hypothesis import strategies as st

from dispel4py import GenericPE, WorkflowGraph


class Mix(GenericPE):
    """A PE of two inputs and two outputs that writes a known number of items per item.

    It may write the id of each item, and continue a repeated call where it was cut off.
    """

    def __init__(self, times, more_at_the_end, item_ids=False, seeks=False):
        super().__init__()
        for name in ("a", "b"):
            self._add_input(name, optional=True)
        for name in ("x", "y", "id"):
            self._add_output(name)
        self.times, self.more_at_the_end = times, more_at_the_end
        self.item_ids, self.seeks = item_ids, seeks

    def process(self, inputs):
        (item,) = inputs.values() if inputs else ((),)
        sent = self.sent_before if self.seeks else {"x": 0, "id": 0}
        if self.item_ids and not sent["id"]:
            self.write("id", self.item_id)
        for i in range(sent["x"], self.times):
            self.write("x", (*item, i))
        return {"y": (*item, -1)}  # nothing is looked at after this


class MixWithEnd(Mix):
    def _postprocess(self):
        for i in range(self.more_at_the_end):
            self.write("x", ("end", i))


@st.composite
def graphs(draw):
    graph = WorkflowGraph()
    pes = []
    for number in range(draw(st.integers(1, 6))):
        grouping = draw(st.sampled_from([None, None, "global", "all", [0]]))
        # A stateless PE, or a root with shared calls, has a postprocess per replica, unlike in
        # `simple`.
        pinned = draw(st.booleans()) or (number > 0 and grouping)
        kind = draw(st.sampled_from([Mix, MixWithEnd])) if pinned else Mix
        times = draw(st.sampled_from([0, 1, 2, 2, 5]))
        pe = kind(times, draw(st.integers(0, 2)), draw(st.booleans()), draw(st.booleans()))
        pe.name = f"P{number}"
        if pinned:
            pe.stateful = True
        elif number == 0:
            pe.independent_calls = True
        pe.numprocesses = draw(st.integers(1, 3))
        sources = (
            draw(st.lists(st.integers(0, number - 1), min_size=1, max_size=2)) if number else []
        )
        if not sources:
            graph.add(pe)
        for source in sources:
            name = draw(st.sampled_from(["a", "b"]))
            if grouping:
                pe.inputconnections[name]["grouping"] = grouping
            graph.connect(pes[source], draw(st.sampled_from(["x", "y"])), pe, name)
        pes.append(pe)
    return graph
