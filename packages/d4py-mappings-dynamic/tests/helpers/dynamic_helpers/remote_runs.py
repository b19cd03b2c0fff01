"""Runs that remote workers join, and how such a run ends."""

from d4py_conformance.subprocesses.network_namespaces import ended
from d4py_conformance.waiting import wait_until_none
from dynamic_helpers.remote_hosts import assert_exact

MAPPINGS = [
    ("dyn_redis", "plain"),
    ("dyn_redis", "tallied"),
    ("dyn_auto_redis", "tallied"),
    ("hybrid_redis", "collected"),
]


def finish(hosts, driver, graph, count):
    """Let the run end, check its results, and return what the driver has logged."""
    hosts.open_gate()
    out, err = ended(driver, 0)
    assert_exact(out, graph, count)
    wait_until_none(hosts.client.keys, "the deletion of all keys")
    return err
