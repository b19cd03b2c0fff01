"""C6: a fast producer waits for a slow consumer, so no memory grows with the number of items."""

import ast

import pytest

#: Most bytes of memory of each process; all items of a test together are much larger.
MOST_BYTES = 150 << 20

SCRIPT = """
import sys
from fixed_flows import *
from dispel4py import WorkflowGraph, run

graph = WorkflowGraph()
pes = [{pes}]
for source, destination in zip(pes, pes[1:]):
    graph.connect(source, "output", destination, "input")
if __name__ == "__main__":
    result = run(graph, "{mapping}", {inputs})
    (size,) = result.outputs[f"Size{{len(pes) - 1}}"]["output"]
    print((*size, peak()))
"""


@pytest.fixture(
    params=["multi", *(pytest.param(name, marks=pytest.mark.slow) for name in ("zmq_multi", "mpi"))]
)
def mapping(request, installed):
    """Name of a mapping."""
    return installed(request.param)


@pytest.fixture
def measure(start, write, mapping):
    """Runs PEs in a separate program; returns items, their bytes and all peaks of memory."""

    def measured(pes, inputs):
        write("script.py", SCRIPT.format(mapping=mapping, pes=pes, inputs=inputs))
        status, out, err = start("script.py").end(timeout=100)
        assert (status, err) == (0, "")
        items, size, peaks, of_driver = ast.literal_eval(out)
        return items, size, [*peaks, of_driver]

    return measured


def test_c6_a_slow_receiver(measure):
    items, size, peaks = measure("Blocks(4096), MeasuredRelay(), Size(pause=2.0)", 60_000)
    assert (items, size) == (60_000, 60_000 * 4096)
    assert len(peaks) == 4
    assert max(peaks) < MOST_BYTES


def test_c6_a_receiver_that_is_slow_at_every_item(start, write, mapping):
    # A short part of a run of 1,000,000 items, which would take more than 1000 s.
    write(
        "script.py",
        """
        import sys
        from resource import RUSAGE_CHILDREN, getrusage
        from fixed_flows import *
        from dispel4py import WorkflowGraph, run
        from dispel4py.errors import ProcessingError

        class Slow(IterativePE):
            items = 0
            def _process(self, data):
                time.sleep(0.001)
                self.items += 1
                assert self.items < 2500, "that is enough"

        graph = WorkflowGraph()
        relay = MeasuredRelay()
        graph.connect(Blocks(1024), "output", relay, "input")
        graph.connect(relay, "output", Slow(), "input")
        if __name__ == "__main__":
            try:
                run(graph, sys.argv[1], 1_000_000)
            except ProcessingError as error:
                print(error.reason)
            of_children = getrusage(RUSAGE_CHILDREN).ru_maxrss
            print(of_children * (1 if sys.platform == "darwin" else 1024), peak())
        """,
    )
    status, out, err = start("script.py", mapping).end()
    assert (status, err) == (0, "")
    reason, peaks = out.splitlines()
    assert reason == "AssertionError: that is enough"
    assert max(map(int, peaks.split())) < MOST_BYTES


def test_c6_one_call_that_writes_everything(measure):
    items, size, peaks = measure("Blocks(4096, 80_000), MeasuredRelay(), Size(pause=2.0)", 1)
    assert (items, size) == (80_000, 80_000 * 4096)
    assert max(peaks) < MOST_BYTES


def test_c6_large_items(measure):
    items, size, peaks = measure("Blocks(MIB), MeasuredRelay(), Size(pause=1.0)", 500)
    assert (items, size) == (500, 500 * (1 << 20))
    assert max(peaks) < MOST_BYTES


def test_c6_inputs_wait_for_their_root(measure):
    # All inputs are produced by one iterator.
    inputs = "{pes[0]: ({'input': b'x' * 10_000} for _ in range(30_000))}"
    items, size, peaks = measure("MeasuredRelay(), Size(pause=1.5)", inputs)
    assert (items, size) == (30_000, 300_000_000)
    assert max(peaks) < MOST_BYTES


def test_c6_results_wait_for_a_slow_caller(start, write, mapping):
    write(
        "script.py",
        """
        import sys
        import time
        from fixed_flows import *
        from dispel4py import WorkflowGraph, run

        graph = WorkflowGraph()
        graph.connect(Blocks(4096), "output", MeasuredRelay(), "input")
        last, count = [], 0

        def take(pe_id, output, data):
            global count
            if not count:
                time.sleep(2.0)
            count += 1
            if isinstance(data, int):
                last.append(data)

        if __name__ == "__main__":
            run(graph, sys.argv[1], 60_000, on_result=take)
            print((count, [*last, peak()]))
        """,
    )
    status, out, err = start("script.py", mapping).end(timeout=100)
    assert (status, err) == (0, "")
    count, peaks = ast.literal_eval(out)
    assert count == 60_002
    assert max(peaks) < MOST_BYTES
