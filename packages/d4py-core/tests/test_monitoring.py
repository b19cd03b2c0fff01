"""ProcessTimingPE: in a run it is the PE inside it, and a line in the log more."""

import pickle
import time

import pytest

from dispel4py import GenericPE, IterativePE, ProducerPE, WorkflowGraph, run
from dispel4py.new.monitoring import ProcessTimingPE, Timer


class Source(ProducerPE):
    counter = 0

    def _process(self, inputs):
        self.counter += 1
        return self.counter


class Talkative(IterativePE):
    """Writes and logs wherever a PE may."""

    def _preprocess(self):
        self.write("output", "pre")
        self.log("hello")

    def _process(self, data):
        self.write("output", data)
        time.sleep(0.002)
        return -data

    def _postprocess(self):
        self.write("output", "post")


class Grouped(GenericPE):
    stateful = True
    single = True

    def __init__(self):
        super().__init__(numprocesses=3)
        self._add_input("in", grouping=[0])
        self._add_output("out", tuple_type=["word"])


def timed_graph(pe):
    graph = WorkflowGraph()
    graph.connect(Source(), "output", ProcessTimingPE(pe), "input")
    return graph


def test_timed_pe_gives_the_results_of_the_pe_inside():
    assert run(timed_graph(Talkative()), inputs=2).outputs == {
        "Talkative1": {"output": ["pre", 1, -1, 2, -2, "post"]}
    }


def test_timed_graph_can_run_twice():
    """G5"""
    graph = timed_graph(Talkative())
    assert run(graph, inputs=2).outputs == run(graph, inputs=2).outputs


def test_average_time_is_logged_when_the_instance_ends(caplog):
    caplog.set_level("INFO", logger="dispel4py")
    run(timed_graph(Talkative()), inputs=3)
    hello, average = [record.getMessage() for record in caplog.records]
    assert hello.startswith("Talkative1 (rank 0): hello")
    assert average.startswith("Talkative1 (rank 0): Average processing time: ")
    assert float(average.rpartition(" ")[2]) >= 0.002


def test_no_item_is_no_error(caplog):
    caplog.set_level("INFO", logger="dispel4py")
    run(timed_graph(Talkative()), inputs=0)
    assert "Average processing time: no item came" in caplog.text


def test_timed_pe_has_ports_and_settings_of_the_pe_inside():
    pe = Grouped()
    timed = ProcessTimingPE(pe)
    assert timed.inputconnections == pe.inputconnections
    assert timed.outputconnections == pe.outputconnections
    assert timed.get_output_types() == {"out": ["word"]}
    assert (timed.name, timed.numprocesses, timed.single, timed.stateful) == (
        "Grouped",
        3,
        True,
        True,
    )


def test_timed_pe_hands_types_to_the_pe_inside():
    pe = Grouped()
    ProcessTimingPE(pe).set_input_types({"in": ["number"]})
    assert pe.inputconnections["in"]["type"] == ["number"]


def test_timed_pe_can_be_pickled_in_the_middle_of_a_run():
    """A copy writes where the copy is, not where the original was."""
    timed = ProcessTimingPE(Talkative())
    first, second = [], []
    timed._run_writer = lambda output, data: first.append(data)
    timed.process({"input": 1})

    copied = pickle.loads(pickle.dumps(timed))
    copied._run_writer = lambda output, data: second.append(data)
    copied.process({"input": 2})

    assert (first, second) == ([1], [2])
    assert copied.times_count == 2


def test_timed_pe_reports_what_the_pe_inside_raises():
    class Failing(IterativePE):
        def _process(self, data):
            raise ValueError("broken")

    from dispel4py import ProcessingError

    with pytest.raises(ProcessingError, match=r"Failing1 .*broken"):
        run(timed_graph(Failing()))


def test_timer_measures_its_block(capsys):
    with Timer() as timer:
        time.sleep(0.01)
    assert 0.01 <= timer.secs == timer.end - timer.start
    assert capsys.readouterr().out == ""


def test_verbose_timer_prints(capsys):
    with pytest.raises(ZeroDivisionError), Timer(verbose=True):
        _ = 1 / 0
    assert capsys.readouterr().out.startswith("elapsed time: ")
