"""Large buffers of tasks lie in shared memory, each as long as its task is in the store."""

import errno
import fcntl
import gc
import multiprocessing
import os
import signal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d4py_dynamic.store.limits import StoreLimits
from d4py_dynamic.store.memory.serialized import SerializedTask
from d4py_dynamic.store.memory.state import Queue
from d4py_dynamic.store.redis.task_store import RedisTaskStore
from d4py_dynamic.store.shared_heap import Block, SharedHeap, make_heap_file
from d4py_dynamic.store.task_pickles import TaskCodec
from d4py_dynamic.store.tasks import ANY, ITEMS, Commit, Task
from dispel4py import IterativePE, ProducerPE, WorkflowGraph, run
from dispel4py.engine.planning.plan import make_plan, replicate_stateless
from dispel4py.shared_memory import arena_file
from dispel4py.shared_memory.arena_file import ArenaFile
from dispel4py.shared_memory.limits import SharedMemoryLimits

numpy = pytest.importorskip("numpy")
from dynamic_helpers.arrays import AddsInPlace, Arrays  # noqa: E402

pytestmark = pytest.mark.skipif(make_heap_file() is None, reason="has no nameless memory")

SMALL = SharedMemoryLimits(arena_bytes=4 << 20, step_bytes=1 << 18, chunk_bytes=1 << 12)
MIB = 1 << 20
FORK = multiprocessing.get_context("fork")


def refuse_memory(file):
    raise OSError(errno.ENOMEM, "Cannot allocate memory")


@pytest.fixture
def file():
    made = ArenaFile(SMALL)
    yield made
    made.close()


class TestHeap:
    def test_a_process_that_cannot_map_it_reads_blocks_and_frees_them(self, file, monkeypatch):
        """A limit on address space (ulimit -v) is that of each process."""
        data = bytes(range(256)) * 1000
        heap = SharedHeap(file)
        block = heap.put(memoryview(data))
        with monkeypatch.context() as limited:
            limited.setattr(ArenaFile, "map", refuse_memory)
            other = SharedHeap(file)
            assert other.copy(block) == data
            assert other.put(memoryview(data)) is None
            other.free([block])
        assert heap.put(memoryview(data)) == block

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.tuples(st.booleans(), st.integers(1, 300_000)), max_size=60))
    def test_blocks_keep_their_bytes_until_they_are_freed(self, steps):
        file = ArenaFile(SMALL)
        heaps = [SharedHeap(file), SharedHeap(file)]  # as two processes map it
        live = {}
        for number, (put, size) in enumerate(steps):
            heap = heaps[number % 2]
            if put:
                data = bytes([number % 251 + 1]) * size
                if (block := heap.put(memoryview(data))) is not None:
                    live[block] = data
            elif live:
                block = [*live][size % len(live)]
                assert heap.copy(block) == live.pop(block)
                heap.free([block])
        for block, data in live.items():
            assert heaps[0].copy(block) == data
        heaps[1].free(live)
        # Everything is free again, in one piece.
        assert heaps[0].put(memoryview(bytes(SMALL.arena_bytes - SMALL.chunk_bytes))) is not None
        file.close()

    def test_a_full_heap_refuses_data(self, file):
        heap = SharedHeap(file)
        assert heap.put(memoryview(bytes(3 * MIB))) is not None
        assert heap.put(memoryview(bytes(MIB))) is None

    def test_memory_that_the_system_refuses_is_not_written_to(self, file, monkeypatch):
        def refuse(fd, offset, size):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(arena_file, "_reserve", refuse)
        assert SharedHeap(file).put(memoryview(bytes(10_000))) is None

    def test_c4_a_heap_has_no_name_that_could_be_left_behind(self, file):
        assert os.fstat(file.fd).st_nlink == 0

    def test_c5_a_process_that_is_killed_in_the_middle_locks_no_other_out(self, file):
        ours, theirs = FORK.Pipe()

        def hold():
            fcntl.lockf(file.fd, fcntl.LOCK_EX)
            theirs.send(None)
            signal.pause()

        process = FORK.Process(target=hold)
        process.start()
        ours.recv()
        with pytest.raises(BlockingIOError):
            fcntl.lockf(file.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        process.kill()
        assert SharedHeap(file).put(memoryview(bytes(10_000))) is not None
        process.join()


class TestTasks:
    @pytest.fixture
    def codecs(self, file):
        return TaskCodec(SharedHeap(file)), TaskCodec(SharedHeap(file))

    def test_m2_buffers_arrive_writable_and_as_copies(self, codecs):
        sender, receiver = codecs
        sent = numpy.arange(100_000)
        sent.flags.writeable = False
        data = sender.pack(sender.pickle(Task(ITEMS, 1, ANY, "input", [sent, "x"])))
        assert len(data) < 1000
        for token in 1, 2:  # a worker that is lost has changed its copy alone
            array, text = receiver.unpack(data, token).payload
            assert text == "x"
            assert (array == sent).all()
            array += 1

    def test_blocks_are_freed_when_the_lease_has_ended(self, codecs):
        sender, receiver = codecs
        for number in range(20):  # 20 MiB through a heap of 4 MiB
            pickled = sender.pickle(Task(ITEMS, 1, ANY, "input", [numpy.full(MIB // 8, number)]))
            data = sender.pack(pickled)
            assert len(data) < 1000
            (array,) = receiver.unpack(data, number).payload
            assert receiver.shared_bytes(number) == MIB
            assert (array == number).all()
            receiver.end([number])
            assert receiver.shared_bytes(number) == 0

    def test_what_has_no_room_travels_with_its_task(self, codecs):
        sender, receiver = codecs
        arrays = [numpy.full(MIB // 8, number) for number in range(6)]
        data = sender.pack(sender.pickle(Task(ITEMS, 1, ANY, "input", arrays)))
        assert 3 * MIB <= len(data) < 4 * MIB
        for number, array in enumerate(receiver.unpack(data, 1).payload):
            assert array.flags.writeable
            assert (array == number).all()

    def test_small_buffers_stay_in_the_pickle(self, codecs):
        sender, _ = codecs
        assert sender.pickle(Task(ITEMS, 1, ANY, "input", [numpy.zeros(10)])).buffers == []

    def test_c6_buffers_count_where_a_queue_is_bounded(self, codecs):
        sender, _ = codecs
        queue = Queue()
        for _ in range(2):
            pickled = sender.pickle(Task(ITEMS, 1, 0, "input", [numpy.zeros(MIB // 8)]))
            data = sender.pack(pickled)
            queue.add(SerializedTask((1, 0), 1, data, buffer_bytes=pickled.buffer_bytes))
        assert queue.is_over(length=128, size=2 * MIB)


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_block_lasts_as_long_as_its_entry_on_a_server(server, open_redis_store, file, is_lost):
    graph = WorkflowGraph()
    graph.connect(ProducerPE(), "output", IterativePE(), "input")
    plan = replicate_stateless(make_plan(graph))
    store = open_redis_store(server, plan, [])
    store.driver._codec = TaskCodec(SharedHeap(file))
    limits = StoreLimits()

    def join():
        rank = store.driver.join()
        keys, secret = store.keys, store.driver._secret
        codec = TaskCodec(SharedHeap(file))
        worker = RedisTaskStore(server.address, keys, secret, rank, limits, codec)
        store.workers.append(worker)
        return rank, worker

    def is_full():
        block = heap.put(memoryview(bytes(2 * MIB)))
        heap.free([block or Block(0, 0)])
        return block is None

    heap = SharedHeap(file)
    heap.put(memoryview(bytes(MIB)))
    _, sender = join()
    rank, receiver = join()
    task = Task(ITEMS, 1, ANY, "input", [numpy.full(MIB // 8, 7)])
    sender.commit(Commit(tasks=[task]))
    with server.client() as client:
        assert client.memory_usage(store.keys.shared) < 10_000
    (lease,) = receiver.take(None, 0.0)
    if is_lost:
        store.driver.evict(rank, [])
        _, receiver = join()
        (lease,) = receiver.take(None, 0.0)
    assert (lease.task.payload[0] == 7).all()
    assert is_full()
    receiver.commit(Commit(leases=[lease]))
    assert not is_full()


@pytest.fixture(params=["dyn_multi", "dyn_redis", "hybrid_redis"])
def execute(request):
    """Sends arrays to a PE in other workers, and returns what comes of them."""
    pytest.importorskip("d4py_hybrid")
    where = {}
    if request.param != "dyn_multi":
        where["redis_url"] = request.getfixturevalue("server").url

    def execute(last, count, **options):
        graph = WorkflowGraph()
        last.stateful = request.param == "hybrid_redis"
        graph.connect(Arrays(), "output", last, "input")
        result = run(graph, request.param, count, 3, **where, **options)
        return sorted(result.outputs["AddsInPlace1"]["output"])

    return execute


@pytest.mark.parametrize("start_method", ["fork", "forkserver", "spawn"])
def test_c5_arrays_of_workers_that_are_killed_arrive_once_and_unchanged(
    execute, tmp_path, start_method
):
    count = 40
    found = execute(AddsInPlace(str(tmp_path)), count, start_method=start_method)
    assert found == [(n + 0.5, n + 0.5) for n in range(1, count + 1)]
    assert len([*tmp_path.iterdir()]) == 4


def test_c6_more_arrays_than_the_heap_holds_arrive(execute):
    assert len(execute(AddsInPlace(), 300)) == 300


def test_c4_the_caller_keeps_no_shared_memory(execute):
    def kept():
        gc.collect()
        with open("/proc/self/maps", encoding="utf-8") as maps:
            mapped = sum("d4py-arena" in line for line in maps)
        links = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
        return mapped, sum("d4py-arena" in link for link in links)

    before = kept()
    execute(AddsInPlace(), 10)
    assert kept() == before


def test_a_run_that_others_may_join_puts_no_buffer_into_memory_of_this_machine(
    server, tmp_path, monkeypatch
):
    def refuse():
        raise AssertionError

    graph = WorkflowGraph()
    graph.connect(Arrays(), "output", AddsInPlace(), "input")
    monkeypatch.setattr("d4py_dynamic.mappings.redis.make_heap_file", refuse)
    options = {"redis_url": server.url, "key_file": str(tmp_path / "key")}
    result = run(graph, "dyn_redis", 5, 2, **options)
    assert len(result.outputs["AddsInPlace1"]["output"]) == 5
