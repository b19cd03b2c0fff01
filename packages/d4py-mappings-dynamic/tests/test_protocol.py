"""C5, H2: the commit protocol of the real stores, with random sequences of events.

Workers are simulated, one call of their store at a time: they take tasks, send in the middle of a
call, save, crash before or after a commit, and are evicted while they run and continue later.
After any sequence, each item counts once in each result, and the run ends.

    root (pinned) → shared → kept (two pinned instances that keep what they got)
"""

import secrets
from collections import Counter, deque
from functools import partial
from itertools import islice

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from d4py_dynamic.store.memory.run_store import InMemoryRunStore
from d4py_dynamic.store.memory.store import InMemoryStore
from d4py_dynamic.store.memory.task_store import InMemoryTaskStore
from d4py_dynamic.store.protocols import Results
from d4py_dynamic.store.redis import scripts as redis_scripts
from d4py_dynamic.store.redis.keys import RunKeys
from d4py_dynamic.store.redis.run_store import RedisRunStore
from d4py_dynamic.store.redis.task_store import RedisTaskStore
from d4py_dynamic.store.serialization import CODEC
from d4py_dynamic.store.tasks import ANY, CALLS, ITEMS, Commit, ResumePoint, Task, pins_of
from dispel4py import IterativePE, ProducerPE, WorkflowGraph
from dispel4py.engine.plan import make_plan
from dispel4py.errors import ServiceError

ROOT, SHARED, KEPT = range(3)
PINS = [(ROOT, 0), (KEPT, 0), (KEPT, 1)]
#: What happens to the answer of a commit: the worker receives it; the worker dies before that; the
#: answer is lost with the connection, and the commit is sent again.
RECEIVED, LOST, REPEATED = "received", "lost", "repeated"
answers = st.sampled_from([RECEIVED, LOST, REPEATED])
#: Calls of its store that one worker may need to finish everything by itself.
ENOUGH = 1000


def make_graph():
    graph = WorkflowGraph()
    shared, kept = IterativePE(), IterativePE()
    kept.stateful, kept.numprocesses = True, 2
    graph.connect(ProducerPE(), "output", shared, "input")
    graph.connect(shared, "output", kept, "input")
    return graph


def units(task):
    """What a task has to be done for, one by one."""
    return [None] * task.payload if task.kind == CALLS else task.payload


class Instance:
    """A pinned instance in the hands of a worker, which need not be the only one to think so.

    Attributes:
        kept: its state: what it has got, or the numbers that the root has sent.
        leases: what it has to do, oldest first; of the first one `done` units are done.
        held: leases that are done since the state was saved.
        fresh: what it has made since its last commit.
        to_drop: how much of what comes next was sent by the last owner already.
        sent: how much was sent since the state was saved.
    """

    def __init__(self, pin, adopted):
        self.pin = pin
        self.kept = [] if adopted.state is None else CODEC.loads(adopted.state)
        self.leases, self.held = deque(adopted.leases), []
        self.done = self.saved_done = adopted.position.done
        self.sent = self.to_drop = dict(adopted.position.sent).get("output", 0)
        self.made, self.fresh = 0, []

    def work(self, count):
        """Do so many units, if there are so many."""
        while count and self.leases:
            todo = units(self.leases[0].task)
            for unit in todo[self.done : self.done + count]:
                self.kept.append(len(self.kept) + 1 if unit is None else unit)
                count -= 1
                self.done += 1
                self.made += 1
                if self.to_drop:
                    self.to_drop -= 1
                else:
                    self.fresh.append((self.kept[-1], len(self.kept)))
            if self.done == len(todo):
                self.held.append(self.leases.popleft())
                self.done = 0

    def send(self):
        """A commit in the middle of a call: what was sent, and how much that is; no state."""
        self.sent = max(self.sent, self.made)
        position = ResumePoint(self.saved_done, (("output", self.sent),))
        return Commit(instance_positions=[(self.pin, position)], **self._outgoing())

    def save(self):
        """A checkpoint."""
        position = ResumePoint(self.done, (("output", self.to_drop),))
        commit = Commit(
            leases=self.held,
            states=[(self.pin, CODEC.dumps(self.kept))],
            instance_positions=[(self.pin, position)],
            **self._outgoing(),
        )
        self.held, self.saved_done = [], self.done
        self.sent, self.made = self.to_drop, 0
        return commit

    def _outgoing(self):
        made, self.fresh = self.fresh, []
        if self.pin[0] == ROOT:
            return {"tasks": [Task(ITEMS, SHARED, ANY, "input", [item]) for item, _ in made]}
        return {"results": [("kept", "output", [(self.pin[1], *pair) for pair in made])]}


class Worker:
    """A worker: what it has taken and owns.

    Attributes:
        assigned: instances that were assigned to it, and that it has not adopted yet.
        shared: leases of shared tasks.
        owned: the instances that it has adopted.
    """

    def __init__(self, rank, store):
        self.rank, self.store = rank, store
        self.assigned, self.shared, self.owned = [], [], {}

    def take(self):
        for lease in self.store.take(seconds=0.0):
            pin = lease.task.pe, lease.task.instance
            (self.owned[pin].leases if pin in self.owned else self.shared).append(lease)

    def adopt(self):
        pin = self.assigned.pop(0)
        self.owned[pin] = Instance(pin, self.store.adopt(pin))

    def finish(self, lease):
        """The commit that ends a shared lease."""
        return Commit(leases=[lease], **self._made(lease, None))

    def send(self, lease, count):
        """A commit in the middle of a shared lease."""
        sent = self._sent(lease) + len(self._made(lease, count)["tasks"])
        position = ResumePoint(0, (("output", sent),))
        return Commit(lease_positions=[(lease, position)], **self._made(lease, count)), position

    def _sent(self, lease):
        return dict(lease.position.sent).get("output", 0)

    def _made(self, lease, count):
        items = [*islice(lease.task.payload[self._sent(lease) :], count)]
        return {
            "tasks": [Task(ITEMS, KEPT, item % 2, "input", [item]) for item in items],
            "results": [("shared", "output", items)],
        }


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


thorough = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes minutes
    suppress_health_check=[*HealthCheck],
)


@pytest.fixture
def check_in_memory():
    """Plays random sequences in memory."""
    plan = make_plan(make_graph())

    def make():
        store = InMemoryStore(len(plan.pes))

        def make_worker(rank):
            return InMemoryTaskStore(lambda name, *rest: getattr(store, name)(rank, *rest))

        return Protocol(InMemoryRunStore(store, plan), make_worker)

    return lambda how: run_state_machine_as_test(make, settings=how)


@pytest.fixture
def on_redis(server):
    """Makes a `Protocol` on a server."""
    plan = make_plan(make_graph())

    def make():
        keys, secret = RunKeys(secrets.token_hex(4), tuple(pins_of(plan))), secrets.token_bytes(32)
        driver = RedisRunStore(server.address, keys, secret, plan)
        driver.create("a test")
        return Protocol(driver, partial(RedisTaskStore, server.address, keys, secret), repeat)

    def repeat(store, commit):
        store._scripts._number -= 1  # as `RetryUntilDeadline` does, below the store
        store.commit(commit)

    return make


@pytest.fixture
def check_redis(on_redis):
    """Plays random sequences on a server."""
    return lambda how: run_state_machine_as_test(on_redis, settings=how)


@pytest.fixture
def play_on_redis(on_redis):
    """Plays one sequence of events on a server, to its end."""

    def play_it():
        protocol = on_redis()
        try:
            play(protocol)
        finally:
            protocol.teardown()

    return play_it


def test_h2_nothing_is_lost_or_counted_twice_in_memory(check_in_memory):
    check_in_memory(thorough)


@pytest.mark.slow
def test_h2_nothing_is_lost_or_counted_twice_on_redis(check_redis):
    check_redis(thorough)


def play(protocol):
    """Play one sequence of events in which each step of each script matters."""
    root, kept = (ROOT, 0), (KEPT, 0)

    def number(worker):
        return protocol.workers.index(worker)

    def follow(lost, *, dead):
        """Replace a worker; return the new one."""
        protocol.replace([*protocol.members].index(lost.rank), dead)
        return protocol.workers[-1]

    protocol.begin(4)
    first, second = protocol.workers
    protocol.take(number(first))
    protocol.work(number(first), root, 2)
    protocol.send_in_pinned_call(number(first), root, RECEIVED)
    successor = follow(first, dead=False)
    protocol.continue_evicted(root, True)  # the first one would adopt it again
    protocol.work(number(successor), root, 3)
    protocol.save(number(successor), root, REPEATED)
    protocol.put_shared(3)
    for worker in (successor, second):
        for _ in range(8):
            protocol.take(number(worker))
    for worker in (successor, second):
        if worker.shared:
            protocol.send_in_shared_call(number(worker), len(worker.shared) - 1, 1, RECEIVED)
            while len(worker.shared) > 1:
                protocol.finish_shared(number(worker), 0, RECEIVED)
    protocol.take(number(second))
    protocol.work(number(second), kept, 2)
    protocol.save(number(second), kept, RECEIVED)
    last = follow(second, dead=False)
    protocol.save(number(second), kept, RECEIVED)  # refused
    protocol.work(number(last), kept, 1)
    protocol.save(number(last), kept, RECEIVED)
    follow(successor, dead=True)
    protocol.check_counts()


#: What each script must not lack: the script, a part of it, and what replaces the part.
BREAKS = {
    "commits of a worker that was evicted": (
        "commit",
        "if not is_member(rank) then",
        "if false then",
    ),
    "commits that were processed already": ("commit", "if earlier then return earlier end", ""),
    "adoption by a worker that was evicted": (
        "adopt",
        "if not is_member(rank) then",
        "if false then",
    ),
    "results that are not stored": ("commit", "\nadd_results()\n", "\n"),
    "followers that are not stored": ("commit", "\nadd_followers()\n", "\n"),
    "a state without the end of its leases": ("commit", "\nend_leases()\n", "\n"),
    "a state that is not stored": ("commit", "\nrecord_states()\n", "\n"),
    "a position that is not stored": (
        "commit",
        "call('HSET', key('positions')",
        "do end --",
    ),
    "a position in a shared call that is not stored": (
        "commit",
        "call('HSET', key('lease_positions')",
        "do end --",
    ),
    "leases that stay with a worker that was evicted": (
        "evict_worker",
        "call('XADD', shared",
        "do end --",
    ),
    "positions that are lost with a worker": (
        "evict_worker",
        "'n', count, 'r', position",
        "'n', count",
    ),
    "leases that are not adopted": ("adopt", "leases[#leases + 1] = found", ""),
}


def test_h2_a_sequence_of_events_on_redis(play_on_redis):
    play_on_redis()


@pytest.mark.parametrize("what", BREAKS)
def test_h2_a_script_that_lacks_a_step_is_detected(play_on_redis, monkeypatch, what):
    name, part, instead = BREAKS[what]
    load = redis_scripts.load_script

    def load_broken(which):
        source = load(which)
        if which != name:
            return source
        assert source.count(part) == 1
        return source.replace(part, instead)

    monkeypatch.setattr(redis_scripts, "load_script", load_broken)
    with pytest.raises((AssertionError, pytest.fail.Exception, ServiceError)):
        play_on_redis()
