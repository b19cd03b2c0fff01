"""What a run is asked for and what it gives back."""

import pytest

from dispel4py import ProcessingError
from dispel4py.errors import OptionError
from dispel4py.result import Failure, InstanceStats, ResultCollector, RunOptions, RunStats


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"processes": 0}, "the number of processes is 0; it must be at least 1"),
        ({"processes": -1}, "the number of processes is -1; it must be at least 1"),
        ({"processes": "4"}, "the number of processes is '4'; it must be a whole number"),
        ({"processes": 2.5}, "the number of processes is 2.5; it must be a whole number"),
        ({"processes": True}, "the number of processes is True; it must be a whole number"),
        ({"seed": 1.5}, "the seed is 1.5; it must be a whole number from 0 to 2**64 - 1"),
        ({"seed": "7"}, "the seed is '7'; it must be a whole number from 0 to 2**64 - 1"),
        ({"on_error": "ignore"}, "on_error is 'ignore'; it must be 'stop' or 'skip'"),
        ({"on_result": []}, "on_result is []; it must be a function"),
        ({"on_progress": True}, "on_progress is True; it must be a function"),
        ({"strict": "no"}, "strict is 'no'; it must be True or False"),
        ({"share_items": "yes"}, "share_items is 'yes'; it must be True or False"),
    ],
)
def test_an_option_that_cannot_be_is_refused_with_what_it_can_be(options, message):
    with pytest.raises(OptionError) as raised:
        RunOptions(**options)

    assert str(raised.value).startswith(message)


def test_number_of_processes_may_be_left_open_or_come_from_numpy():
    numpy = pytest.importorskip("numpy")

    assert RunOptions().processes is None
    assert RunOptions(processes=numpy.int64(3)).processes == 3


@pytest.mark.parametrize("on_error", ["continue", None, True])
def test_on_error_is_stop_or_skip(on_error):
    with pytest.raises(OptionError, match="it must be 'stop' or 'skip'"):
        RunOptions(on_error=on_error)


def test_collector_gathers_by_pe_and_output():
    collector = ResultCollector()

    collector.add("A0", "output", [1])
    collector.add("A0", "second", [2])
    collector.add("A0", "output", [3])

    assert collector.outputs == {"A0": {"output": [1, 3], "second": [2]}}


def test_collector_hands_results_on_instead_of_gathering_them():
    got = []
    collector = ResultCollector(lambda *result: got.append(result))

    collector.add("A0", "output", [1, 2])

    assert got == [("A0", "output", 1), ("A0", "output", 2)]
    assert collector.outputs == {}


def test_stats_add_up_the_instances_of_a_pe():
    stats = RunStats(
        "simple",
        instances=[
            InstanceStats("A0", 0, items=3),
            InstanceStats("B1", 0, items=2),
            InstanceStats("B1", 1, items=5),
        ],
    )

    assert stats.items_per_pe() == {"A0": 3, "B1": 7}


def test_failure_speaks_for_its_error():
    error = ProcessingError("A0", 2, "process", "5", "ValueError: no")
    failure = Failure(error, 5)

    assert (failure.pe_id, failure.instance, str(failure)) == ("A0", 2, str(error))
