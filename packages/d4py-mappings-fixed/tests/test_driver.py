"""The driver, with simulated ranks."""

import itertools
import queue
import threading

import pytest

from d4py_conformance.pes.common import Numbers, Relay
from d4py_conformance.pes.roots import Fetch
from d4py_conformance.suite import chain
from d4py_conformance.waiting import LIMIT
from d4py_fixed.engine.driver import Driver
from d4py_fixed.engine.frame_transport import EncodedFrames
from d4py_fixed.engine.frames import (
    RESULTS,
    Activity,
    Calls,
    Credit,
    LogLine,
    RankEnded,
    Results,
    Shutdown,
    from_parts,
    to_parts,
)
from d4py_fixed.engine.limits import RankLimits
from d4py_fixed.engine.placement import place
from dispel4py import RunError, WorkflowGraph
from dispel4py.engine.execution.metering import InstanceActivity, MeterReport
from dispel4py.engine.input_reader import InputReader
from dispel4py.engine.inputs import root_inputs
from dispel4py.engine.planning.plan import make_plan
from dispel4py.errors import InputError, ItemError, WorkerLostError
from dispel4py.result import InstanceStats, RunOptions

ENDED = RankEnded([])


class Ranks:
    """All ranks of a run, as one transport; a function returns the replies to each frame."""

    def __init__(self, answer=lambda rank, frame: ()):
        self.answer = answer
        self.received = []
        self.arriving = queue.SimpleQueue()

    def reply(self, rank, frame):
        self.arriving.put((rank, to_parts(frame)))

    def send(self, rank, parts):
        frame = from_parts([bytearray(part) for part in parts])
        self.received.append((rank, frame))
        for one in self.answer(rank, frame):
            self.reply(rank, one)

    def receive(self, seconds):
        try:
            return self.arriving.get(timeout=seconds) if seconds else self.arriving.get_nowait()
        except queue.Empty:
            return None

    def close(self):
        pass


def drive(
    ranks,
    inputs=1,
    *,
    graph=None,
    processes=None,
    check=lambda: None,
    limits=RankLimits(),
    **options,
):
    run_options = RunOptions(**options)
    placement = place(make_plan(graph or chain(Numbers(), Relay()), run_options), processes)
    given = root_inputs(placement.plan, inputs)
    frames = EncodedFrames(ranks, placement.describe)
    return Driver(placement, given, frames, check, run_options, "test", limits).run()


def two_roots():
    graph = WorkflowGraph()
    graph.add(Relay("First"))
    graph.add(Relay("Second"))
    return graph


def test_g4_inputs_in_memory_are_sent_before_those_that_are_read(monkeypatch):
    """A root that is slow to receive large inputs blocks the driver."""
    monkeypatch.setattr(InputReader, "start", InputReader._read)  # so that some are there at once
    ranks = Ranks(lambda rank, frame: [ENDED] if isinstance(frame, Calls) and frame.last else [])
    inputs = {"First0": iter([{"input": n} for n in range(9)]), "Second1": [{"input": 0}]}
    drive(ranks, inputs, graph=two_roots())
    assert next(frame.pe for _, frame in ranks.received if isinstance(frame, Calls)) == 1


def test_g4_each_root_gets_its_calls_once_and_the_last_batch_is_marked():
    ranks = Ranks(lambda rank, frame: [ENDED] if isinstance(frame, Calls) else [])
    inputs = {"First0": [{"input": "a"}, {"input": "b"}], "Second1": [{"input": "c"}]}
    drive(ranks, inputs, graph=two_roots())
    assert ranks.received[:2] == [
        (0, Calls(0, [{"input": "a"}, {"input": "b"}], last=True)),
        (1, Calls(1, [{"input": "c"}], last=True)),
    ]


def test_c1_the_driver_shuts_ranks_down_when_all_have_ended():
    ranks = Ranks()
    ranks.reply(0, ENDED)
    ranks.reply(0, Results([("Numbers0", "output", [1])], []))  # the other rank is still running
    ranks.reply(1, ENDED)
    result = drive(ranks)
    assert result.outputs == {"Numbers0": {"output": [1]}}
    assert ranks.received[-2:] == [(0, Shutdown()), (1, Shutdown())]


def test_c6_each_batch_of_results_is_answered_by_a_credit():
    ranks = Ranks()
    for number in range(3):
        ranks.reply(1, Results([("Relay1", "output", [number])], []))
    for rank in (0, 1):
        ranks.reply(rank, ENDED)
    got = []
    result = drive(ranks, on_result=lambda *one: got.append(one))
    assert ranks.received.count((1, Credit(RESULTS, 0))) == 3
    assert got == [("Relay1", "output", number) for number in range(3)]
    assert result.outputs == {}


def test_c6_an_iterator_is_read_only_as_fast_as_its_root_takes_it():
    # No batch of calls is answered for a while; then one is.
    ranks = Ranks()
    checks = itertools.count()

    def check():
        match next(checks):
            case 30:
                assert len(ranks.received) == 4
                ranks.reply(0, Credit(0, 0))
            case 60:
                assert len(ranks.received) == 5
                raise EOFError

    with pytest.raises(EOFError):
        drive(ranks, ({"input": n} for n in range(10**9)), graph=chain(Relay()), check=check)


def test_g4_a_root_that_sends_credits_gets_all_of_an_iterator_in_order():
    arrived = []

    def answer(rank, frame):
        if not isinstance(frame, Calls):
            return []
        arrived.extend(frame.calls)
        return [Credit(0, 0), *([ENDED] if frame.last else [])]

    drive(Ranks(answer), ({"input": n} for n in range(20_000)), graph=chain(Relay()))
    assert [call["input"] for call in arrived] == [*range(20_000)]


class Several:
    """Ranks that answer each batch of calls with a credit."""

    def __init__(self, instances):
        self.made = [[] for _ in range(instances)]
        self.ended = set()

    def __call__(self, rank, frame):
        if not isinstance(frame, Calls):
            return
        assert rank == frame.instance
        count = frame.calls if isinstance(frame.calls, int) else len(frame.calls)
        self.made[rank] += range(frame.first, frame.first + count)
        if frame.last:
            self.ended.add(rank)
            yield ENDED
        if count:
            yield Credit(0, rank)


@pytest.mark.parametrize("how", ["number", "list", "iterator"])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 3000])
def test_d3_the_instances_of_a_root_share_its_calls(count, how):
    root = Fetch()
    root.numprocesses = 3
    inputs = {"number": count, "list": [{}] * count, "iterator": iter([{}] * count)}[how]
    several = Several(3)
    drive(Ranks(several), inputs, graph=chain(root), processes=3)
    assert sorted(itertools.chain(*several.made)) == [*range(count)]
    assert several.ended == {0, 1, 2}
    if count >= 3:
        assert all(several.made)


def test_d3_no_instance_gets_more_than_its_share_in_advance():
    """Of instances without credits: this many calls may wait for a slow one."""
    root = Fetch()
    root.numprocesses = 2
    ranks, checks = Ranks(), itertools.count()

    def check():
        if next(checks) == 3:
            raise EOFError

    with pytest.raises(EOFError):
        drive(ranks, 1000, graph=chain(root), processes=2, check=check)
    shares = [[f.calls for rank, f in ranks.received if rank == i] for i in (0, 1)]
    assert shares == [[250, 141], [188, 106]]


def test_an_exception_of_an_iterator_ends_the_run():
    def calls():
        yield {"input": 1}
        raise LookupError("no more files")

    with pytest.raises(LookupError, match="no more files"):
        drive(Ranks(), calls(), graph=chain(Relay()))
    with pytest.raises(InputError, match="Relay0"):
        drive(Ranks(), iter([{"input": 1}, {"wrong": 2}]), graph=chain(Relay()))


def test_c5_a_lost_rank_ends_the_run_although_others_send_without_pause():
    # Each credit is answered by results, so there is always a frame to receive.
    def answer(rank, frame):
        if isinstance(frame, Credit):
            return [Results([("Relay1", "output", [1])], [])]
        return []

    checks = itertools.count()

    def check():
        if next(checks) == 3:
            raise WorkerLostError(0, 1, "killed by SIGKILL")

    ranks = Ranks(answer)
    ranks.reply(1, Results([("Relay1", "output", [1])], []))
    with pytest.raises(WorkerLostError):
        drive(ranks, check=check)


def test_c3_an_error_stops_the_reading_of_inputs():
    stopped = threading.Event()

    def calls():
        try:
            while True:
                yield {"input": 1}
        finally:
            stopped.set()

    def check():
        raise RunError("a PE raised")

    with pytest.raises(RunError):
        drive(Ranks(), calls(), graph=chain(Relay()), check=check)
    assert stopped.wait(LIMIT)


def test_i4_log_lines_are_shown(caplog):
    caplog.set_level("INFO")
    ranks = Ranks()
    ranks.reply(0, LogLine("Numbers0", 0, "hello"))
    for rank in (0, 1):
        ranks.reply(rank, ENDED)
    drive(ranks)
    assert "Numbers0" in caplog.text
    assert "hello" in caplog.text


def test_progress_of_all_ranks_is_reported_to_the_caller():
    reported = []
    ranks = Ranks()
    done = InstanceActivity("Numbers0", 0, 5, {}, 0.1, {}, 0, None, None, False)
    ranks.reply(0, Activity(MeterReport(0, "here", 1, [done], [], [])))

    def on_progress(stats):
        reported.append(stats.items_per_pe())
        for rank in (0, 1):
            ranks.reply(rank, RankEnded([InstanceStats("Numbers0", rank, 7, 0.1)]))

    result = drive(ranks, on_progress=on_progress, limits=RankLimits(progress_seconds=0.0))
    assert reported[0] == {"Numbers0": 5}
    assert result.stats.items_per_pe() == {"Numbers0": 14}
    assert [entry.rank for entry in result.stats.instances] == [0, 1]


def test_i7_the_statistics_name_the_seed_from_the_start():
    seeds = []
    ranks = Ranks()

    def on_progress(stats):
        seeds.append(stats.seed)
        for rank in (0, 1):
            ranks.reply(rank, ENDED)

    limits = RankLimits(progress_seconds=0.0)
    result = drive(ranks, on_progress=on_progress, seed=4711, limits=limits)
    assert {*seeds, result.stats.seed} == {4711}
    assert (result.stats.mapping, result.stats.processes) == ("test", 2)


class Unloadable:
    """Cannot be unpickled."""

    def __reduce__(self):
        return _never, ()


def _never():
    raise LookupError("not here")


def test_results_that_cannot_be_unpickled_are_reported_with_their_sender():
    ranks = Ranks()
    ranks.reply(1, Results([("Relay1", "output", [Unloadable()])], []))
    with pytest.raises(ItemError, match=r"not here.*sent by Relay1 \(instance 0\)"):
        drive(ranks)
