"""Which of the tests of our own mappings are one of many of a kind, and left to the slow ones.

The suite has each of its tests for each mapping.  Where the same is shown once by a quick run, the
other runs are marked `slow`: `make test` leaves them out, `make test-slow` runs them.
"""

import pytest

from d4py_conformance.expected.workflows import WORKFLOWS

#: Of runs that start their processes otherwise: whatever has to travel there, and what ends them.
OF_STARTING = (
    "test_workflow[",
    "test_m2_items_arrive_as_they_were_sent",
    "test_c3_an_exception_stops_the_run",
    "test_c4_a_run_leaves_nothing_behind",
)
#: What these add to a mapping that has all tests, `multi`, `dyn_multi` or `hybrid_redis`, is in how
#: runs proceed and end.
LIKE_OTHERS = {"zmq_multi", "mpi", "dyn_auto_multi", "dyn_redis", "dyn_auto_redis"}
OF_RUNNING = ("test_workflow[", "test_c1", "test_c3")
#: Workflows with every kind of grouping, and a composite.
A_FEW = {"group_by", "grouping_alltoone", "grouping_onetoall", "pipeline_composite", "split_merge"}


@pytest.hookimpl(tryfirst=True)  # before they are chosen by their marks
def pytest_collection_modifyitems(items):
    for item in items:
        if getattr(item, "cls", None) is not None and _is_one_of_many(item):
            item.add_marker(pytest.mark.slow)


def _is_one_of_many(item):
    given = item.callspec.params if hasattr(item, "callspec") else {}
    workflow = given.get("name")
    if item.cls.__name__ == "TestInstalledMappings":
        smaller = workflow is not None and given["size"] != WORKFLOWS[workflow].sizes[-1]
        again = given.get("mapping") in LIKE_OTHERS and not item.name.startswith(OF_RUNNING)
        # Those of mpi are below too, and a graph that is drawn is many runs.
        of_mpi = given.get("mapping") == "mpi" and (workflow or "random" in item.name)
        return smaller or again or of_mpi
    if item.cls.__name__ == "TestStartMethods":
        return not item.name.startswith(OF_STARTING) or (workflow or "split_merge") not in A_FEW
    if item.cls.__name__ == "TestFixedMappings" and workflow is not None:
        if given["mapping"] == "mpi":
            return given["processes"] != "enough" or workflow not in A_FEW
        return given["processes"] not in {"1", "enough"} or workflow == "sieveoferatosthenes"
    return False
