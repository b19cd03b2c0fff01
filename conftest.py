"""Which tests `make test` leaves to `make test-slow`, and how many run at once.

The tests of core run where core alone is installed, and most of them do not depend on what else is;
of these, `make test` runs none again together with everything.

Where a test that starts processes has several parameters, `make test` runs it so often that each
value of each parameter has its turn (*each choice coverage*: Ammann and Offutt, *Introduction to
Software Testing*).  Start methods and mappings that share a loop count as one value: the tests of
a file have them in turn.  The other combinations are marked `slow`.
"""

import gc
import os
import signal
from collections import Counter, defaultdict
from importlib.util import find_spec

import pytest
from _pytest.doctest import DoctestModule

#: They start MPI when they are imported, as for doctests; beside its threads no test would fork.
collect_ignore_glob = [
    "packages/d4py-mappings-fixed/src/d4py_fixed/mpi/*.py",
    # It does nothing but raise an error.
    "packages/d4py-core/src/dispel4py/provenance.py",
    # They are started in environments of their own, with libraries that are not here.
    "conformance/src/d4py_conformance/bench/programs/*.py",
]
if find_spec("h5py") is None:
    collect_ignore_glob.append("packages/d4py-cli/src/d4py_cli/output/hdf5_file.py")

#: Time between two times that a test is ended.
AGAIN_SECONDS = 15.0
#: Packages whose tests start processes.
STARTING = ("d4py-mappings-fixed", "d4py-mappings-dynamic", "d4py-hybrid")
#: Start methods and mappings that share a loop: that of ranks, of tasks in memory, or in Redis.
SHARED_LOOPS = (
    {"fork", "forkserver", "spawn", "multi", "zmq_multi"},
    {"dyn_multi", "dyn_auto_multi"},
    {"dyn_redis", "dyn_auto_redis"},
)
#: Tests of core that depend on what is installed beside it, the last ones on NumPy.
BESIDE_OTHERS = (
    "test_command_and_examples.py",
    "test_old_paths.py",
    "test_registry.py",
    "test_running.py",
    "test_unreachable_arrays.py",
)


def pytest_configure():
    # A shell has what it runs in the background ignore Ctrl-C, and programs that tests start would
    # inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_ignore_collect(collection_path, config):
    """Import no file of which all tests are left out."""
    if collection_path.is_file() and config.option.markexpr == "not slow":
        return _is_core_by_itself(collection_path) or None
    return None


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path):
    """Look for doctests only in sources that have some: importing the others takes seconds."""
    collectors = yield
    if any(isinstance(found, DoctestModule) for found in collectors) and (
        file_path.match("tests/*.py") or b">>>" not in file_path.read_bytes()
    ):
        return [found for found in collectors if not isinstance(found, DoctestModule)]
    return collectors


@pytest.hookimpl(tryfirst=True)  # before tests are selected by their marks
def pytest_collection_modifyitems(items):
    tests = defaultdict(list)
    for item in items:
        if _is_core_by_itself(item.path):
            item.add_marker(pytest.mark.slow)
        if hasattr(item, "callspec") and not {*STARTING}.isdisjoint(item.path.parts):
            tests[item.path, item.cls, item.originalname].append(item)
    # A group runs in one process, so those begin that take long.
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)
    turns = Counter()
    for combinations in tests.values():
        quick = [item for item in combinations if item.get_closest_marker("slow") is None]
        for item in _each_choice(quick, turns):
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_timeout_set_timer(item, settings):
    """End a test again that goes on after its time, as where it then waits for its threads."""
    done = yield
    seconds, _ = signal.getitimer(signal.ITIMER_REAL)
    if seconds:
        signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_SECONDS)
    return done


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport():
    """Keep the timer from interrupting the report on a test, which would end the whole session."""
    left = signal.setitimer(signal.ITIMER_REAL, 0)
    report = yield
    if left[0]:
        signal.setitimer(signal.ITIMER_REAL, *left)
    return report


def _is_core_by_itself(path):
    """Return whether a file's tests do not depend on what is installed beside core."""
    return "d4py-core" in path.parts and path.name not in BESIDE_OTHERS


def _each_choice(items, turns):
    """Return the items that are not needed for each value of each parameter to have its turn.

    Args:
        items: A test with different parameters.
        turns: How often a file has had each of the values that share a loop; updated.
    """
    values = {item: {_value_of(*param) for param in item.callspec.params.items()} for item in items}
    waiting = set().union(*values.values())

    def preference(item):
        return len(values[item] & waiting), -sum(turns[turn] for turn in _turns_of(item))

    while waiting:
        chosen = max(values, key=preference)
        waiting -= values.pop(chosen)
        turns.update(_turns_of(chosen))
    return values


def _value_of(name, value):
    loops = [number for number, loop in enumerate(SHARED_LOOPS) if _is_in(value, loop)]
    return name, *(loops or [repr(value)])


def _turns_of(item):
    values = item.callspec.params.values()
    return [(item.path, v) for v in values if any(_is_in(v, loop) for loop in SHARED_LOOPS)]


def _is_in(value, loop):
    return isinstance(value, str) and value in loop


def pytest_collection_finish():
    # Else the garbage collector of a forked worker writes to all that was collected, and copies it.
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """For ``-n auto``: tests wait for processes half of the time, so each core runs two of them.

    Not where other sessions run beside this one, as in `make test`, which says how many it wants.
    """
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None  # xdist reads it
    return 2 * (os.cpu_count() or 1)
