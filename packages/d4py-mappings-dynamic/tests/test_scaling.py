"""Scaling policies: the rules by themselves, and in simulated runs."""

import itertools
import random

import pytest
from dynamic_helpers.scaling_simulator import TICK_SECONDS, Arrival, simulate
from hypothesis import given
from hypothesis import strategies as st

from d4py_dynamic.autoscaling.policies import DEFAULT_STRATEGY, STRATEGIES, Metrics, make_policy
from dispel4py.errors import OptionError

MOST = 8


def steady(count, every, seconds=0.01):
    return [Arrival(i * every, seconds) for i in range(count)]


def bursts(tasks=100, seconds=0.01, items=1, every=0.5, apart=0.0):
    """Ten bursts with gaps in which nothing comes."""
    return [
        Arrival(burst * every + i * apart, seconds, items)
        for burst in range(10)
        for i in range(tasks)
    ]


def irregular(count, per_second, mean_seconds):
    """Random arrivals and durations, from a fixed seed."""
    chance, at, arrivals = random.Random(7), 0.0, []
    for _ in range(count):
        at += chance.expovariate(per_second)
        arrivals.append(Arrival(at, chance.expovariate(1 / mean_seconds)))
    return arrivals


BURSTY = {
    "bursts of small tasks": bursts(tasks=1000, seconds=0.001),
    "bursts at once": bursts(),
    "bursts that trickle in": bursts(apart=0.001),
    "bursts in one batch": bursts(tasks=1, seconds=0.002, items=500),
    "bursts from a root that is busy all the time": [Arrival(0, 5.0), *bursts()],
}
STEADY = {
    "steady, all are needed": steady(4000, every=0.00125),
    "steady, more than can be done": steady(4000, every=0.001),
    "steady, half are needed": steady(2000, every=0.0025),
    "steady, one at a time": steady(200, every=0.03),
    "steady, one and then a pause": steady(80, every=0.06),
    "everything at the start": [Arrival(0, 0.01)] * 4000,
}
CHANGING = {
    "irregular, half are needed": irregular(2000, 400, 0.01),
    "irregular, one is needed": irregular(300, 50, 0.02),
    "a ramp": [Arrival(5 * (i / 2000) ** 0.5, 0.01) for i in range(2000)],
    "skewed costs": [Arrival(0, 0.4 * random.Random(i).betavariate(2, 5)) for i in range(200)],
    "one long task among short ones": [Arrival(0, 2.0), *[Arrival(0, 0.001)] * 1000],
    "an idle tail": [*[Arrival(0, 0.01)] * 400, Arrival(0, 3.0)],
    "one item becomes ten thousand": [Arrival(0, 0.002, 10_000)],
}
LOADS = BURSTY | STEADY | CHANGING

#: Outcome of each load with all workers active all the time.
_unscaled = {}


def unscaled(load):
    if load not in _unscaled:
        _unscaled[load] = simulate(None, LOADS[load], MOST)
    return _unscaled[load]


def scaled(load, strategy=DEFAULT_STRATEGY):
    """Return run time and process time relative to those without scaling, and the outcome."""
    outcome, base = simulate(make_policy(strategy, MOST), LOADS[load], MOST), unscaled(load)
    return outcome.runtime / base.runtime, outcome.process_time / base.process_time, outcome


class TestSimulatedRuns:
    @pytest.mark.parametrize("load", BURSTY)
    def test_bursts_take_as_long_for_little_more_than_half_of_the_process_time(self, load):
        runtime, process_time, _ = scaled(load)
        assert runtime <= 1.05
        assert process_time <= 0.6

    @pytest.mark.parametrize("load", STEADY)
    def test_a_steady_load_takes_as_long(self, load):
        runtime, process_time, _ = scaled(load)
        assert runtime <= 1.02
        assert process_time <= 1.02

    @pytest.mark.parametrize("load", CHANGING)
    def test_a_changing_load_takes_as_long(self, load):
        runtime, process_time, _ = scaled(load)
        assert runtime <= 1.02
        assert process_time <= 1.02

    @pytest.mark.parametrize("load", STEADY)
    def test_a_steady_load_has_a_steady_number_of_workers(self, load):
        assert scaled(load)[2].turns <= 6

    @pytest.mark.parametrize("load", CHANGING)
    def test_a_changing_load_makes_few_turns(self, load):
        _, _, outcome = scaled(load)
        assert outcome.turns <= 4 + 4 * outcome.runtime

    def test_bursts_make_two_turns_each(self):
        assert scaled("bursts at once")[2].turns <= 20

    def test_an_idle_tail_keeps_two_workers_of_eight(self):
        _, _, outcome = scaled("an idle tail")
        assert {target for at, target in outcome.targets if at > 1} == {2}

    def test_a_burst_raises_the_target_at_once(self):
        outcome = simulate(make_policy("demand", MOST), [Arrival(1.0, 0.01)] * 100, MOST)
        assert min(at for at, target in outcome.targets if target == MOST) == 1.0

    @pytest.mark.parametrize("load", BURSTY)
    @pytest.mark.parametrize("other", ["queue", "idle"])
    def test_the_default_beats_the_earlier_ones_on_bursts(self, load, other):
        runtime, process_time, outcome = scaled(load)
        other_runtime, other_process_time, other_outcome = scaled(load, other)
        assert runtime <= other_runtime + 0.02
        if (load, other) == ("bursts that trickle in", "queue"):
            # `queue` gets by with 4 % less here, at the price of turning all the time.
            assert outcome.turns < other_outcome.turns / 10
        else:
            assert runtime * process_time < other_runtime * other_process_time

    @pytest.mark.parametrize("strategy", STRATEGIES)
    @pytest.mark.parametrize("load", LOADS)
    def test_the_bounds_are_kept(self, strategy, load):
        # What `queue` does with a big load from the start takes it eight times as long.
        outcome = simulate(make_policy(strategy, 4), LOADS[load][:500], 4)
        assert {target for _, target in outcome.targets} <= set(range(1, 5))
        assert outcome.most_active <= 4


def targets_during(policy, start, seconds, **metrics):
    """Return the targets during a time in which the metrics do not change."""
    ticks = range(round(seconds / TICK_SECONDS))
    return [policy.target(Metrics(at=start + i * TICK_SECONDS, **metrics)) for i in ticks]


class TestDemand:
    def test_the_target_is_the_busy_workers_and_the_backlog(self):
        policy = make_policy("demand", MOST)
        assert policy.target(Metrics(at=0, backlog=4, active=2, idle=0)) == 6

    def test_idle_workers_are_used_before_others_are_resumed(self):
        policy = make_policy("demand", MOST)
        assert policy.target(Metrics(at=0, backlog=3, active=5, idle=3)) == 5

    def test_one_spare_worker_is_kept_while_any_is_busy(self):
        policy = make_policy("demand", MOST)
        assert policy.target(Metrics(at=0, backlog=0, active=1, idle=0)) == 2

    def test_spare_workers_double_whenever_none_is_idle(self):
        policy = make_policy("demand", 30)
        numbers = [1]
        for i in range(4):
            all_busy = Metrics(at=i * TICK_SECONDS, backlog=0, active=numbers[-1], idle=0)
            numbers.append(policy.target(all_busy))
        assert numbers == [1, 2, 4, 8, 16]

    def test_one_spare_worker_is_left_when_some_stay_idle(self):
        policy = make_policy("demand", MOST)
        targets_during(policy, 0.0, 0.1, backlog=0, active=4, idle=0)
        assert targets_during(policy, 0.1, 0.1, backlog=0, active=8, idle=4)[-1] == 5

    def test_workers_are_kept_through_a_gap_of_some_milliseconds(self):
        policy = make_policy("demand", MOST)
        policy.target(Metrics(at=0, backlog=50, active=8, idle=0))
        assert policy.target(Metrics(at=0.015, backlog=0, active=8, idle=8)) == 8

    def test_workers_are_released_when_the_gap_lasts(self):
        policy = make_policy("demand", MOST)
        policy.target(Metrics(at=0, backlog=50, active=8, idle=0))
        assert targets_during(policy, 0.01, 0.05, backlog=0, active=8, idle=8)[-1] == 1

    def test_the_threshold_is_the_window_in_milliseconds(self):
        policy = make_policy("demand", MOST, threshold=500)
        policy.target(Metrics(at=0, backlog=50, active=8, idle=0))
        numbers = targets_during(policy, 0, 0.7, backlog=0, active=8, idle=8)
        assert numbers.index(1) in (50, 51)

    def test_releases_that_were_mistakes_widen_the_window(self):
        """Given short gaps again and again, workers are soon kept through them."""
        policy = make_policy("demand", MOST)
        kept = []
        for round_ in range(10):
            policy.target(Metrics(at=round_ * 0.05, backlog=50, active=8, idle=0))
            numbers = targets_during(policy, round_ * 0.05, 0.05, backlog=0, active=8, idle=8)
            kept.append(min(numbers))
        assert kept[0] == 1
        assert kept[-1] == 8


class TestQueue:
    def test_it_grows_by_one_while_the_queue_is_long_and_gets_no_shorter(self):
        policy = make_policy("queue", MOST)
        targets = [
            policy.target(Metrics(at=i, backlog=backlog, active=4, idle=0))
            for i, backlog in enumerate([11, 12, 12, 11, 10])
        ]
        assert targets == [5, 5, 5, 3, 3]

    def test_the_threshold_is_a_number_of_tasks(self):
        policy = make_policy("queue", MOST, threshold=3)
        assert policy.target(Metrics(at=0, backlog=4, active=4, idle=0)) == 5


class TestIdle:
    @pytest.mark.parametrize(("seconds", "target"), [(0.0, 5), (1.0, 5), (1.01, 3)])
    def test_it_shrinks_by_one_while_a_worker_is_idle_for_a_second(self, seconds, target):
        metrics = Metrics(at=0, backlog=0, active=4, idle=1, idle_seconds=seconds)
        assert make_policy("idle", MOST).target(metrics) == target

    def test_the_threshold_is_in_milliseconds(self):
        metrics = Metrics(at=0, backlog=0, active=4, idle=1, idle_seconds=0.3)
        assert make_policy("idle", MOST, threshold=200).target(metrics) == 3


numbers = st.integers(0, 1000)
observations = st.lists(
    st.builds(
        Metrics,
        at=st.floats(0, 10),
        backlog=numbers,
        active=numbers,
        idle=numbers,
        idle_seconds=st.floats(0, 100),
        busy_seconds=st.floats(0, 100),
    )
)
thresholds = st.none() | st.integers(0, 5000)


class TestAnyStrategy:
    @given(st.sampled_from(sorted(STRATEGIES)), st.integers(1, 100), thresholds, observations)
    def test_the_target_is_within_bounds_whatever_is_observed(self, name, most, threshold, seen):
        policy = make_policy(name, most, threshold)
        assert all(1 <= policy.target(metrics) <= most for metrics in seen)

    @given(st.sampled_from(sorted(STRATEGIES)), st.integers(1, 100), thresholds, observations)
    def test_the_same_observations_give_the_same_targets(self, name, most, threshold, seen):
        runs = [[*map(make_policy(name, most, threshold).target, seen)] for _ in range(2)]
        assert runs[0] == runs[1]

    @given(st.integers(1, 100), st.lists(st.tuples(numbers, numbers, numbers)))
    def test_demand_never_asks_for_fewer_than_could_work_now(self, most, seen):
        policy = make_policy("demand", most)
        for i, (backlog, active, idle) in enumerate(seen):
            busy = max(0, active - idle)
            target = policy.target(Metrics(at=i, backlog=backlog, active=active, idle=idle))
            assert target >= min(most, busy + backlog)


class TestMakePolicy:
    def test_an_unknown_strategy_is_an_error_that_suggests_the_nearest_one(self):
        with pytest.raises(OptionError, match=r"'quue' \(did you mean 'queue'\?\).*demand.*idle"):
            make_policy("quue", 4)

    @pytest.mark.parametrize("threshold", [-1, float("nan"), float("inf")])
    def test_an_invalid_threshold_is_an_error(self, threshold):
        with pytest.raises(OptionError, match="threshold"):
            make_policy("queue", 4, threshold)

    def test_there_must_be_at_least_one_worker(self):
        with pytest.raises(OptionError, match="the number of workers is 0; it must be at least 1"):
            make_policy("queue", 0)


def test_the_simulator_processes_all_items_with_and_without_scaling():
    for load, strategy in itertools.product(["a ramp", "bursts in one batch"], ["demand", None]):
        arrivals = LOADS[load]
        work = sum(arrival.seconds * arrival.items for arrival in arrivals)
        outcome = simulate(strategy and make_policy(strategy, MOST), arrivals, MOST)
        assert outcome.process_time >= work - 1e-6
