"""How many workers one server, or one driver with its tasks in memory, carries.

What calls cost is measured on the real stores; with that, runs are modelled in virtual time (see
`scale_model`), with more and more workers as long as they are kept busy.
"""

import pytest
from dynamic_helpers.call_costs import memory_costs, redis_costs
from dynamic_helpers.scale_model import ModelledRun, chain, costs_of
from dynamic_helpers.virtual_time import VirtualTime

#: Calls of each kind that are measured.
CALLS = 2000
#: Workers are carried while they spend so much of their time in PEs.
EFFICIENCY = 0.85
WORKERS = (10, 20, 50, 100, 200, 400, 700, 1000)
#: Seconds of work per worker in a run.
WORK = 0.4
#: Latency of a message: a local socket, or a network in one building.
NETWORK = {"memory": 30e-6, "redis": 100e-6}


def measured(store, request):
    """Return what calls cost here."""
    if store == "memory":
        return memory_costs(CALLS)
    return redis_costs(request.getfixturevalue("server"), CALLS)


def keep(benchmark, capsys, unit, figure, **details):
    """Keep and print a figure in the form of `d4py_conformance.bench.measure.by_turns`."""
    info = benchmark.extra_info
    info |= {"unit": unit, "ours": figure, "spread of ours": [figure, figure], **details}
    with capsys.disabled():
        print(f"\n{benchmark.name}: {figure:,.4g} {unit} {details}")


@pytest.mark.benchmark(group="CPU time of a commit with results")
@pytest.mark.parametrize("store", ["memory", "redis"])
def test_cost_of_calls(benchmark, capsys, request, store):
    costs = benchmark.pedantic(measured, args=(store, request), rounds=1)
    microseconds = {name: round(1e6 * seconds, 1) for name, seconds in costs.items()}
    keep(benchmark, capsys, "us", microseconds["commit of results"], calls=microseconds)


@pytest.mark.benchmark(group="workers that are kept busy")
@pytest.mark.parametrize("milliseconds", [1, 10, 100])
@pytest.mark.parametrize("store", ["memory", "redis"])
def test_workers_that_are_carried(benchmark, capsys, request, store, milliseconds):
    costs = costs_of(
        measured(store, request), network=NETWORK[store], shared_core=store == "memory"
    )
    shown = {}

    def carried():
        most = 0
        for workers in WORKERS:
            items = workers * max(4, round(1000 * WORK / milliseconds))
            graph = chain(1, milliseconds / 1000)
            outcome = ModelledRun(VirtualTime(), graph, items, workers, costs).run()
            shown[workers] = [round(outcome.efficiency, 3), round(outcome.server, 3)]
            if outcome.efficiency < EFFICIENCY:
                break
            most = workers
        return most

    most = benchmark.pedantic(carried, rounds=1)
    keep(benchmark, capsys, "workers", most, efficiency_and_load=shown)


@pytest.mark.benchmark(group="1,000 workers, 100 stages")
@pytest.mark.timeout(7200)
def test_a_thousand_workers_and_a_hundred_stages(benchmark, capsys, request):
    costs = costs_of(measured("redis", request), network=NETWORK["redis"], shared_core=False)
    graph = chain(100, 0.01)
    run = ModelledRun(VirtualTime(), graph, 1000, 1000, costs)
    outcome = benchmark.pedantic(run.run, rounds=1)
    details = {**outcome._asdict(), "calls": dict(outcome.calls)}
    keep(benchmark, capsys, "of time in PEs", outcome.efficiency, **details)
