"""How often a worker looks at the load of the others."""

import pytest

from d4py_dynamic.store.tasks import StoreStatus
from d4py_dynamic.worker import load
from d4py_dynamic.worker.limits import WorkerLimits
from d4py_dynamic.worker.load import LoadMonitor

LIMITS = WorkerLimits(load_seconds=0.02, look_share=0.01, look_stretch=10.0)


@pytest.fixture
def clock(monkeypatch):
    times = [100.0]
    monkeypatch.setattr(load, "monotonic", lambda: times[-1])
    return times


@pytest.mark.parametrize(
    ("took", "interval"),
    [(0.0001, 0.02), (0.001, 0.1), (1.0, 0.2)],
    ids=["quick", "slow", "no more than ten times as rare"],
)
def test_looks_are_rarer_where_they_take_long(clock, took, interval):
    monitor = LoadMonitor(LIMITS)
    monitor.note_duration(took)
    monitor.note(StoreStatus(0))
    clock.append(100.0 + interval - 0.001)
    assert not monitor.is_due
    clock.append(100.0 + interval + 0.001)
    assert monitor.is_due


def test_looks_are_as_often_as_before_once_they_are_quick_again(clock):
    monitor = LoadMonitor(LIMITS)
    monitor.note_duration(1.0)
    monitor.note_duration(0.0001)
    monitor.note(StoreStatus(0))
    clock.append(100.021)
    assert monitor.is_due


@pytest.mark.parametrize(
    ("sent", "wants"), [(2, True), (1, False)], ids=["those were all tasks", "more were queued"]
)
def test_workers_that_were_idle_before_a_commit_want_more_than_it_has_sent(clock, sent, wants):
    monitor = LoadMonitor(LIMITS)
    monitor.note(StoreStatus(idle_workers=1, backlog=2), sent)
    assert monitor.idle == 0
    assert monitor.wants_stock is wants
