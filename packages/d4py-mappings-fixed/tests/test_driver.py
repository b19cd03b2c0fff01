"""The driver, face to face with ranks that are made up."""

import itertools
import queue
import threading

import pytest

from d4py_conformance.pes.common import Fetch, Numbers, Relay
from d4py_conformance.suite import chain
from d4py_fixed.engine import driver as driver_module
from d4py_fixed.engine.driver import Driver
from d4py_fixed.engine.frames import (
    RESULTS,
    Calls,
    Credit,
    LogLine,
    ProgressReport,
    Results,
    Shutdown,
    from_parts,
    to_parts,
)
from d4py_fixed.engine.placement import place
from dispel4py import RunError, WorkflowGraph
from dispel4py.engine.input_reader import InputReader
from dispel4py.engine.inputs import root_inputs
from dispel4py.engine.plan import make_plan
from dispel4py.errors import InputError, ItemError, WorkerLostError
from dispel4py.result import InstanceStats, RunOptions, RunStats

ENDED = ProgressReport([], ended=True)


class Ranks:
    """All ranks of a run, as one transport: each frame of the driver is answered by a function."""

    def __init__(self, answer=lambda rank, frame: ()):
        self.answer = answer
        self.heard = []
        self.arriving = queue.SimpleQueue()

    def say(self, rank, frame):
        self.arriving.put((rank, to_parts(frame)))

    def send(self, rank, parts):
        frame = from_parts([bytearray(part) for part in parts])
        self.heard.append((rank, frame))
        for reply in self.answer(rank, frame):
            self.say(rank, reply)

    def receive(self, seconds):
        try:
            return self.arriving.get(timeout=seconds) if seconds else self.arriving.get_nowait()
        except queue.Empty:
            return None

    def close(self):
        pass


def drive(ranks, inputs=1, *, graph=None, processes=None, check=lambda: None, **options):
    placement = place(make_plan(graph or chain(Numbers(), Relay())), processes)
    given = root_inputs(placement.plan, inputs)
    stats = RunStats("test", placement.ranks)
    return Driver(placement, given, ranks, check, RunOptions(**options), stats).run()


def two_roots():
    graph = WorkflowGraph()
    graph.add(Relay("First"))
    graph.add(Relay("Second"))
    return graph


def test_g4_roots_whose_inputs_are_at_hand_get_them_before_any_that_is_read(monkeypatch):
    """To send large inputs can take as long as their root takes for others."""
    monkeypatch.setattr(InputReader, "start", InputReader._read)  # so that some are there at once
    ranks = Ranks(lambda rank, frame: [ENDED] if isinstance(frame, Calls) and frame.last else [])
    inputs = {"First0": iter([{"input": n} for n in range(9)]), "Second1": [{"input": 0}]}
    drive(ranks, inputs, graph=two_roots())
    assert next(frame.pe for _, frame in ranks.heard if isinstance(frame, Calls)) == 1


def test_g4_each_root_is_told_its_calls_once_and_that_they_are_all():
    ranks = Ranks(lambda rank, frame: [ENDED] if isinstance(frame, Calls) else [])
    inputs = {"First0": [{"input": "a"}, {"input": "b"}], "Second1": [{"input": "c"}]}
    drive(ranks, inputs, graph=two_roots())
    assert ranks.heard[:2] == [
        (0, Calls(0, [{"input": "a"}, {"input": "b"}], last=True)),
        (1, Calls(1, [{"input": "c"}], last=True)),
    ]


def test_c1_the_end_is_when_all_ranks_have_ended_and_then_all_are_told():
    ranks = Ranks()
    ranks.say(0, ENDED)
    ranks.say(0, Results([("Numbers0", "output", [1])], []))  # one rank's end is not the run's
    ranks.say(1, ENDED)
    result = drive(ranks)
    assert result.outputs == {"Numbers0": {"output": [1]}}
    assert ranks.heard[-2:] == [(0, Shutdown()), (1, Shutdown())]


def test_c6_results_are_answered_one_by_one():
    ranks = Ranks()
    for number in range(3):
        ranks.say(1, Results([("Relay1", "output", [number])], []))
    for rank in (0, 1):
        ranks.say(rank, ENDED)
    got = []
    result = drive(ranks, on_result=lambda *one: got.append(one))
    assert ranks.heard.count((1, Credit(RESULTS, 0))) == 3
    assert got == [("Relay1", "output", number) for number in range(3)]
    assert result.outputs == {}


def test_c6_an_iterator_is_read_only_as_fast_as_its_root_takes_it():
    # Calls are not answered for a while; then one batch of them is.
    ranks = Ranks()
    looks = itertools.count()

    def check():
        match next(looks):
            case 30:
                assert len(ranks.heard) == 4
                ranks.say(0, Credit(0, 0))
            case 60:
                assert len(ranks.heard) == 5
                raise EOFError

    with pytest.raises(EOFError):
        drive(ranks, ({"input": n} for n in range(10**9)), graph=chain(Relay()), check=check)


def test_g4_a_root_that_answers_gets_all_of_an_iterator_in_order():
    arrived = []

    def answer(rank, frame):
        if not isinstance(frame, Calls):
            return []
        arrived.extend(frame.calls)
        return [Credit(0, 0), *([ENDED] if frame.last else [])]

    drive(Ranks(answer), ({"input": n} for n in range(20_000)), graph=chain(Relay()))
    assert [call["input"] for call in arrived] == [*range(20_000)]


class Several:
    """Ranks that answer each piece of calls when all of them have some, or at the end."""

    def __init__(self, instances):
        self.made = [[] for _ in range(instances)]
        self.told, self.unanswered = set(), []

    def __call__(self, rank, frame):
        if not isinstance(frame, Calls):
            return
        assert rank == frame.instance
        count = frame.calls if isinstance(frame.calls, int) else len(frame.calls)
        self.made[rank] += range(frame.first, frame.first + count)
        if frame.last:
            self.told.add(rank)
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
    assert several.told == {0, 1, 2}
    if count >= 3:
        assert all(several.made)


def test_d3_none_of_them_has_more_than_its_share_in_stock():
    """Given instances that answer nothing: so much may one slow call hold up."""
    root = Fetch()
    root.numprocesses = 2
    ranks, looks = Ranks(), itertools.count()

    def check():
        if next(looks) == 3:
            raise EOFError

    with pytest.raises(EOFError):
        drive(ranks, 1000, graph=chain(root), processes=2, check=check)
    shares = [[f.calls for rank, f in ranks.heard if rank == i] for i in (0, 1)]
    assert shares == [[250, 141], [188, 106]]


def test_what_an_iterator_raises_ends_the_run():
    def calls():
        yield {"input": 1}
        raise LookupError("no more files")

    with pytest.raises(LookupError, match="no more files"):
        drive(Ranks(), calls(), graph=chain(Relay()))
    with pytest.raises(InputError, match="Relay0"):
        drive(Ranks(), iter([{"input": 1}, {"wrong": 2}]), graph=chain(Relay()))


def test_c5_a_lost_rank_ends_the_run_even_while_others_never_fall_silent():
    # Every answer brings the next results, so there is always something more to take in.
    def answer(rank, frame):
        if isinstance(frame, Credit):
            return [Results([("Relay1", "output", [1])], [])]
        return []

    looks = itertools.count()

    def check():
        if next(looks) == 3:
            raise WorkerLostError(0, 1, "killed by SIGKILL")

    ranks = Ranks(answer)
    ranks.say(1, Results([("Relay1", "output", [1])], []))
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
    assert stopped.wait(10)


def test_i4_log_lines_are_shown(caplog):
    caplog.set_level("INFO")
    ranks = Ranks()
    ranks.say(0, LogLine("Numbers0", 0, "hello"))
    for rank in (0, 1):
        ranks.say(rank, ENDED)
    drive(ranks)
    assert "Numbers0" in caplog.text
    assert "hello" in caplog.text


def test_progress_is_told_as_the_ranks_tell_it(monkeypatch):
    monkeypatch.setattr(driver_module, "_PROGRESS_SECONDS", 0.0)
    told = []
    ranks = Ranks()
    ranks.say(0, ProgressReport([InstanceStats("Numbers0", 0, 5, 0.1)], ended=False))

    def on_progress(stats):
        told.append(stats.items_per_pe())
        for rank in (0, 1):
            ranks.say(rank, ProgressReport([InstanceStats("Numbers0", rank, 7, 0.1)], ended=True))

    result = drive(ranks, on_progress=on_progress)
    assert told[0] == {"Numbers0": 5}
    assert result.stats.items_per_pe() == {"Numbers0": 14}
    assert [entry.rank for entry in result.stats.instances] == [0, 1]


class Homesick:
    """Cannot be made again anywhere."""

    def __reduce__(self):
        return _never, ()


def _never():
    raise LookupError("not at home")


def test_results_that_cannot_be_read_are_told_with_their_sender():
    ranks = Ranks()
    ranks.say(1, Results([("Relay1", "output", [Homesick()])], []))
    with pytest.raises(ItemError, match=r"not at home.*Relay1 \(instance 0\) sent it"):
        drive(ranks)
