"""Rules C8 and C9: observers get the events of a run; one that fails hands out what it had."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from d4py_conformance.pes.common import Numbers, Relay, Tag, WaitsFor
from d4py_conformance.pes.failing import Fails
from d4py_conformance.suite import Execute, Suite, chain, results
from dispel4py import ProcessingError, RunResult, WorkflowGraph
from dispel4py.events import Event, Failure, InstanceReport, RunEnded, RunStarted, WorkerStarted
from dispel4py.registry import Mapping

SEED = 20_261_130


class Record:
    """An observer that keeps all events.

    Args:
        reported: a file to make when there is a certain report.
        when: returns whether a report is that; by default, that of a call that goes on.

    Attributes:
        events: the events.
    """

    def __init__(
        self,
        reported: Path | None = None,
        when: Callable[[InstanceReport], bool] = lambda report: (
            report.pe == "WaitsFor1" and report.in_call_since is not None
        ),
    ) -> None:
        self.events: list[Event] = []
        self._reported = reported
        self._when = when

    def on_event(self, event: Event) -> None:
        """Keep an event."""
        self.events.append(event)
        if self._reported is not None and isinstance(event, InstanceReport) and self._when(event):
            self._reported.touch()

    @property
    def reports(self) -> list[InstanceReport]:
        """All reports of instances, in order."""
        return [event for event in self.events if isinstance(event, InstanceReport)]

    @property
    def last_reports(self) -> list[InstanceReport]:
        """The last report of each instance in each worker."""
        return [*{(one.worker, one.pe, one.instance): one for one in self.reports}.values()]


class Raises:
    """An observer that cannot handle anything."""

    def on_event(self, event: Event) -> None:
        """Raise."""
        raise LookupError(type(event).__name__)


class ObservationRules(Suite):
    """What observers get, and what they do to a run."""

    def test_c8_the_start_is_the_first_event_and_the_end_the_last(
        self, execute: Execute, loaded_mapping: Mapping
    ) -> None:
        record = Record()
        graph = WorkflowGraph()
        numbers, relay = Numbers(), Relay()
        graph.connect(numbers, "output", relay, "input")
        graph.connect(numbers, "output", Tag("x"), "input")
        stats = execute(graph, 5, seed=SEED, observers=[record]).stats
        events = record.events
        kinds = [type(event) for event in events]
        assert kinds.count(RunStarted) == kinds.count(RunEnded) == 1, kinds
        started, ended = events[0], events[-1]
        assert isinstance(started, RunStarted)
        assert isinstance(ended, RunEnded)
        assert started.mapping == loaded_mapping.name
        assert started.processes == stats.processes
        assert started.seed == SEED
        assert started.inputs == {"Numbers0": 5}
        assert [pe.id for pe in started.pes] == ["Numbers0", "Relay1", "Tag2"]
        edges = [(edge.source, edge.output, edge.destination) for edge in started.edges]
        assert edges == [("Numbers0", "output", "Relay1"), ("Numbers0", "output", "Tag2")]
        assert (ended.outcome, ended.message) == ("done", "")
        workers = {event.worker for event in events if isinstance(event, WorkerStarted)}
        assert workers >= {report.worker for report in record.reports}
        assert all(0 <= event.time <= ended.seconds for event in events)

    def test_c8_the_last_reports_add_up_to_all_that_was_done(self, execute: Execute) -> None:
        record = Record()
        graph = chain(Numbers(), Fails(at=[3, 6, 9]), Relay("Many", numprocesses=2))
        stats = execute(graph, 20, on_error="skip", observers=[record]).stats
        calls: dict[str, int] = defaultdict(int)
        written: dict[str, int] = defaultdict(int)
        failures: dict[str, int] = defaultdict(int)
        seconds: dict[str, float] = defaultdict(float)
        for report in record.last_reports:
            assert report.seconds >= 0, report
            assert report.in_call_since is None, report
            calls[report.pe] += report.calls
            written[report.pe] += report.items_out.get("output", 0)
            failures[report.pe] += report.failures
            seconds[report.pe] += report.seconds
        assert calls == stats.items_per_pe() == {"Numbers0": 20, "Fails1": 20, "Many2": 17}
        assert written == {"Numbers0": 20, "Fails1": 17, "Many2": 17}
        assert failures == {"Numbers0": 0, "Fails1": 3, "Many2": 0}
        for entry in stats.instances:
            seconds[entry.pe_id] -= entry.seconds
        assert seconds == pytest.approx(dict.fromkeys(seconds, 0.0), abs=0.01)
        counts = {
            event.exception_type: event.count
            for event in record.events
            if isinstance(event, Failure)
        }
        assert counts.popitem()[1] == 3
        assert not counts

    def test_c8_a_long_call_is_reported_before_it_ends(
        self, execute: Execute, tmp_path: Path
    ) -> None:
        """The call waits for its report.  Counts never fall from one report to the next."""
        record = Record(tmp_path / "reported")
        graph = chain(Numbers(), WaitsFor(tmp_path / "reported"), Relay())
        assert results(execute(graph, 1, observers=[record]), "Relay2") == [1]
        before: dict[tuple[int, str, int], tuple[int, float]] = {}
        for report in record.reports:
            at = report.worker, report.pe, report.instance
            assert before.get(at, (0, 0.0)) <= (report.calls, report.seconds), record.reports
            before[at] = report.calls, report.seconds

    def test_c8_an_observer_that_raises_is_left_out(
        self, execute: Execute, caplog: pytest.LogCaptureFixture
    ) -> None:
        record = Record()
        result = execute(chain(Numbers(), Relay()), 7, observers=[Raises(), record])
        assert sorted(results(result, "Relay1")) == [*range(1, 8)]
        assert isinstance(record.events[-1], RunEnded)
        assert caplog.text.count("gets no more events") == 1

    def test_c9_a_run_that_fails_hands_out_what_it_had(
        self, execute: Execute, tmp_path: Path
    ) -> None:
        """The call fails once another was reported by a process that has sent all results."""
        record = Record(
            tmp_path / "reported",
            lambda report: (
                report.pe == "Fails2" and report.calls > 0 and report.in_call_since is None
            ),
        )
        graph = chain(Numbers(), WaitsFor(tmp_path / "reported", at=30), Fails(at=[30]))
        with pytest.raises(ProcessingError) as failed:
            execute(graph, 40, observers=[record])
        ended = record.events[-1]
        assert isinstance(ended, RunEnded)
        assert ended.outcome == "failed"
        assert "Fails2" in ended.message
        result = failed.value.result
        assert isinstance(result, RunResult)
        kept = results(result, "Fails2")
        assert 0 < len(kept) < 40
        assert len(kept) == len({*kept})
        assert sum(entry.items for entry in result.stats.instances) > 0
