"""H2: a run whose driver is killed is resumed by another one; real commands on this host."""

import os
import re
import secrets
import signal
import sys

import pytest
from dynamic_helpers.remote_hosts import SECRET, Hosts, assert_exact, fetched

from d4py_conformance.subprocesses.network_namespaces import ended
from d4py_conformance.subprocesses.programs import Command
from d4py_conformance.waiting import LIMIT, wait_until, wait_until_none

FLOWS = [("dyn_redis", "plain"), ("hybrid_redis", "collected")]


@pytest.fixture
def hosts():
    made = Hosts()
    yield made
    made.stop()


#: Resumes a run from Python, where the inputs can be given again.
RESUME = """
import json, sys
from d4py_dynamic.remote.resume import resume
from dispel4py import RunOptions

url, path = sys.argv[1:]
with open(path) as file:
    inputs = json.load(file)
print("Outputs:", resume(None, RunOptions(extra={"redis_url": url}), inputs).outputs)
"""


def resume_with_inputs(hosts, path):
    command = [sys.executable, "-c", RESUME, hosts.url, str(path)]
    settings = hosts._settings("there", {})
    hosts.started.append(Command(command, **settings))
    return hosts.started[-1]


def begin(hosts, mapping, graph, count, *arguments):
    """Start a resumable run, and wait until it has done some work."""
    driver = hosts.driver(mapping, graph, "-i", count, "--resumable", "-n", 2, *arguments)
    hosts.await_work(hosts.await_ranks(2))
    return driver


def kill(driver):
    """Kill a driver, and wait for the end of its workers."""
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    driver.wait_until_gone()


def assert_finished(hosts, process, graph, count):
    hosts.open_gate()
    out, err = ended(process, 0)
    assert_exact(out, graph, count)
    wait_until_none(hosts.client.keys, "the deletion of all keys")
    return err


@pytest.mark.parametrize(("mapping", "graph"), FLOWS)
@pytest.mark.parametrize("times", [1, 2])
def test_h2_a_run_is_resumed_where_its_driver_died(hosts, mapping, graph, times):
    driver = begin(hosts, mapping, graph, 600)
    for _ in range(times):
        before = hosts.calls(hosts.ranks())
        kill(driver)
        assert hosts.calls(range(100)) >= before
        driver = hosts.resume()
        gone = max(hosts.ranks())
        wait_until(
            lambda rank=gone: min(hosts.ranks(), default=0) > rank, "workers of the new driver"
        )
        hosts.await_work(hosts.await_ranks(2))
    err = assert_finished(hosts, driver, graph, 600)
    assert "resuming run" in err


@pytest.mark.parametrize("mapping", ["dyn_redis", "hybrid_redis"])
@pytest.mark.parametrize("count", [600, 3000], ids=["at-once", "fed"])
def test_d3_h2_a_run_with_a_shared_root_is_resumed(hosts, mapping, count):
    """The calls are queued at once, or fed in batches and given again."""
    inputs = ["-f", fetched(hosts, count)]
    driver = hosts.driver(mapping, "fetched", *inputs, "--resumable", "-n", 2)
    hosts.await_work(hosts.await_ranks(2))
    kill(driver)
    driver = hosts.resume() if count == 600 else resume_with_inputs(hosts, inputs[1])
    wait_until(lambda: min(hosts.ranks(), default=0) >= 2, "workers of the new driver")
    hosts.await_work(hosts.await_ranks(2))
    assert_finished(hosts, driver, "fetched", count)


@pytest.mark.slow
def test_h2_a_run_that_had_only_to_end_is_resumed(hosts):
    driver = begin(hosts, "hybrid_redis", "collected", 300)
    os.kill(driver.pid, signal.SIGSTOP)
    hosts.open_gate()
    wait_until(lambda: hosts.calls(range(100)) == 3 * 300, "all calls")
    kill(driver)
    assert_finished(hosts, hosts.resume(), "collected", 300)


def test_h2_results_that_the_dead_driver_had_are_delivered_again(hosts):
    driver = begin(hosts, "dyn_redis", "plain", 300, "--output", "-")
    archive = f"{hosts.prefix()}:archive"
    wait_until(lambda: hosts.client.xlen(archive) > 3, "results")
    kill(driver)
    assert_finished(hosts, hosts.resume(), "plain", 300)


@pytest.mark.parametrize(("mapping", "graph"), FLOWS)
@pytest.mark.slow
def test_h2_remote_workers_join_the_new_driver(hosts, mapping, graph):
    driver = hosts.driver(mapping, graph, "-i", 600, "--resumable", "-n", 0)
    workers = hosts.workers("-n", 2)
    hosts.await_work(hosts.await_ranks(2))
    kill(driver)
    driver = hosts.resume()
    wait_until(lambda: min(hosts.ranks(), default=0) >= 2, "workers of the new driver")
    hosts.await_work(hosts.await_ranks(2))
    assert_finished(hosts, driver, graph, 600)
    _, err = ended(workers, 0)
    assert "has another driver; joining it again" in err


@pytest.mark.slow
def test_h2_a_stopped_driver_that_continues_ends_when_another_has_taken_over(hosts):
    driver = begin(hosts, "hybrid_redis", "collected", 600)
    os.kill(driver.pid, signal.SIGSTOP)
    following = hosts.resume()  # waits until the first one counts as dead
    wait_until(lambda: min(hosts.ranks(), default=0) >= 2, "workers of the new driver")
    os.kill(driver.pid, signal.SIGCONT)
    driver.communicate(timeout=LIMIT)
    assert driver.returncode == 1
    assert_finished(hosts, following, "collected", 600)


@pytest.mark.slow
def test_h2_a_run_whose_driver_is_alive_is_not_resumed(hosts):
    driver = begin(hosts, "hybrid_redis", "collected", 300)
    _, err = ended(hosts.resume(), 2)
    assert re.search(r"run [0-9a-f]{8} has a driver that is alive: process \d+ on", err)
    assert_finished(hosts, driver, "collected", 300)


def test_h2_a_run_that_is_not_resumable_leaves_no_keys(hosts):
    driver = hosts.driver("hybrid_redis", "collected", "-i", 300, "-n", 2)
    hosts.await_work(hosts.await_ranks(2))
    kill(driver)  # each worker deletes the keys before it ends
    assert not hosts.client.keys()
    _, err = ended(hosts.resume(), 1)
    assert "there is no run to resume" in err


def test_d2_a_replica_that_was_lost_with_the_driver_is_an_error(hosts):
    driver = begin(hosts, "dyn_redis", "tallied", 600)
    kill(driver)
    _, err = ended(hosts.resume(), 1)
    assert "Tally2, with what its postprocess would have written; this cannot be repeated" in err
    wait_until_none(hosts.client.keys, "the deletion of all keys")


def test_c4_a_resumable_run_that_is_interrupted_leaves_no_keys(hosts):
    driver = begin(hosts, "hybrid_redis", "collected", 300)
    os.kill(driver.pid, signal.SIGINT)
    ended(driver, 130)
    assert not hosts.client.keys()


def test_h2_a_resumable_run_outlives_the_sigterm_of_a_time_limit(hosts):
    key = hosts.folder / "here" / "run.key"
    driver = hosts.driver(
        *("hybrid_redis", "collected", "-i", 300, "-n", 2, "--resumable"),
        *("--key-file", key),
        D4PY_KEY="",
    )
    hosts.await_work(hosts.await_ranks(2))
    os.kill(driver.pid, signal.SIGTERM)
    _, err = ended(driver, 130)
    run_id = hosts.run_id()
    assert "the run stays; with the same key: dispel4py resume --redis-url redis://" in err
    assert f" {run_id}\n" in err
    assert not driver.members()
    resumed = hosts.resume(run_id, "--key-file", key, D4PY_KEY="")
    assert_finished(hosts, resumed, "collected", 300)
    assert not key.exists()


@pytest.mark.slow
def test_the_file_with_the_key_stays_until_the_run_has_ended(hosts):
    key = hosts.folder / "here" / "run.key"
    driver = hosts.driver(
        "dyn_redis", "plain", "-i", 300, "-n", 1, "--resumable", "--key-file", key, D4PY_KEY=""
    )
    hosts.await_work(hosts.await_ranks(1))
    kill(driver)
    _, err = ended(hosts.resume(D4PY_KEY=""), 2)
    assert "the run's key is missing" in err
    _, err = ended(hosts.resume(D4PY_KEY=secrets.token_urlsafe(32)), 2)
    assert "this is not the key of run" in err
    driver = hosts.resume("--key-file", key, D4PY_KEY="")
    assert_finished(hosts, driver, "plain", 300)
    assert not key.exists()


def test_a_file_with_a_key_that_the_run_has_not_written_stays(hosts):
    key = hosts.folder / "here" / "own.key"
    key.touch(0o600)
    key.write_text(secrets.token_urlsafe(32))
    driver = hosts.driver(
        "dyn_redis", "plain", "-i", 300, "-n", 1, "--resumable", "--key-file", key, D4PY_KEY=""
    )
    hosts.await_work(hosts.await_ranks(1))
    kill(driver)
    assert_finished(hosts, hosts.resume("--key-file", key, D4PY_KEY=""), "plain", 300)
    assert key.exists()


def test_a_run_without_a_lasting_key_cannot_be_resumable(hosts):
    _, err = ended(hosts.driver("dyn_redis", "plain", "--resumable", D4PY_KEY=""), 2)
    assert "a resumable run needs a key that outlives this process" in err
    assert not hosts.client.keys()


@pytest.mark.slow
def test_the_list_of_runs_says_which_can_be_resumed(hosts):
    driver = begin(hosts, "hybrid_redis", "collected", 300)
    kill(driver)
    run_id = hosts.run_id()
    hosts.client.hset(f"{hosts.prefix()}:members", "driver", 0)
    listed = hosts.command("runs", "--redis-url", hosts.url)
    assert "can be resumed" in listed.stdout
    assert SECRET not in listed.stdout
    assert_finished(hosts, hosts.resume(run_id), "collected", 300)
