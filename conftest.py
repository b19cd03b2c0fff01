"""Which tests are left to the slow ones, and how many run at once.

Those of core have run by themselves when everything is tested together, and most of them do not see
what else is installed.  Where a test that starts processes has several parameters, `make test` runs
it so often that each value of each parameter has its turn (*each choice coverage*: Ammann and
Offutt, *Introduction to Software Testing*); the other combinations are marked `slow`.
"""

import os
from collections import defaultdict

import pytest

#: They start MPI when they are imported, as for doctests; beside its threads no test would fork.
collect_ignore_glob = ["packages/d4py-mappings-fixed/src/d4py_fixed/mpi/*.py"]

#: Packages whose tests start processes.
STARTING = ("d4py-mappings-fixed", "d4py-mappings-dynamic", "d4py-hybrid")
#: Tests of core that see what is installed beside it.
SEEING = (
    "test_command_and_examples.py",
    "test_old_paths.py",
    "test_registry.py",
    "test_running.py",
)


@pytest.hookimpl(tryfirst=True)  # before they are chosen by their marks
def pytest_collection_modifyitems(items):
    tests = defaultdict(list)
    for item in items:
        if "d4py-core" in item.path.parts and item.path.name not in SEEING:
            item.add_marker(pytest.mark.slow)
        if hasattr(item, "callspec") and not {*STARTING}.isdisjoint(item.path.parts):
            tests[item.path, item.cls, item.originalname].append(item)
    for combined in tests.values():
        quick = [item for item in combined if item.get_closest_marker("slow") is None]
        values = {item: {(k, repr(v)) for k, v in item.callspec.params.items()} for item in quick}
        waiting = set().union(*values.values())
        while waiting:  # the test that gives most of them their turn
            chosen = max(values, key=lambda item: len(values[item] & waiting))
            waiting -= values.pop(chosen)
        for item in values:
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """For ``-n auto``: tests wait for processes so much that two of them leave a core idle."""
    return (os.cpu_count() or 1) + 1
