"""Rule I7: what PEs draw from global generators follows from the run's seed, and is their own."""

import os
import pickle
import random
import signal
import subprocess
import sys
import threading
from itertools import pairwise

import pytest

from dispel4py import IterativePE, ProducerPE, WorkflowGraph, run
from dispel4py.engine import random_streams
from dispel4py.engine.execution.executor import Executor
from dispel4py.engine.items.item_ids import InstanceSnapshot
from dispel4py.engine.planning.plan import make_plan, replicate_stateless
from dispel4py.engine.random_streams import Stream, draw_seed, preserved_generators
from dispel4py.errors import OptionError
from dispel4py.result import RunOptions


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_i7_a_worker_is_forked_while_another_thread_draws_from_numpys_generator():
    numpy = pytest.importorskip("numpy.random")
    lock, held, done = numpy.get_bit_generator().lock, threading.Event(), threading.Event()

    def hold():
        with lock:
            held.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    pid = os.fork()
    if pid == 0:
        signal.alarm(10)  # ends a process that waits for the lock
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        numpy.random()
        os._exit(0)
    done.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


class Draw(ProducerPE):
    def _process(self, inputs):
        return random.random()


class Add(IterativePE):
    """Sends what it gets and a number of its own."""

    def _process(self, data):
        return data, random.random()


class SlowAdd(Add):
    """Does that in calls that take long."""

    def _process(self, data):
        threading.Event().wait(0.006)
        return super()._process(data)


class Gauss(IterativePE):
    """Draws from Python's generator by a method that keeps every other number for later."""

    def _process(self, data):
        return data, random.gauss(0, 1)


class AtTheEnds(IterativePE):
    def _preprocess(self):
        self.write("output", random.random())

    def _process(self, data):
        return None

    def _postprocess(self):
        self.write("output", random.random())


class Burst(ProducerPE):
    """Writes more than a batch in one call, and draws in between."""

    def _process(self, inputs):
        for _ in range(3000):
            self.write("output", random.random())


class Pass(IterativePE):
    def _process(self, data):
        return data


class SlowPass(Pass):
    """Draws nothing, in calls that take long."""

    def _process(self, data):
        threading.Event().wait(0.006)
        return data


def chain(*pes):
    graph = WorkflowGraph()
    graph.add(pes[0])
    for source, destination in pairwise(pes):
        graph.connect(source, "output", destination, "input")
    return graph


def outputs(*pes, calls=10, **options):
    result = run(chain(*pes), inputs=calls, **options)
    return result.outputs.popitem()[1]["output"]


def numpy_random():
    return pytest.importorskip("numpy").random


def test_i7_the_same_seed_gives_the_same_numbers():
    assert outputs(Draw(), Add(), seed=5) == outputs(Draw(), Add(), seed=5)
    assert not {*outputs(Draw(), seed=5)} & {*outputs(Draw(), seed=6)}


def test_i7_an_instance_draws_the_same_whatever_others_draw():
    alone = outputs(Draw(), Pass(), seed=5)
    among = outputs(Draw(), Gauss(), Add(), Gauss(), seed=5)
    assert [item[0][0][0] for item in among] == alone


def test_i7_a_call_that_is_interrupted_goes_on_with_its_own_numbers():
    alone = outputs(Burst(), calls=1, seed=5)
    among = outputs(Burst(), Add(), calls=1, seed=5)
    assert [number for number, _ in among] == alone


def test_i7_an_instance_that_draws_late_and_takes_long_is_seen():
    class Late(IterativePE):
        def _process(self, data):
            threading.Event().wait(0.006)
            return (data, random.random()) if self.draws(data) else None

        def draws(self, data):
            return data > 0.5

    first, other = (outputs(Draw(), Late(), *more, seed=9) for more in ([], [Add()]))
    assert [number for _, number in first] == [item[0][1] for item in other]


def test_i7_instances_of_a_pe_draw_different_numbers():
    pe = AtTheEnds()
    pe.numprocesses = 4
    drawn = outputs(Draw(), pe, seed=1)
    assert len({*drawn}) == len(drawn) == 8


@pytest.mark.parametrize("seed", [0, 1, (1 << 32) - 1, 1 << 32, (1 << 64) - 1])
def test_i7_a_seed_is_a_number_of_64_bits(seed):
    assert outputs(Draw(), seed=seed) == outputs(Draw(), seed=seed)


@pytest.mark.parametrize("seed", [-1, 1 << 64, 0.5, "7"])
def test_i7_any_other_seed_is_refused(seed):
    with pytest.raises(OptionError, match="seed"):
        run(chain(Draw(), Pass()), seed=seed)


def test_i7_small_seeds_are_different_series_of_both_generators():
    numpy = numpy_random()
    drawn = []
    with preserved_generators():
        for seed in (0, 1, 2, 1 << 32, 2 << 32 | 3):
            Stream(seed, "a").activate()
            drawn.append((random.random(), numpy.random()))
    ofs_python, ofs_numpy = zip(*drawn, strict=True)
    assert len({*ofs_python}) == 5
    assert len({*ofs_numpy}) == 4  # the low half of 1 << 32 is 0


def test_i7_each_generator_follows_from_its_half_of_the_seed():
    numpy = numpy_random()
    drawn = []
    with preserved_generators():
        for seed in (5 << 32 | 6, 5 << 32 | 7, 8 << 32 | 7):
            Stream(seed, "a").activate()
            drawn.append((random.random(), numpy.random()))
    assert drawn[0][0] == drawn[1][0] != drawn[2][0]
    assert drawn[0][1] != drawn[1][1] == drawn[2][1]


def test_i7_a_script_that_seeds_is_repeatable():
    before = random.getstate()
    try:
        seeds = []
        for _ in range(2):
            random.seed(4)
            seeds += [draw_seed() >> 32, draw_seed() >> 32]
    finally:
        random.setstate(before)
    assert seeds[:2] == seeds[2:]
    assert seeds[0] != seeds[1]


class TestTheCallersGenerators:
    def test_i7_are_left_as_they_were(self):
        numpy = numpy_random()
        before = random.getstate(), pickle.dumps(numpy.get_state(legacy=False))
        outputs(Draw(), Add(), Gauss(), seed=3)
        assert random.getstate() == before[0]
        assert pickle.dumps(numpy.get_state(legacy=False)) == before[1]

    def test_i7_are_left_so_by_a_run_that_fails(self):
        class Fails(Draw):
            def _process(self, inputs):
                raise ValueError(random.random())

        before = random.getstate()
        with pytest.raises(Exception, match="ValueError"):
            outputs(Fails(), seed=3)
        assert random.getstate() == before

    def test_i7_serve_what_makes_the_inputs_and_takes_the_results(self):
        random.seed(8)
        expected = [random.random() for _ in range(40)]
        random.seed(8)
        drawn, taken = [], []

        def inputs():
            for _ in range(20):
                drawn.append(random.random())
                yield {}

        def take(*result):
            taken.append(random.random())

        run(chain(Draw(), Add()), inputs=inputs(), on_result=take, seed=3)
        assert sorted([*drawn, *taken]) == sorted(expected)
        assert outputs(Draw(), Add(), calls=20, seed=3)  # and those of PEs are what they were

    def test_i7_a_run_inside_a_pe_preserves_the_numbers_of_the_pe(self):
        class Nested(Draw):
            def _process(self, inputs):
                first = random.random()
                run(chain(Draw(), Add()), inputs=3, seed=1)
                return first, random.random()

        class Plain(Draw):
            def _process(self, inputs):
                return random.random(), random.random()

        plain = Plain()
        plain.name = plain.id = "Nested"
        assert outputs(Nested(), seed=2) == outputs(plain, seed=2)


def test_i7_a_generator_that_is_imported_by_a_pe_is_seeded():
    pytest.importorskip("numpy")
    lines = """
from dispel4py import *

class Normal(ProducerPE):
    def _process(self, inputs):
        import numpy.random
        return float(numpy.random.normal())

graph = WorkflowGraph()
graph.add(Normal())
print([run(graph, inputs=3, seed=6).outputs for _ in range(2)])
"""
    printed = {
        subprocess.run([sys.executable, "-c", lines], capture_output=True, check=True).stdout
        for _ in range(2)
    }
    (text,) = printed
    first, again = eval(text)
    assert first == again


def test_i7_another_kind_of_generator_is_seeded_too():
    numpy = numpy_random()
    if not hasattr(numpy, "set_bit_generator"):
        pytest.skip("this NumPy cannot have another one")
    before = numpy.get_bit_generator()
    numpy.set_bit_generator(numpy.PCG64(1))
    try:

        class Normal(ProducerPE):
            def _process(self, inputs):
                return numpy.normal()

        assert outputs(Normal(), seed=6) == outputs(Normal(), seed=6)
    finally:
        numpy.set_bit_generator(before)


class TestMoving:
    """An instance goes to another process in the middle."""

    def executor(self, *pes, rank=0, shared=False):
        plan = make_plan(chain(Draw(), *pes), RunOptions(seed=11))
        self.results = []
        return Executor(replicate_stateless(plan) if shared else plan, self, rank=rank)

    def result(self, pe_id, output, items):
        self.results += items

    def push(self, executor, items):
        for item in items:
            executor.push(1, 0, "input", [item])
            executor.drain()

    @pytest.mark.parametrize("kind", [Add, Gauss, SlowAdd])
    def test_i7_its_numbers_go_along(self, kind):
        with preserved_generators():
            self.push(self.executor(kind()), range(10))
            expected = self.results
            first = self.executor(kind())
            self.push(first, range(5))
            before = self.results
            state = pickle.loads(first.start(1, 0).snapshot(pickle.dumps))
            assert isinstance(state, InstanceSnapshot)
            second = self.executor(kind())
            second.start(1, 0, restored=state)
            self.push(second, range(5, 10))
        assert before + self.results == expected

    def test_its_state_is_not_read_after_each_call_that_takes_long(self, monkeypatch):
        reads, read = [], random.getstate
        with preserved_generators():
            executor = self.executor(SlowPass())
            self.push(executor, range(1))
            monkeypatch.setattr(random, "getstate", lambda: reads.append("read") or read())
            self.push(executor, range(5))
            assert not reads
            executor.start(1, 0).snapshot(pickle.dumps)
            assert reads

    def test_i7_an_instance_that_draws_nothing_has_no_state_of_generators(self):
        with preserved_generators():
            executor = self.executor(Pass())
            self.push(executor, range(5))
            assert isinstance(pickle.loads(executor.start(1, 0).snapshot(pickle.dumps)), Pass)

    def test_i7_a_replica_draws_what_it_would_have_drawn_where_it_was(self):
        with preserved_generators():
            first = self.executor(AtTheEnds(), shared=True)
            self.push(first, range(5))
            state = pickle.loads(first.start(1, 0).snapshot(pickle.dumps))
            second = self.executor(AtTheEnds(), rank=1, shared=True)
            second.start(1, 0)
            second.start(1, 1, restored=state)
            second.finish(1, 1)
            second.finish(1, 0)
            own, *ends = self.results
            stayed = self.executor(AtTheEnds(), shared=True)
            self.push(stayed, range(5))
            stayed.finish(1, 0)
        assert ends[0] == self.results[-1]
        assert len({own, *ends}) == 3


def test_i7_a_run_on_another_thread_puts_nothing_back_that_was_drawn_since():
    entered, may_end = threading.Event(), threading.Event()

    def other():
        with preserved_generators() as callers:
            entered.set()
            may_end.wait()
            callers.activate()

    thread = threading.Thread(target=other)
    with preserved_generators():
        thread.start()
        entered.wait()
    drawn = [random.random() for _ in range(10)]
    may_end.set()
    thread.join()
    assert not {*drawn} & {random.random() for _ in range(10)}


def test_i7_on_two_threads_no_number_is_drawn_twice():
    drawn, ready = [], threading.Barrier(2)

    def draw(name):
        ready.wait()
        stream = Stream(1, name)
        for _ in range(200):
            stream.activate()
            drawn.append(random.random())
            stream.record()

    threads = [threading.Thread(target=draw, args=(name,)) for name in "ab"]
    with preserved_generators():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len({*drawn}) == 400


def meeting(entered, awaited, draws):
    """Return a PE whose first call sets an event, waits for another, and draws so many numbers."""

    class Meets(ProducerPE):
        def _process(self, inputs):
            entered.set()
            assert awaited.wait(30)
            return [random.random() for _ in range(draws)]

    return Meets()


class TestRunsOnTwoThreads:
    """The first run has the generators; the second one begins while it is called."""

    @pytest.fixture(autouse=True)
    def _numbers_of_the_program(self, monkeypatch):
        # Tests that call an executor without a run leave its stream.
        monkeypatch.setattr(random_streams._generators, "holder", None)
        self.before = random.getstate()
        yield
        random.setstate(self.before)

    def run_two(self, *draws, longer, seed=1, **options):
        """Return the results of two runs, of which the longer one (0 or 1) ends last."""
        events = entered, met, may_end = [threading.Event() for _ in range(3)]
        waits = [may_end if longer == index else met for index in range(2)]
        pes = [meeting(*of_pe) for of_pe in zip(events, waits, draws, strict=False)]
        results = [None, None]

        def run_one(index):
            results[index] = run(chain(pes[index]), inputs=5, seed=seed, **options)

        threads = [threading.Thread(target=run_one, args=(index,)) for index in range(2)]
        threads[0].start()
        assert entered.wait(30)
        threads[1].start()
        threads[1 - longer].join(30)
        may_end.set()
        threads[longer].join(30)
        assert all(results)
        return results

    @pytest.mark.parametrize("longer", [0, 1])
    @pytest.mark.parametrize("draws", [(2, 2), (0, 2)])
    def test_i7_the_run_that_could_not_have_the_generators_reports_draws(
        self, draws, longer, caplog
    ):
        _, second = self.run_two(*draws, longer=longer)
        (note,) = second.stats.notes
        assert "global random generators" in note
        assert note in caplog.messages

    def test_i7_both_report_draws_while_the_first_one_has_the_generators(self, caplog):
        results = self.run_two(2, 2, longer=0)
        assert [len(result.stats.notes) for result in results] == [1, 1]
        assert len(caplog.messages) == 2

    @pytest.mark.parametrize("longer", [0, 1])
    def test_i7_runs_that_draw_nothing_report_nothing(self, longer):
        results = self.run_two(0, 0, longer=longer)
        assert [result.stats.notes for result in results] == [[], []]

    def test_i7_draws_in_the_time_of_the_first_run_leave_the_callers_generators_alone(self):
        self.run_two(2, 2, longer=0)
        assert random.getstate() == self.before

    def test_i7_a_run_whose_pes_are_elsewhere_leaves_the_generators_to_another_thread(self):
        drawn = []
        expected = outputs(Draw(), Add(), seed=5)
        thread = threading.Thread(target=lambda: drawn.extend(outputs(Draw(), Add(), seed=5)))
        with preserved_generators() as caller:
            thread.start()
            thread.join(30)
        assert drawn == expected
        assert not caller.is_mixed

    def test_i7_a_run_alone_is_what_it_was_after_two_that_overlapped(self):
        expected = outputs(Draw(), Add(), seed=5)
        self.run_two(2, 2, longer=1)
        assert outputs(Draw(), Add(), seed=5) == expected

    def test_a_seed_is_not_drawn_from_the_numbers_of_a_run_on_another_thread(self):
        seeds = []

        def draw():
            seeds.append(draw_seed())

        thread = threading.Thread(target=draw)
        with preserved_generators():
            Stream(1, "a").activate()
            before = random.getstate()
            thread.start()
            thread.join(30)
            assert random.getstate() == before
        assert len(seeds) == 1
