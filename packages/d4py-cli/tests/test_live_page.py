"""The live page: a process of its own, opened in a real browser while events come."""

import signal
import threading
import urllib.error
import urllib.request

import pytest

from d4py_cli.ui.limits import PageLimits
from d4py_cli.ui.live_page import LivePage
from dispel4py.events import (
    EdgeDescription,
    InstanceReport,
    PEDescription,
    RunEnded,
    RunStarted,
    WorkerStarted,
)


def started():
    pes = [
        PEDescription(f"{name}{i}", name, f"wf.{name}", 1, i == 0) for i, name in enumerate("AB")
    ]
    edge = EdgeDescription("A0", "output", "B1", "input", "shuffle")
    return RunStarted(0.0, "2026-11-30T12:00:00+00:00", "multi", 2, tuple(pes), (edge,), {"A0": 9})


@pytest.fixture
def live_page(capfd):
    with LivePage(limits=PageLimits(end_seconds=60)) as page:
        yield page
    assert page._process.returncode == 0


def status_of(request):
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_the_page_follows_the_run_to_its_end(live_page, web_page):
    live_page.on_event(started())
    live_page.on_event(WorkerStarted(0.1, 0, "node1", 100))
    live_page.on_event(InstanceReport(1.0, 0, "A0", 0, 5, {"output": 5}, 0.5))
    web_page.goto(live_page.url)
    calls = web_page.locator("#table tr", has_text="A0").locator("td").nth(2)
    calls.get_by_text("5", exact=True).wait_for()
    items = web_page.locator("#graph .items")
    live_page.on_event(WorkerStarted(1.1, 1, "node1", 101))
    live_page.on_event(InstanceReport(2.0, 0, "A0", 0, 1234, {"output": 1234}, 1.0))
    calls.get_by_text("1,234", exact=True).wait_for()
    assert items.text_content() == "1,234"
    rows = "Bokeh.documents[0].get_model_by_name('workers rows').factors"
    web_page.wait_for_function(f"{rows}.length == 2")
    live_page.on_event(RunEnded(3.0, "done", 3.0))
    live_page.__exit__(None, None, None)
    web_page.locator("#head .outcome", has_text="done").wait_for()
    assert web_page.evaluate("Bokeh.documents[0].get_model_by_name('seconds').end") == 3


def test_a_request_without_the_token_gets_no_answer(live_page):
    live_page.on_event(started())
    address, _, token = live_page.url.partition("?token=")
    assert status_of(live_page.url) == 200
    assert status_of(address) == 403
    other = "y" if token[0] == "x" else "x"
    assert status_of(f"{address}updates?token={other}{token[1:]}") == 403
    # A page elsewhere whose name leads to this host cannot read it either.
    assert status_of(urllib.request.Request(live_page.url, headers={"Host": "evil.org"})) == 400


def test_a_server_that_is_gone_does_not_disturb_the_run(capfd):
    with LivePage() as page:
        page._process.kill()
        page._process.wait()
        for _ in range(3):
            page.on_event(started())


def test_a_server_that_stands_still_does_not_hold_up_the_end_of_the_run(capfd):
    with LivePage(limits=PageLimits(end_seconds=0.1)) as page:
        page._process.send_signal(signal.SIGSTOP)
        writer = threading.Thread(target=lambda: [page.on_event(started()) for _ in range(1000)])
        writer.start()  # and waits, when the pipe is full
    writer.join(60)
    assert not writer.is_alive()


def test_a_port_in_use_is_refused(capfd):
    from dispel4py.errors import OptionError

    with LivePage() as page:
        port = int(page.url.rpartition(":")[2].partition("/")[0])
        with pytest.raises(OptionError, match=f"port {port} cannot be used"):
            LivePage(port)
