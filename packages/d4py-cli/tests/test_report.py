"""Reports of runs: what is collected from events, and the page in a real browser."""

import re

import pytest

from d4py_cli.report.advice import advise
from d4py_cli.report.page import make_page
from d4py_cli.report.series import columns
from d4py_cli.report.summary import RunSummary
from dispel4py.errors import OptionError
from dispel4py.events import (
    EdgeDescription,
    Failure,
    InstanceReport,
    Message,
    PEDescription,
    QueueReport,
    RunEnded,
    RunStarted,
    Scaled,
    SlowCall,
    WorkerLost,
    WorkerStarted,
    to_json,
)


def started(*pes, edges=(), processes=3, mapping="multi"):
    """The start of a run of PEs, given by id and number of instances."""
    return RunStarted(
        0.0,
        "2026-11-30T12:00:00+00:00",
        mapping,
        processes,
        tuple(PEDescription(pe, pe[:-1], f"wf.{pe}", n, pe[-1] == "0") for pe, n in pes),
        tuple(EdgeDescription(a, out, b, "input", "shuffle") for a, out, b in edges),
        {pes[0][0]: 100},
        7,
        {"python": "3.11.7"},
        "node1",
        4711,
        ("/usr/bin/dispel4py", mapping, "wf.py"),
    )


def summarize(*events):
    summary = RunSummary()
    for event in events:
        summary.on_event(event)
    return summary


def short_run(scale=1):
    """The events of a run of three PEs on three workers: Slow1 is the bottleneck."""
    yield started(
        ("Read0", 1),
        ("Slow1", 1),
        ("Write2", 1),
        edges=(("Read0", "output", "Slow1"), ("Slow1", "output", "Write2")),
    )
    for worker in range(3):
        yield WorkerStarted(0.1, worker, "node1", 100 + worker)
    for i in range(1, 11):
        time = float(i * scale)
        yield InstanceReport(time, 0, "Read0", 0, 10 * i, {"output": 10 * i}, 0.1 * time)
        yield InstanceReport(time, 1, "Slow1", 0, 5 * i, {"output": 5 * i}, 0.95 * time, {}, i)
        yield InstanceReport(time, 2, "Write2", 0, 5 * i, {}, 0.3 * time)
        yield QueueReport(time, "Slow1", 5 * i)
    yield Failure(
        *(2.0, "Slow1", 0, "process", "ValueError", "ValueError: bad <script>", "{'x': -1}"),
        traceback="Traceback (most recent call last):\nValueError: bad",
        count=10,
    )
    yield SlowCall(3.0, 1, "Slow1", 0, 2.0, 0.75, "{'path': 'a.mseed'}")
    yield Message(4.0, "WARNING", "a warning of the run")
    yield RunEnded(10.0 * scale, "done", 10.0 * scale)


class TestSummary:
    def test_counts_are_summed_over_workers_and_instances(self):
        total = summarize(
            started(("A0", 2)),
            InstanceReport(1.0, 0, "A0", 0, 3, {"x": 4}, 0.5, {}, 1),
            InstanceReport(1.0, 1, "A0", 1, 5, {"x": 1, "y": 2}, 0.25),
            InstanceReport(2.0, 0, "A0", 0, 4, {"x": 6}, 0.75, {}, 1),
        ).totals()["A0"]
        assert (total.instances, total.calls, total.failures) == (2, 9, 1)
        assert total.items_out == {"x": 7, "y": 2}
        assert total.seconds == pytest.approx(1.0)

    def test_a_call_in_progress_counts_as_time_in_calls(self):
        summary = summarize(
            started(("A0", 1)),
            WorkerStarted(0.0, 0),
            InstanceReport(4.0, 0, "A0", 0, 0, {}, 0.0, in_call_since=1.0),
        )
        total = summary.totals()["A0"]
        assert (total.seconds, total.in_progress) == (3.0, 1)
        summary.on_event(InstanceReport(6.0, 0, "A0", 0, 1, {}, 5.0))
        assert summary.totals()["A0"].seconds == 5.0

    def test_busy_time_is_where_the_calls_were(self):
        summary = summarize(
            started(("A0", 1)),
            WorkerStarted(0.0, 0),
            InstanceReport(8.0, 0, "A0", 0, 0),
            InstanceReport(16.0, 0, "A0", 0, 1, {}, 4.0),
            RunEnded(16.0, "done", 16.0),
        )
        cells = columns(summary)["pes"]
        assert min(cells["left"]) == pytest.approx(8.0, abs=summary.busy.width)
        assert sum(summary.busy.rows[0, "A0"]) == pytest.approx(4.0)

    def test_long_runs_take_no_more_memory_than_short_ones(self):
        short, long = summarize(*short_run()), summarize(*short_run(scale=10_000))
        assert len(long.busy) <= long.limits.bins
        assert sum(map(sum, long.busy.rows.values())) == pytest.approx(
            10_000 * sum(map(sum, short.busy.rows.values()))
        )

    def test_queues_of_several_workers_add_up(self):
        total = summarize(
            started(("A0", 1)),
            QueueReport(1.0, "A0", 5, worker=0),
            QueueReport(1.0, "A0", 7, worker=1),
            QueueReport(2.0, "A0", 0, worker=0),
        ).totals()["A0"]
        assert total.longest_queue == 12

    def test_a_queue_is_as_long_as_it_was_until_the_next_report(self):
        summary = summarize(
            started(("A0", 1)),
            *(QueueReport(time, "A0", n) for time, n in ((1.0, 5), (3.0, 0), (4.0, 0))),
        )
        rows = columns(summary)["queues"]
        levels = dict(zip(rows["time"], rows["A0"], strict=True))
        assert {level for time, level in levels.items() if 1.0 <= time < 3.0} == {5}
        assert levels[max(levels)] == 0

    def test_the_slowest_calls_are_kept(self):
        calls = [SlowCall(9.0, 0, "A0", 0, float(i), float(i)) for i in range(100)]
        slowest = summarize(started(("A0", 1)), *calls).slowest()
        assert [call.seconds for call in slowest[:3]] == [99.0, 98.0, 97.0]

    def test_failures_of_a_kind_are_one_entry_with_the_first_item(self):
        kind = ("A0", 0, "process", "ValueError", "bad")
        (failure,) = summarize(
            started(("A0", 1)), Failure(1.0, *kind, "first"), Failure(2.0, *kind, "", count=8)
        ).failures.values()
        assert (failure.item, failure.count) == ("first", 8)


class TestAdvice:
    def test_the_bottleneck_is_named_with_the_processes_that_balance_it(self):
        (text,) = advise(summarize(*short_run()))
        assert text.startswith("Slow1 is the bottleneck: its instance was in calls 95% of the time")
        assert "the next is Write2 with 30%" in text
        # 9.5 s on 4 instances take less than the 3 s of Write2.
        assert "numprocesses = 4, and so 3 more processes (-n)" in text
        assert "about 3.5 s in place of 10 s" in text

    def test_a_root_is_not_given_more_instances(self):
        (text,) = advise(
            summarize(
                started(("A0", 1), ("B1", 1)),
                InstanceReport(10.0, 0, "A0", 0, 10, {}, 9.0),
                InstanceReport(10.0, 1, "B1", 0, 10, {}, 1.0),
            )
        )
        assert "A0 is the bottleneck" in text
        assert "numprocesses" not in text

    @pytest.mark.parametrize(
        ("seconds", "expected"),
        [(9.5, "More processes (-n)"), (1.0, "-n 1 would have been enough")],
    )
    def test_workers_that_share_pes_are_judged_together(self, seconds, expected):
        (text,) = advise(
            summarize(
                started(("A0", 1), ("B1", 0), mapping="dyn_multi"),
                WorkerStarted(0.0, 0),
                WorkerStarted(0.0, 1),
                InstanceReport(10.0, 0, "B1", 0, 10, {}, seconds),
                InstanceReport(10.0, 1, "B1", 0, 10, {}, seconds / 2),
            )
        )
        assert expected in text

    def test_short_calls_are_noted(self):
        texts = advise(
            summarize(started(("A0", 1)), InstanceReport(10.0, 0, "A0", 0, 100_000, {}, 0.5))
        )
        assert "A0 (5 µs)" in texts[-1]

    def test_a_run_without_calls_has_none(self):
        assert advise(summarize(started(("A0", 1)))) == []


class TestPage:
    def test_it_is_whole_without_a_network_and_reports_no_error(self, web_page, write, invoke):
        write("run.jsonl", "".join(to_json(event) + "\n" for event in short_run()))
        done = invoke("report", "run.jsonl")
        assert (done.status, done.err) == (0, "the page is run.html\n")
        web_page.context.set_offline(True)
        requests = []
        web_page.on("request", lambda request: requests.append(request.url))
        web_page.goto(f"file://{write('unused').parent}/run.html")
        web_page.wait_for_function("Bokeh.documents.length && Bokeh.documents[0].is_idle")
        assert [url.partition(":")[0] for url in requests] == ["file"]
        assert web_page.locator("#graph .items").all_text_contents() == ["100", "50"]
        row = web_page.locator("#table tr", has_text="Slow1").inner_text().split("\t")
        assert [cell.strip() for cell in row[1:5]] == ["1", "50", "50", "9.5 s"]
        assert "Slow1 is the bottleneck" in web_page.locator("#advice").inner_text()
        assert web_page.locator("#picture-workers").is_visible()
        assert web_page.locator("#picture-queues").is_visible()
        assert not web_page.locator("#picture-scaling").is_visible()
        assert ": bad <script>" in web_page.locator("#failures").inner_text()
        assert "a.mseed" in web_page.locator("#slow").inner_text()
        assert "3.11.7" in web_page.locator("#environment").inner_text()

    def test_changes_of_workers_are_listed(self):
        page = make_page(
            summarize(
                *list(short_run())[:-1],
                Scaled(5.0, 2, 0, "nothing waits"),
                WorkerLost(6.0, 1, "killed by SIGKILL"),
            )
        )
        assert "2 workers: nothing waits" in page
        assert "worker 1 was lost: killed by SIGKILL" in page

    def test_ten_pes_on_sixteen_workers_for_an_hour_stay_below_two_megabytes(self):
        pes = [(f"Stage{i}", 2) for i in range(10)]
        summary = summarize(started(*pes, processes=16))
        for time in range(5, 3601, 5):
            for worker in range(16):
                for i in range(10):
                    summary.on_event(
                        InstanceReport(
                            float(time), worker, f"Stage{i}", 0, time, {}, 0.01 * time + 0.3 * i
                        )
                    )
        summary.on_event(RunEnded(3600.0, "done", 3600.0))
        assert len(make_page(summary).encode()) < 2_000_000


class TestBadLogs:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "it is empty"),
            ("hello\n", "line 1:"),
            (to_json(RunEnded(1.0, "done", 1.0)) + "\n", "does not start a run"),
            (2 * (to_json(started(("A0", 1))) + "\n"), "a second run"),
        ],
    )
    def test_what_is_no_log_is_refused(self, write, invoke, text, message):
        write("run.jsonl", text)
        done = invoke("report", "run.jsonl")
        assert done.status == 2
        assert "run.jsonl is no log of a run" in done.err
        assert message in done.err

    def test_the_log_of_a_killed_run_makes_a_page(self, write, invoke):
        lines = [to_json(event) for event in short_run()]
        write("run.jsonl", "\n".join(lines[:20]) + "\n" + lines[20][:30])
        assert invoke("report", "run.jsonl", "-o", "page.html").status == 0

    def test_a_missing_log_is_named(self, invoke):
        done = invoke("report", "gone.jsonl")
        assert (done.status, done.out) == (2, "")
        assert "cannot read gone.jsonl: No such file" in done.err


class TestOfAResult:
    GRAPH = """
    from dispel4py import IterativePE, ProducerPE, WorkflowGraph

    class Count(ProducerPE):
        def _process(self, inputs):
            return inputs["n"]

    class Invert(IterativePE):
        def _process(self, data):
            return 1 / data

    graph = WorkflowGraph()
    graph.connect(Count(), "output", Invert(), "input")
    """

    def report(self, write, name="run.html", **options):
        """The page of `RunResult.report`, as text."""
        from dispel4py import run
        from dispel4py.loading import load_module

        graph = load_module(str(write("invert.py", self.GRAPH))).graph(None)
        numbers = [{"n": n} for n in (1, 0, 2)]
        result = run(graph, inputs={"Count0": numbers}, on_error="skip", **options)
        result.report(name)
        with open(name, encoding="utf-8") as file:
            return file.read()

    def test_a_name_of_another_format_is_refused(self, write):
        with pytest.raises(OptionError, match=r"write run\.pdf \(report\): the page is HTML"):
            self.report(write, "run.pdf")

    def test_a_recorded_run_has_its_graph_and_failures(self, write):
        page = self.report(write, record=True)
        assert re.findall(r'class="items"[^>]*>([\d,]+)<', page) == ["3"]
        assert "at item <code>0</code>" in page
        assert "Totals only" not in page

    def test_of_another_it_has_the_totals_and_says_how_to_get_more(self, write):
        page = self.report(write)
        assert "Totals only: run(..., record=True)" in page
        assert re.search(r"Invert1</td>\s*<td[^>]*>1</td>\s*<td[^>]*>3</td>", page)
        assert "ZeroDivisionError" in page


def test_a_page_in_place_of_its_log_is_refused(invoke, write, folder):
    write("wf.py")
    assert invoke("simple", "wf.py", "--log", "run.jsonl").status == 0
    log = (folder / "run.jsonl").rename(folder / "run.html").read_text()
    done = invoke("report", "run.html")
    assert done.status == 2
    assert "the page would replace run.html, the log" in done.err
    assert (folder / "run.html").read_text() == log
