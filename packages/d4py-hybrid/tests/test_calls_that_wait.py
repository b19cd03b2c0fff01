"""M4: what a root has written arrives while its call goes on, for however long that waits."""

import os
import signal
from time import sleep

import pytest

from d4py_conformance.pes.common import (
    MakesFile,
    MakesFileById,
    MakesFileInOrder,
    Relay,
    WritesAndWaits,
)
from d4py_conformance.suite import chain
from d4py_dynamic.worker.limits import WorkerLimits
from dispel4py import ProducerPE, run


@pytest.mark.parametrize("receiver", [MakesFile, MakesFileById, MakesFileInOrder])
@pytest.mark.parametrize("stateful", [False, True])
@pytest.mark.parametrize("count", [1, 5])
def test_m4_what_a_call_has_written_arrives_while_it_waits(receiver, stateful, count, tmp_path):
    path = tmp_path / "arrived"
    last = receiver(count - 1, path)
    last.stateful = stateful
    result = run(chain(WritesAndWaits(count, path), last), "hybrid_redis", 1, processes=2)
    assert sorted(result.outputs[f"{last.name}1"]["output"]) == [*range(count)]


class Writes(WritesAndWaits):
    """Leaves its process number, and writes again after it has waited."""

    def _process(self, inputs):
        (self.path.parent / "process").write_text(str(os.getpid()))
        super()._process(inputs)
        self.write("output", self.count)


class Kills(MakesFile):
    """Kills the root's worker the first time that the last item arrives."""

    def _process(self, data):
        if data == self.last and not self.path.exists():
            os.kill(int((self.path.parent / "process").read_text()), signal.SIGKILL)
        return super()._process(data)


@pytest.mark.parametrize(
    ("stateful", "independent"), [(False, False), (True, False), (False, True)]
)
def test_h2_what_a_lost_call_had_sent_while_it_waited_is_there_once(
    stateful, independent, tmp_path
):
    path = tmp_path / "arrived"
    root, last = Writes(5, path), Kills(4, path)
    root.independent_calls, last.stateful = independent, stateful
    result = run(chain(root, last), "hybrid_redis", 2, processes=3)
    assert sorted(result.outputs["Kills1"]["output"]) == sorted(2 * [*range(6)])


class WritesInBatches(ProducerPE):
    """Writes and returns what it is called with; the first call with a 7 is lost at its end."""

    batch_size = 4

    def __init__(self, path):
        super().__init__()
        self.path = path

    def _process_batch(self, calls):
        numbers = [call["number"] for call in calls]
        for number in numbers:
            self.write("output", number)
        if 7 in numbers and not self.path.exists():
            self.path.touch()
            sleep(5 * WorkerLimits().commit_seconds)  # a part of the call could be sent
            os.kill(os.getpid(), signal.SIGKILL)
        return numbers


def test_m7_what_a_lost_call_with_a_batch_has_written_is_there_once(tmp_path):
    root = WritesInBatches(tmp_path / "lost")
    inputs = {root: [{"number": number} for number in range(40)]}
    result = run(chain(root, Relay()), "hybrid_redis", inputs, processes=3)
    assert sorted(result.outputs["Relay1"]["output"]) == sorted(2 * [*range(40)])
