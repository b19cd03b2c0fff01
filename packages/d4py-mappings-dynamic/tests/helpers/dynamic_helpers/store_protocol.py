"""The protocol of the stores as a state machine: the events of a run, and what must always hold."""

from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from d4py_dynamic.store.protocols import Results
from d4py_dynamic.store.tasks import ANY, CALLS, ITEMS, Commit, Task
from dispel4py.errors import ServiceError
from dynamic_helpers.simulated_workers import KEPT, ROOT, SHARED, Worker

PINS = [(ROOT, 0), (KEPT, 0), (KEPT, 1)]

#: What happens to the answer of a commit: the worker receives it; the worker dies before that; the
#: answer is lost with the connection, and the commit is sent again.
RECEIVED, LOST, REPEATED = "received", "lost", "repeated"
answers = st.sampled_from([RECEIVED, LOST, REPEATED])

#: Calls of its store that one worker may need to finish everything by itself.
ENOUGH = 1000


class Protocol(RuleBasedStateMachine):
    """The events of a run.

    Args:
        driver: the driver's side of the store.
        make_worker: makes a worker's side of it.
        repeat: sends a commit again whose answer was lost; None where no answer can be lost.
    """

    def __init__(self, driver, make_worker, repeat=None):
        super().__init__()
        self.driver, self._make_worker, self._repeat = driver, make_worker, repeat
        self.stores = []  # of all workers
        self.workers = []  # that run
        self.members = {}  # rank → instances, as the driver sees them
        self.unowned = [*PINS]
        self.unfinished = Counter(dict.fromkeys(range(3), 0))
        self.calls = 0  # of the root, which sends 1, 2, 3, …
        self.extra = []  # other items that were put
        self.results = {"shared": [], "kept": []}

    @initialize(calls=st.integers(1, 4))
    def begin(self, calls):
        self.join()
        self.join()
        self.put([calls])
        for which in range(len(PINS)):
            self.assign(which)
        for worker in self.workers:
            while worker.assigned:
                worker.adopt()

    # The driver.

    @rule(calls=st.lists(st.integers(1, 4), min_size=1, max_size=3))
    def put(self, calls):
        self.calls += sum(calls)
        self.driver.put([Task(CALLS, ROOT, 0, None, count) for count in calls])
        self.unfinished[ROOT] += len(calls)

    @rule(numbers=st.integers(1, 3))
    def put_shared(self, numbers):
        """A task of several items that any worker may take."""
        items = [-len(self.extra) - n for n in range(1, numbers + 1)]
        self.extra += items
        self.driver.put([Task(ITEMS, SHARED, ANY, "input", items)])
        self.unfinished[SHARED] += 1

    @rule()
    def join(self):
        rank = self.driver.join()
        self.members[rank] = []
        self.stores.append(self._make_worker(rank))
        self.workers.append(Worker(rank, self.stores[-1]))

    @precondition(lambda self: self.unowned and self.members)
    @rule(which=st.integers(0, 9))
    def assign(self, which):
        rank = [*self.members][which % len(self.members)]
        pin = self.unowned.pop(0)
        self.members[rank].append(pin)
        for worker in self.workers:
            if worker.rank == rank:
                worker.assigned.append(pin)

    @precondition(lambda self: self.members)
    @rule(which=st.integers(0, 9))
    def evict(self, which):
        """Evict a worker that has crashed, or one that is only slow."""
        rank = [*self.members][which % len(self.members)]
        pins = self.members.pop(rank)
        self.driver.evict(rank, pins)
        self.unowned += pins

    @precondition(lambda self: self.members)
    @rule(which=st.integers(0, 9), dead=st.booleans())
    def replace(self, which, dead):
        """Replace a worker by a new one, which adopts all its instances."""
        lost = [*self.members][which % len(self.members)]
        self.evict(which)
        if dead:
            self.workers = [worker for worker in self.workers if worker.rank != lost]
        self.join()
        successor = self.workers[-1]
        while self.unowned:
            self.assign(len(self.members) - 1)
            successor.adopt()

    # Workers.

    def some(self, which):
        return self.workers[which % len(self.workers)]

    def do(self, worker, action):
        """Call a worker's store, which refuses a worker that was evicted."""
        if worker.rank in self.members:
            return action()
        with pytest.raises(ServiceError):
            action()
        self.workers.remove(worker)
        return None

    def commit(self, worker, commit, answer=RECEIVED):
        def commit_it():
            worker.store.commit(commit)
            if answer == REPEATED and self._repeat is not None:
                self._repeat(worker.store, commit)
            for lease in commit.leases:
                self.unfinished[lease.task.pe] -= 1
            for task in commit.tasks:
                self.unfinished[task.pe] += 1
            if answer == LOST:
                self.workers.remove(worker)

        self.do(worker, commit_it)

    there_are_workers = precondition(lambda self: self.workers)

    @there_are_workers
    @rule(which=st.integers(0, 9))
    def take(self, which):
        worker = self.some(which)
        self.do(worker, worker.take)

    @there_are_workers
    @rule(which=st.integers(0, 9))
    def adopt(self, which):
        worker = self.some(which)
        if worker.assigned:
            self.do(worker, worker.adopt)

    @there_are_workers
    @rule(which=st.integers(0, 9), lease=st.integers(0, 9), answer=answers)
    def finish_shared(self, which, lease, answer):
        worker = self.some(which)
        if worker.shared:
            self.finish(worker, lease % len(worker.shared), answer)

    def finish(self, worker, number, answer=RECEIVED):
        lease = worker.shared.pop(number)
        self.commit(worker, worker.finish(lease), answer)

    @there_are_workers
    @rule(
        which=st.integers(0, 9),
        lease=st.integers(0, 9),
        count=st.integers(0, 2),
        answer=answers,
    )
    def send_in_shared_call(self, which, lease, count, answer):
        worker = self.some(which)
        if worker.shared:
            number = lease % len(worker.shared)
            lease = worker.shared[number]
            commit, position = worker.send(lease, count)
            worker.shared[number] = lease._replace(position=position)
            self.commit(worker, commit, answer)

    @there_are_workers
    @rule(which=st.integers(0, 9), pin=st.sampled_from(PINS), count=st.integers(1, 3))
    def work(self, which, pin, count):
        """Process items without a commit."""
        worker = self.some(which)
        if pin in worker.owned:
            worker.owned[pin].work(count)

    @there_are_workers
    @rule(which=st.integers(0, 9), pin=st.sampled_from(PINS), answer=answers)
    def save(self, which, pin, answer):
        worker = self.some(which)
        if pin in worker.owned:
            self.commit(worker, worker.owned[pin].save(), answer)

    @there_are_workers
    @rule(which=st.integers(0, 9), pin=st.sampled_from(PINS), answer=answers)
    def send_in_pinned_call(self, which, pin, answer):
        worker = self.some(which)
        if pin in worker.owned:
            self.commit(worker, worker.owned[pin].send(), answer)

    @precondition(lambda self: any(worker.rank not in self.members for worker in self.workers))
    @rule(pin=st.sampled_from(PINS), late=st.booleans())
    def continue_evicted(self, pin, late):
        """Let an evicted worker continue, which adopts an instance or takes tasks."""
        (worker, *_) = [worker for worker in self.workers if worker.rank not in self.members]
        if late:
            worker.assigned.append(pin)
            self.do(worker, worker.adopt)
        else:
            self.do(worker, worker.take)

    @there_are_workers
    @rule(which=st.integers(0, 9))
    def crash(self, which):
        self.workers.remove(self.some(which))

    # Invariants.

    @invariant()
    def check_counts(self):
        assert self.driver.unfinished([]) == dict(self.unfinished)

    def check_results(self):
        while events := self.driver.events(0.0):
            for event in events:
                assert isinstance(event, Results)
                for name, _, items in event.results:
                    self.results[name] += items
        for items in self.results.values():
            assert len({*items}) == len(items)

    def teardown(self):
        try:
            self.end()
        finally:
            for store in self.stores:
                store.close()
            self.driver.delete()

    def end(self):
        """Evict all workers, and let a new one finish everything."""
        while self.members:
            self.evict(0)
        self.join()
        worker = self.workers[-1]
        while self.unowned:
            self.assign(0)
            worker.adopt()
        for _ in range(ENOUGH):
            if not any(self.driver.unfinished([]).values()):
                break
            self.work_undisturbed(worker)
        self.check_counts()
        self.check_results()
        wanted = [*range(1, self.calls + 1), *self.extra]
        assert sorted(self.results["shared"]) == sorted(wanted)
        for instance in (0, 1):
            got = [(item, count) for i, item, count in self.results["kept"] if i == instance]
            assert sorted(item for item, _ in got) == sorted(n for n in wanted if n % 2 == instance)
            assert sorted(count for _, count in got) == [*range(1, len(got) + 1)]
        while self.workers:  # those that were only slow continue now
            worker = self.workers.pop()
            if worker.rank not in self.members:
                with pytest.raises(ServiceError):
                    worker.store.commit(Commit())

    def work_undisturbed(self, worker):
        worker.take()
        while worker.shared:
            self.finish(worker, 0)
        for instance in worker.owned.values():
            instance.work(100)
            if instance.held or instance.fresh:
                self.commit(worker, instance.save())
