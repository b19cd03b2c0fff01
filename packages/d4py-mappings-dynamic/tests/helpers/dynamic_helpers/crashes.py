"""Runs whose workers are lost at chosen calls of their store."""

import threading

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from d4py_dynamic.driver.limits import DriverLimits
from d4py_dynamic.worker.limits import WorkerLimits
from d4py_dynamic.worker.loop import Worker
from dispel4py import ProducerPE
from dispel4py.engine.limits import EngineLimits
from dispel4py.engine.planning.plan import make_plan, replicate_stateless
from dispel4py.result import RunOptions


class Crashing:
    """A worker's store at some calls of which the worker is lost.

    Args:
        store: the store.
        crashes: see `Crashes`.
    """

    def __init__(self, store, crashes):
        self._store, self._crashes = store, crashes

    def take(self, *arguments, **options):
        return self._crashes.at(self._store.take, *arguments, **options)

    def adopt(self, pin):
        return self._crashes.at(self._store.adopt, pin)

    def commit(self, commit):
        return self._crashes.at(self._store.commit, commit)

    def __getattr__(self, name):
        return getattr(self._store, name)


class Crashes:
    """Counts the calls of all workers.

    Args:
        error: what a worker raises to be lost.
        before: numbers of calls that do not come to pass.
        after: numbers of calls that have their effect, but whose answer is lost.
    """

    def __init__(self, error, before=(), after=()):
        self._error, self._before, self._after = error, set(before), set(after)
        self._lock = threading.Lock()
        self._calls = 0
        self.happened = 0

    def at(self, method, *arguments, **options):
        with self._lock:
            number = self._calls
            self._calls += 1
        if number in self._before:
            self.crash()
        result = method(*arguments, **options)
        if number in self._after:
            self.crash()
        return result

    def crash(self):
        self.happened += 1
        raise self._error


#: Losses are seen at once.
QUICK_DRIVER = DriverLimits(tick_seconds=0.002, check_seconds=0.05)

#: Everything travels as soon as possible, in calls too.
QUICK = WorkerLimits(take_seconds=0.01, load_seconds=0.0, commit_seconds=0.0, preempt_seconds=0.001)


def crashing(open_store, run_in_threads, error):
    """Runs a graph on a store: ``crash(graph, inputs, processes, before=…, after=…)``."""

    def crash(graph, inputs, processes, before=(), after=(), interval=1.0, limits=QUICK, **options):
        plan = replicate_stateless(make_plan(graph, limits=EngineLimits(batch_items=2)))
        store = open_store(plan)
        crashes = Crashes(error, before, after)
        crash.last = crashes
        chosen = RunOptions(**options)

        def make_worker(rank):
            side = Crashing(store.worker(rank), crashes)
            # Workers are lost at random, not because of an item.
            return Worker(
                *(plan, side, rank, chosen.on_error),
                interval=interval,
                redeliveries=1000,
                limits=limits,
            )

        return run_in_threads(
            plan, inputs, store.driver, make_worker, processes, chosen, QUICK_DRIVER
        )

    return crash


class Words(ProducerPE):
    """Writes several (word, number) in each call, and one before and after all."""

    def __init__(self, times):
        super().__init__()
        self.times, self.number = times, 0

    def _preprocess(self):
        self.write("output", ("first", 0))

    def _process(self, inputs):
        for _ in range(self.times):
            self.number += 1
            self.write("output", ("abc"[self.number % 3], self.number))

    def _postprocess(self):
        self.write("output", ("last", self.number))


calls_of_the_store = st.sets(st.integers(0, 80), max_size=4)
some_runs = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
