"""The trace of a run: bounded, spread over all of it, and written as CSV."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from d4py_dynamic.autoscaling.trace import ScalingTrace, write_trace
from dispel4py.errors import OptionError
from dispel4py.result import RunStats, ScalingPoint


def trace_of(times, **settings):
    trace = ScalingTrace(**settings)
    for seconds in times:
        trace.add(seconds, 1, 0)
    return [point.seconds for point in trace.points]


def test_a_short_run_is_kept_as_it_was():
    trace = ScalingTrace()
    trace.add(0.0, 1, 0)
    trace.add(0.5, 8, 100)
    assert trace.points == [ScalingPoint(0.0, 1, 0), ScalingPoint(0.5, 8, 100)]


def test_points_in_quick_succession_are_dropped_except_for_the_latest():
    assert trace_of([0.0, 0.001, 0.002, 0.02, 0.021, 0.022]) == [0.0, 0.02, 0.022]


def test_a_long_run_is_spread_evenly_over_few_points():
    seconds = trace_of([i * 0.01 for i in range(100_000)])
    gaps = [b - a for a, b in itertools.pairwise(seconds)]
    assert 1000 <= len(seconds) <= 2000
    assert (seconds[0], seconds[-1]) == (0.0, 999.99)
    assert max(gaps) <= 2.1 * sorted(gaps)[len(gaps) // 2]


def test_a_trace_without_observations_is_empty():
    assert trace_of([]) == []


@given(st.lists(st.floats(0, 1e6)).map(sorted), st.integers(3, 20))
def test_a_trace_is_bounded_and_ordered_and_has_both_ends(times, most):
    seconds = trace_of(times, most=most)
    assert len(seconds) <= most
    assert seconds == sorted(seconds)
    assert seconds[:1] == times[:1]
    assert seconds[-1:] == times[-1:]


def test_a_trace_is_written_as_csv(tmp_path):
    target = tmp_path / "trace.csv"
    write_trace(str(target), [ScalingPoint(0.0, 1, 0), ScalingPoint(1 / 3, 8, 100)])
    assert target.read_bytes() == b"seconds,active,backlog\n0.000000,1,0\n0.333333,8,100\n"


def test_a_file_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(OptionError, match=r"cannot write .*No such file"):
        write_trace(str(tmp_path / "nowhere" / "trace.csv"), [])


def test_a_run_without_scaling_has_no_trace():
    assert RunStats("simple").scaling == []
