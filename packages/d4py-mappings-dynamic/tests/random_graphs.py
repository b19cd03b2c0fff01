"""Graphs of all shapes for tests that compare a run with `simple`."""

from hypothesis import strategies as st

from dispel4py import GenericPE, WorkflowGraph


class Mix(GenericPE):
    """A PE of two inputs and two outputs that writes a known number of items per item."""

    def __init__(self, times, more_at_the_end):
        super().__init__()
        for name in ("a", "b"):
            self._add_input(name, optional=True)
        for name in ("x", "y"):
            self._add_output(name)
        self.times, self.more_at_the_end = times, more_at_the_end

    def process(self, inputs):
        (item,) = inputs.values() if inputs else ((),)
        for i in range(self.times):
            self.write("x", (*item, i))
        return {"y": (*item, -1)}


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
        # A stateless one has a postprocess per replica, which `simple` has not.
        pinned = number == 0 or grouping or draw(st.booleans())
        kind = draw(st.sampled_from([Mix, MixWithEnd])) if pinned else Mix
        pe = kind(draw(st.integers(0, 2)), draw(st.integers(0, 2)))
        pe.name = f"P{number}"
        if pinned:
            pe.stateful = True
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
