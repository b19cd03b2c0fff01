"""Plan bundles: what a worker gets of a plan, and what is released."""

import mmap
import pickle
import threading
from multiprocessing import get_context

import pytest

from d4py_conformance.pes.common import Numbers, Relay
from d4py_conformance.suite import chain
from d4py_dynamic.store.serialization import CODEC
from dispel4py import GenericPE, IterativePE
from dispel4py.engine.calls.runner import Runner
from dispel4py.engine.execution.executor import Executor
from dispel4py.engine.planning.plan import make_plan
from dispel4py.engine.planning.plan_bundle import make_bundle
from dispel4py.errors import GraphError

np = pytest.importorskip("numpy")
SIZE = 1 << 18


class Model(IterativePE):
    def __init__(self, weights, numprocesses=1, stateful=False):
        super().__init__()
        self.weights, self.numprocesses, self.stateful = weights, numprocesses, stateful

    def _process(self, data):
        return data


def planned(*pes):
    return make_plan(chain(Numbers(), *pes))


def in_another_process(work, *arguments):
    """What a function gives in a forked process, which has all that this one has."""
    context = get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=lambda: sender.send(work(*arguments)))
    process.start()
    sender.close()
    given = receiver.recv()
    process.join()
    return given


def made(bundle, pe, instance=0, **how):
    return Runner(bundle.load(CODEC, **how).pes[pe], instance, lambda runner: None).pe


def test_c7_a_bundle_has_the_requested_pes():
    weights = np.ones(SIZE)
    bundle = make_bundle(planned(Model(weights), Relay()), CODEC)
    assert len(pickle.dumps(bundle.subset({1}))) > weights.nbytes
    assert len(pickle.dumps(bundle.subset({0, 2}))) < weights.nbytes / 10


def test_c7_a_forked_worker_uses_the_memory_of_its_parent():
    weights = np.ones(SIZE)
    bundle = make_bundle(planned(Model(weights)), CODEC)
    assert in_another_process(lambda: made(bundle, 1).weights is weights)


def test_g5_the_process_of_the_graph_gets_a_copy():
    weights = np.ones(SIZE)
    pe = made(make_bundle(planned(Model(weights)), CODEC), 1)
    pe.weights[:] = 2
    assert weights.sum() == SIZE


def test_i2_each_instance_of_a_process_has_its_own_array():
    weights = np.ones(SIZE)
    bundle = make_bundle(planned(Model(weights, numprocesses=3, stateful=True)), CODEC)

    def work():
        plan = bundle.load(CODEC, {1: 3}, last=True)
        pes = [Runner(plan.pes[1], i, lambda runner: None).pe for i in range(3)]
        for i, pe in enumerate(pes):
            assert pe.weights.sum() == SIZE
            pe.weights[:] = i
        return [pe.weights.sum() for pe in pes], [pe.weights is weights for pe in pes]

    assert in_another_process(work) == ([0, SIZE, 2 * SIZE], [False, False, True])


@pytest.mark.parametrize("part", [slice(None), slice(0, None, 2)], ids=["the-same", "a-view"])
def test_i2_pes_that_share_an_array_get_arrays_of_their_own(part):
    weights = np.ones(2 * SIZE)
    bundle = make_bundle(planned(Model(weights), Model(weights[part])), CODEC)

    def work():
        plan = bundle.load(CODEC)
        first, second = (Runner(plan.pes[i], 0, lambda runner: None).pe for i in (1, 2))
        first.weights[:] = 5
        return second.weights.max()

    assert in_another_process(work) == 1


def test_c7_an_opened_bundle_releases_its_memory():
    bundle = make_bundle(planned(Model(np.ones(SIZE))), CODEC)
    plan = bundle.load(CODEC, last=True)
    assert bundle.pes == {}
    assert type(plan.pes[1].pe) is GenericPE
    executor = Executor(plan, None, is_local=lambda pe, instance: True)
    assert executor.start(1, 0).pe.weights.sum() == SIZE
    assert plan.pes[1].factory._serialized is None


def test_i2_memory_shared_by_processes_is_copied():
    shared = np.frombuffer(mmap.mmap(-1, 8 * SIZE))
    bundle = make_bundle(planned(Model(shared)), CODEC)

    def work():
        made(bundle, 1).weights[:] = 3

    in_another_process(work)
    assert not shared.any()


def test_a_read_only_array_arrives_as_a_writable_copy():
    weights = np.ones(SIZE)
    weights.flags.writeable = False
    bundle = make_bundle(planned(Model(weights)), CODEC)
    assert in_another_process(lambda: made(bundle, 1).weights.flags.writeable)
    assert not weights.flags.writeable


def test_every_pe_that_cannot_be_pickled_is_named(tmp_path):
    with open(tmp_path / "file", "w") as file, pytest.raises(GraphError) as refused:
        make_bundle(planned(Model(file), Relay(), Model([file])), CODEC)
    first, second = refused.value.problems
    assert first.startswith("Model1: ")
    assert second.startswith("Model3: ")


def test_a_pe_that_cannot_be_copied_is_refused_although_dill_pickles_it():
    pe = Model([1])
    pe.compute = lambda data: data
    make_bundle(planned(pe), CODEC)
    pe.lock = threading.Lock()
    with pytest.raises(GraphError, match=r"Model1: .*'lock'"):
        make_bundle(planned(pe), CODEC)
