"""Which tests of our own mappings `make test` leaves to `make test-slow`.

The suite has each of its tests for each mapping.  `make test` runs every rule on every loop, and
every workflow on every mapping; where another mapping shares the loop, or a mapping of the tests
shows nothing new, the test is marked `slow`.
"""

import pytest

from d4py_conformance.expected.workflows import WORKFLOWS

#: Mappings that run a loop of their own: that of a single process, of ranks, of ranks on threads of
#: the caller's process, of tasks in memory, and of tasks in Redis.  They have all tests.
ALL_RULES = {"simple", "multi", "threads", "dyn_multi", "hybrid_redis"}
#: Tests of the other mappings beside the workflows: results, failures and the end of a run arrive
#: by a transport, or a store, of their own.
OF_TRANSPORT = (
    "test_c1_the_end_is_known_and_not_waited_for",
    "test_c1_every_call_of_every_instance_is_counted",
    "test_c1_progress_is_reported_while_a_run_goes_on",
    "test_c3_an_exception_stops_the_run",
    "test_c3_an_item_that_cannot_be_carried_is_skipped",
    "test_c3_the_cause_is_carried",
    "test_m1_two_hosts_share_a_run",
    "test_standard",
)
#: Tests of other start methods: what has to travel to a worker process, and what ends it.
OF_STARTING = (
    "test_workflow[",
    "test_m2_items_arrive_as_they_were_sent",
    "test_c3_an_exception_stops_the_run",
    "test_c4_a_run_leaves_nothing_behind",
)
#: Workflows with every kind of grouping, and a composite.
A_FEW = {"group_by", "grouping_alltoone", "grouping_onetoall", "pipeline_composite", "split_merge"}


@pytest.hookimpl(tryfirst=True)  # before tests are selected by their marks
def pytest_collection_modifyitems(items):
    for item in items:
        is_repeated = REPEATED.get(getattr(getattr(item, "cls", None), "__name__", None))
        if is_repeated is not None:
            params = item.callspec.params if hasattr(item, "callspec") else {}
            if is_repeated(item, params):
                item.add_marker(pytest.mark.slow)


def _is_smaller(params):
    workflow = params.get("name")
    return workflow in WORKFLOWS and params.get("size") != WORKFLOWS[workflow].sizes[-1]


def _is_repeated_on_installed(item, params):
    mapping, workflow = params.get("mapping"), params.get("name")
    if mapping in ALL_RULES:
        return _is_smaller(params)
    if workflow is not None:  # those of mpi are run by TestFixedMappings
        return mapping == "mpi" or _is_smaller(params)
    return not item.name.startswith(OF_TRANSPORT)


def _is_repeated_with_start_method(item, params):
    return not item.name.startswith(OF_STARTING) or params.get("name", "split_merge") not in A_FEW


def _is_repeated_in_processes(item, params):
    if "processes" not in params:
        return False
    if params["mapping"] == "mpi":
        return params["processes"] != "enough" or params["name"] not in A_FEW
    # As many processes as instances is what TestInstalledMappings has for small workflows.
    wanted = {"1", "enough"} if params["mapping"] == "multi" else {"enough"}
    return params["processes"] not in wanted or params["name"] == "sieveoferatosthenes"


def _is_repeated_on_sound(item, params):
    # It runs PEs in the calling process, as `simple` does, and so would show the same in a process
    # of its own; but there, too, it has to pass what mutants are to fail.
    if _shows_a_process(item):
        return item.originalname not in item.module.CAUGHT_BY.values()
    return item.originalname == "test_c1_a_pause_does_not_end_the_run" or _is_smaller(params)


def _is_repeated_without_capabilities(item, params):
    return _shows_a_process(item) or _is_repeated_on_sound(item, params)


def _shows_a_process(item):
    """Return whether a test is about the process of a run, whatever the mapping declares."""
    return "run_isolated" in item.fixturenames and "capabilities" not in item.fixturenames


#: Test class → whether `make test` shows the same by another test.
REPEATED = {
    "TestInstalledMappings": _is_repeated_on_installed,
    "TestStartMethods": _is_repeated_with_start_method,
    "TestFixedMappings": _is_repeated_in_processes,
    "TestSound": _is_repeated_on_sound,
    "TestDeclaresNothing": _is_repeated_without_capabilities,
}
