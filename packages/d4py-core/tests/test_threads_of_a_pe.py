"""Threads of a PE: what they write and log, and when."""

import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from core_helpers.threaded_graphs import LIMIT, Each, Relay, Root, chain, in_thread, make_runner

from dispel4py import GenericPE, IterativePE, ProducerPE, run
from dispel4py.engine.calls.log_lines import LogLines
from dispel4py.engine.execution.executor import Executor
from dispel4py.engine.limits import EngineLimits
from dispel4py.engine.planning.plan import make_plan
from dispel4py.errors import ProcessingError, RunError
from dispel4py.mappings.simple import SimpleMapping

# A runner.


def test_i5_what_a_thread_writes_is_copied_at_once():
    def work(pe, data):
        item = [data]

        def write_and_change():
            pe.write("output", item)
            item.append("changed")

        in_thread(write_and_change)

    runner = make_runner(Each(work))
    runner.process("input", [1])
    assert runner.written == {"output": [[1]]}


def test_i5_an_unknown_output_is_an_error_in_the_thread():
    def work(pe, data):
        in_thread(pe.write, "other", data)

    with pytest.raises(ProcessingError, match="Each1 has no output 'other'"):
        make_runner(Each(work)).process("input", [1])


class Kept(Relay):
    """Pickles all that it has, what ties it to a run too."""

    def __getstate__(self):
        return self.__dict__


@pytest.mark.parametrize("pe", [Kept, Relay])
def test_i5_a_thread_may_write_while_its_pe_is_pickled(pe):
    runner = make_runner(pe(), lines=LogLines(lambda *line: None))

    def dumps(pe):
        in_thread(pe.write, "output", "meanwhile")
        return pickle.dumps(pe)

    restored = pickle.loads(runner.snapshot(dumps))
    assert runner.written == {"output": ["meanwhile"]}
    runner = make_runner(Relay(), restored=restored)
    runner.process("input", [1])
    assert runner.written == {"output": [1]}


def test_i5_between_calls_a_write_belongs_to_the_next_call():
    runner = make_runner(Relay())
    in_thread(runner.pe.write, "output", "between")
    runner.process("input", [1])
    assert runner.written == {"output": ["between", 1]}


@pytest.mark.parametrize("then", ["process", "postprocess", "close"])
def test_i5_where_calls_are_settled_it_is_refused_and_the_run_fails(then):
    runner = make_runner(Relay(), leased=True)
    with pytest.raises(RunError, match="Relay1 wrote to output 'output' from a thread while"):
        in_thread(runner.pe.write, "output", "between")
    arguments = ("input", [1]) if then == "process" else ()
    with pytest.raises(RunError, match="wait for the thread before that"):
        getattr(runner, then)(*arguments)
    assert runner.written == {"output": []}


def test_i5_after_postprocess_it_is_refused():
    runner = make_runner(Relay())
    runner.postprocess()
    with pytest.raises(RunError, match="after its postprocess"):
        in_thread(runner.pe.write, "output", "late")
    assert runner.written == {"output": []}


def test_i5_a_repeated_call_whose_threads_write_is_not_taken_for_the_same():
    """Given that three items of it were sent before, in whatever order."""

    def work(pe, data):
        pe.write("output", "first")
        in_thread(pe.write, "output", data)

    runner = make_runner(Each(work), leased=True)
    runner.track({"output": 3})
    with pytest.raises(ProcessingError, match="cannot be told from the rest"):
        runner.process("input", [1])


def test_i5_it_is_when_all_that_was_sent_came_before():
    def work(pe, data):
        pe.write("output", "first")
        in_thread(pe.write, "output", data)

    runner = make_runner(Each(work), leased=True)
    runner.track({"output": 1})
    runner.process("input", [7])
    assert runner.is_unrepeatable
    assert runner.replay.to_send("output", runner.written["output"]) == [7]
    runner.track()
    assert not runner.is_unrepeatable


# Whole runs.


def test_i5_a_thread_waits_for_what_is_slow():
    most = []

    class Looks(IterativePE):
        def _process(self, data):
            most.append(Receives.written - data)
            return data

    class Receives(ProducerPE):
        written = 0

        def _process(self, inputs):
            in_thread(self.receive)

        def receive(self):
            for number in range(6000):
                self.write("output", number)
                Receives.written = number

    result = run(chain(Receives(), Looks()))
    assert result.outputs["Looks1"]["output"] == [*range(6000)]
    assert max(most) < 3 * 1024


def test_c3_a_failure_further_down_ends_a_call_that_only_waits():

    def wait(pe):
        in_thread(pe.write, "output", 1)
        assert not threading.Event().wait(LIMIT), "it was interrupted long ago"

    def fail(pe, data):
        raise ValueError("bad item")

    with pytest.raises(ProcessingError, match=r"Each1 .* bad item"):
        run(chain(Root(wait), Each(fail)), SimpleMapping(EngineLimits(stuck_seconds=0.05)))


def test_c3_a_thread_that_writes_once_the_run_has_failed_ends_as_if_it_had_exited():
    ended, raised = threading.Event(), []

    def write(pe):
        try:
            while True:
                pe.write("output", 1)
        except SystemExit as error:
            raised.append(type(error))
            ended.set()

    def listen(pe):
        threading.Thread(target=write, args=(pe,), daemon=True).start()
        assert ended.wait(LIMIT)

    def fail(pe, data):
        raise ValueError("bad item")

    with pytest.raises(ProcessingError, match="bad item"):
        run(chain(Root(listen), Each(fail)))
    assert raised == [SystemExit]  # for a subclass Python shows a traceback


class Asks(GenericPE):
    """Sends the id of each item."""

    item_ids = True

    def __init__(self):
        super().__init__()
        self._add_input("input")
        self._add_output("output")

    def process(self, inputs):
        return {"output": self.item_id}


def test_m5_ids_are_unique_though_threads_write_together():
    def write(pe):
        with ThreadPoolExecutor(4) as pool:
            for number in range(400):
                pool.submit(pe.write, "output", number)

    ids = run(chain(Root(write), Asks()), inputs=5).outputs["Asks1"]["output"]
    assert len(ids) == len({*ids}) == 2000


class Ordered(Relay):
    def __init__(self):
        super().__init__()
        self._add_input("input", ordered=True)


class Late(Relay):
    """Has a thread write between its last item and the end."""

    def _process(self, data):
        self.thread = threading.Thread(target=self.write, args=("output", -data))
        if data == 3:
            self.thread.start()
            self.thread.join()
        return data


def test_m6_what_threads_write_has_a_place():
    graph = chain(Root(lambda pe: None), Late(), Ordered())
    executor_results = []

    class OutputHandler:
        def result(self, pe_id, output, items):
            executor_results.extend(items)

    executor = Executor(make_plan(graph), OutputHandler())
    root = executor.start(0, 0).pe
    root.work = lambda pe: [pe.write("output", number) for number in (1, 2, 3)] and None
    executor.call_root(0, iter([{}]))
    in_thread(executor.start(1, 0).pe.write, "output", "between")
    for pe in (0, 1, 2):
        executor.finish(pe, 0)
    assert executor_results[:2] == [1, 2]
    assert sorted(executor_results[2:4]) == [-3, 3]
    assert executor_results[4:] == ["between"]


def test_i5_pes_that_wait_for_their_threads_may_be_one_behind_the_other():
    def work(pe, data):
        with ThreadPoolExecutor(2) as pool:
            pool.submit(pe.write, "output", data)
            pool.submit(pe.write, "output", data)
            time.sleep(0.001)

    graph = chain(Root(lambda pe: work(pe, 1)), *(Each(work) for _ in range(4)))
    assert run(graph, inputs=4).outputs["Each4"]["output"] == [1] * 4 * 2**5


# What is logged.


def test_i4_lines_go_in_order_and_after_the_end_at_once(caplog):
    sent = []
    lines = LogLines(lambda *line: sent.append(line))
    for number in range(3):
        lines.put("PE0", 0, f"{number}")
    assert lines
    lines.flush()
    assert [message for _, _, message in sent] == ["0", "1", "2"]
    with caplog.at_level("INFO", logger="dispel4py.run"):
        lines.end()
        lines.put("PE0", 0, "late")
    assert "late" in caplog.text
    assert len(sent) == 3


def test_i4_what_a_thread_logs_in_a_long_call_is_sent_during_the_call():
    sent, seen = threading.Event(), []

    def work(pe, data):
        in_thread(pe.log, "from a thread")
        assert sent.wait(LIMIT)
        pe.log("from the call")

    def log(pe_id, rank, message):
        seen.append(message)
        sent.set()

    executor = Executor(make_plan(chain(Root(None), Each(work))), None, log=log)
    executor.push(1, 0, "input", [1])
    executor.drain()
    assert seen == ["from a thread", "from the call"]
