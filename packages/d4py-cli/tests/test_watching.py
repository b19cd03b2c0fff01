"""`dispel4py ui`: the page of a run that another process drives, in a real browser."""

import json
import signal
import threading

import pytest
from dynamic_helpers.servers import emptied, server_program, started_servers

from d4py_cli.files.locks import lock_for_writing
from d4py_cli.ui.followed_log import followed_log
from d4py_cli.ui.limits import PageLimits
from d4py_conformance.waiting import wait_until
from dispel4py.errors import OptionError
from dispel4py.events import RunEnded, RunStarted, to_json

RUNS = "d4py:runs"
STARTED = RunStarted(0.0, "2026-11-30T12:00:00+00:00", "multi", 2, (), (), {})


@pytest.fixture(scope="module")
def _server():
    server_program()
    with started_servers() as start_server:
        yield start_server()


@pytest.fixture
def server(_server):
    with emptied(_server):
        yield _server


@pytest.fixture
def start_run(start, endless, server, folder):
    """Starts a run on the server that goes on until it is stopped."""

    def start_driver(*options):
        counts = "-i", 1_000_000, "-n", 2
        process = start("hybrid_redis", endless, *counts, *watching(server), *options)
        wait_until((folder / "run.key").exists, "the key")
        return process

    return start_driver


@pytest.fixture
def start_page(start):
    """Starts the command in a process of its own, and returns it and the address of the page."""

    def start_ui(*arguments):
        process = start("ui", *arguments)
        for line in process.stderr:
            if line.startswith(b"live page: "):
                return process, line.decode().split()[-1]
        raise AssertionError(f"the command has ended with {process.wait(30)}, without a page")

    return start_ui


def watching(server, *more):
    """The arguments that name the run on a server."""
    return "--redis-url", server.url, "--key-file", "run.key", *more


def calls_of(web_page, pe):
    text = web_page.locator("#table tr", has_text=pe).locator("td").nth(2).text_content()
    return int(text.replace(",", ""))


def follow_in(web_page, url):
    """Open a page, and wait until it shows that the run goes on."""
    web_page.goto(url)
    first = calls_of(web_page, "Tick0")
    wait_until(lambda: calls_of(web_page, "Tick0") > first, "progress of the run")


def test_c4_the_page_of_a_run_on_redis_follows_it_to_its_end(
    start_run, start_page, server, web_page
):
    driver = start_run("--watchable")
    page, url = start_page(*watching(server, "--wait", 60))
    follow_in(web_page, url)
    driver.send_signal(signal.SIGINT)
    web_page.locator("#head .outcome", has_text="interrupted").wait_for()
    assert (driver.wait(30), page.wait(30)) == (130, 0)
    assert server.keys() == []


def test_a_run_is_not_disturbed_by_its_watchers(start_run, start_page, server):
    driver = start_run("--watchable")
    killed, _ = start_page(*watching(server, "--wait", 60))
    closed, _ = start_page(*watching(server))
    with server.client() as client:
        (run,) = client.smembers(RUNS)
        events = f"d4py:{{{run.decode()}}}:events"
        wait_until(lambda: client.exists(events), "events")
        wait_until(lambda: len(client.xinfo_groups(events)) == 2, "both pages to read them")
        killed.kill()
        closed.send_signal(signal.SIGINT)
        assert closed.wait(30) == 130
        assert driver.poll() is None
        (group,) = client.xinfo_groups(events)  # the closed one left
        assert group["name"].startswith(b"page-")
    driver.send_signal(signal.SIGINT)  # while one reader reads nothing any more
    assert driver.wait(30) == 130


@pytest.mark.slow
def test_a_page_outlives_a_driver_that_was_killed_and_says_so(
    start_run, start_page, server, web_page
):
    driver = start_run("--watchable")
    page, url = start_page(*watching(server, "--wait", 60))
    follow_in(web_page, url)
    driver.kill()
    web_page.get_by_text("the run did not say how it ended").wait_for()
    assert page.wait(30) == 0


def test_events_are_not_readable_without_the_key(start_run, start_page, server, folder, invoke):
    driver = start_run("--watchable")
    start_page(*watching(server, "--wait", 60))
    with server.client() as client:
        (run,) = client.smembers(RUNS)
        prefix = f"d4py:{{{run.decode()}}}"
        wait_until(lambda: client.xlen(f"{prefix}:events") > 0, "events")
        entries = client.xrange(f"{prefix}:events"), client.get(f"{prefix}:began")
        assert "Tick0" not in repr(entries)
    other = {"D4PY_KEY": "0123456789abcdef" * 4}
    for more in ((), ("--run", run.decode())):
        refused = invoke("ui", "--redis-url", server.url, *more, env=other)
        assert refused.status == 2
        assert "this is not the key of run" in refused.err
    driver.send_signal(signal.SIGINT)
    driver.wait(30)


def test_a_run_that_keeps_no_events_is_named(start_run, server, folder, invoke):
    driver = start_run()
    refused = invoke("ui", *watching(server, "--wait", 30))
    assert refused.status == 2
    assert "keeps no events on the server: it was started without --watchable" in refused.err
    driver.send_signal(signal.SIGINT)
    driver.wait(30)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "a run is watched with its key"),
        (("--key-file", "run.key"), "cannot be watched from elsewhere"),
    ],
    ids=["no key", "private server"],
)
def test_a_run_that_cannot_be_watched_is_refused(invoke, write, folder, server, more, message):
    write("wf.py")
    env = {} if more else {"REDIS_URL": server.url}
    refused = invoke("hybrid_redis", "wf.py", "--watchable", *more, env=env)
    assert refused.status == 2
    assert message in refused.err


@pytest.mark.slow
def test_the_page_of_a_folder_of_runs_is_that_of_the_latest(
    start, start_page, endless, folder, web_page
):
    driver = start("multi", endless, "-n", 2, "-i", 1_000_000, "--run-dir", "runs")
    wait_until(lambda: [*folder.glob("runs/*/events.jsonl")], "the log")
    wait_until(
        lambda: next(folder.glob("runs/*/events.jsonl")).read_text().count("\n") > 0, "events"
    )
    page, url = start_page("runs")
    follow_in(web_page, url)
    driver.send_signal(signal.SIGINT)
    web_page.locator("#head .outcome", has_text="interrupted").wait_for()
    assert (driver.wait(30), page.wait(30)) == (130, 0)
    assert b"writing --run-dir; another Ctrl-C ends that\n" in driver.stderr.read()


class TestFollowedLog:
    @pytest.fixture
    def log(self, folder):
        """A log that a run is writing; to close it ends the run."""
        with (folder / "run.jsonl").open("a", encoding="utf-8") as file:
            lock_for_writing(file, "run.jsonl", "--log")
            yield file

    def write(self, log, *lines):
        log.writelines(f"{line}\n" for line in lines)
        log.flush()

    def test_events_are_read_until_the_run_has_ended(self, log):
        events = [STARTED, RunEnded(1.0, "done", 1.0)]
        self.write(log, to_json(events[0]))
        with followed_log("run.jsonl", threading.Event(), PageLimits()) as found:
            assert next(found) == events[0]
            self.write(log, to_json(events[1]))
            assert next(found) == events[1]
            log.close()
            assert [*found] == []

    def test_it_ends_when_no_more_is_wanted(self, log):
        self.write(log, to_json(STARTED))
        stopped = threading.Event()
        stopped.set()
        with followed_log("run.jsonl", stopped, PageLimits()) as found:
            assert [*found] == [STARTED]

    def test_the_command_for_a_run_that_is_over_is_named(self, log):
        self.write(log, to_json(STARTED), to_json(RunEnded(1.0, "done", 1.0)))
        log.close()
        with (
            pytest.raises(OptionError, match=r"is over; .*: dispel4py report run\.jsonl$"),
            followed_log("run.jsonl", threading.Event()),
        ):
            pass

    def test_a_line_that_is_no_event_is_an_error(self, log):
        self.write(log, to_json(STARTED), "other")
        with (
            followed_log("run.jsonl", threading.Event()) as found,
            pytest.raises(OptionError, match="the log holds a line that is no event"),
        ):
            list(found)

    @pytest.mark.parametrize(
        ("place", "message"),
        [
            ("gone", "cannot read gone: No such file"),
            (".", "is no folder of a run, or of runs"),
            ("other.jsonl", "is no log of a run"),
        ],
    )
    def test_what_is_no_log_is_refused(self, folder, place, message):
        (folder / "other.jsonl").write_text(json.dumps({"event": "of others"}) + "\n")
        with pytest.raises(OptionError, match=message), followed_log(place, threading.Event()):
            pass
