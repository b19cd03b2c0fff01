"""Runs with many workers in virtual time: the model is sound, and the real code passes in it."""

import pytest

pytest.importorskip("greenlet")

from dynamic_helpers.scale_model import Costs, ModelledRun, chain
from dynamic_helpers.virtual_time import Condition, Event, VirtualTime

from d4py_dynamic.autoscaling.policies import DemandPolicy
from d4py_dynamic.worker.limits import WorkerLimits

COSTS = Costs(network=50e-6, calls={"commit": 100e-6}, event=50e-6, lease=100e-6, shared_core=True)


def modelled(workers, stages, inputs, *, costs=COSTS, **options):
    graph = chain(stages, 0.01, independent=options.pop("independent", True))
    return ModelledRun(VirtualTime(), graph, inputs, workers, costs, **options).run()


class TestVirtualTime:
    def test_sleepers_continue_in_the_order_of_time(self):
        virtual, seen = VirtualTime(), []

        def sleeper(seconds):
            virtual.sleep(seconds)
            seen.append((seconds, virtual.now))

        def main():
            for seconds in (3.0, 1.0, 2.0):
                virtual.start(lambda s=seconds: sleeper(s))
            virtual.sleep(10.0)

        virtual.run(main)
        assert seen == [(1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]
        assert virtual.now == 10.0

    def test_a_wait_ends_by_a_notification_or_in_time(self):
        virtual, seen = VirtualTime(), []

        def main():
            condition = Condition(virtual)
            virtual.start(lambda: seen.append((condition.wait(5.0), virtual.now)))
            virtual.start(lambda: seen.append((condition.wait(2.0), virtual.now)))
            virtual.sleep(1.0)
            condition.notify()
            virtual.sleep(9.0)

        virtual.run(main)
        assert seen == [(True, 1.0), (False, 2.0)]

    def test_a_wait_for_nothing_is_an_error(self):
        virtual = VirtualTime()
        with pytest.raises(RuntimeError, match="nothing will ever happen"):
            virtual.run(lambda: Event(virtual).wait())

    def test_what_fails_in_a_greenlet_fails_the_run(self):
        virtual = VirtualTime()

        def main():
            virtual.start(lambda: 1 / 0)
            virtual.sleep(1.0)

        with pytest.raises(ZeroDivisionError):
            virtual.run(main)


@pytest.mark.parametrize("independent", [True, False], ids=["shared calls", "pinned root"])
def test_c1_all_results_of_a_run_with_many_workers_and_stages_arrive(independent):
    outcome = modelled(20, 10, 100, independent=independent)
    assert outcome.results == 100
    ideal = 100 * 10 * 0.01 / 20
    assert ideal < outcome.seconds < 1.5 * ideal


def test_a_run_is_the_same_each_time():
    assert modelled(10, 3, 40) == modelled(10, 3, 40)


def test_autoscaling_scales_many_workers():
    outcome = modelled(20, 2, 100, policy=DemandPolicy(20))
    assert outcome.results == 100
    assert outcome.calls["driver.load"] > outcome.seconds / 0.02 / 2


def commits_of(root_seconds):
    """How often two workers commit while one of them makes 200 calls of a root."""
    graph = chain(1, 0.0005, independent=False, root_seconds=root_seconds)
    outcome = ModelledRun(VirtualTime(), graph, 200, 2, COSTS).run()
    assert outcome.results == 200
    return outcome.calls["commit"]


def test_an_idle_worker_gets_each_item_of_a_root_that_takes_longer_than_commits():
    assert commits_of(root_seconds=0.005) > 2 * 200  # each item, and each result


def test_a_quick_root_does_not_spend_its_time_on_commits():
    assert commits_of(root_seconds=0.00002) < 30


def test_a_slow_store_is_looked_at_less_often():
    slow = Costs(5e-3, {}, event=50e-6, lease=100e-6, shared_core=True)
    often = modelled(10, 1, 1000, costs=slow, limits=WorkerLimits(look_stretch=1.0))
    seldom = modelled(10, 1, 1000, costs=slow)
    assert seldom.results == often.results == 1000
    assert seldom.calls["status"] < often.calls["status"] / 4
    assert seldom.seconds < often.seconds
