"""What a real run leaves beside its results: `--report`, `--trace`, `--ui`."""

import json
import os
import re
import resource
import select
import signal
import subprocess
import sys

import pytest

from d4py_cli.records import guarded_record
from d4py_cli.runs.run_folder import RunFolder
from d4py_conformance.waiting import LIMIT
from dispel4py.events import RunEnded
from dispel4py.observing.observer_queue import ObserverQueue

FAILING = """
from dispel4py import IterativePE, ProducerPE, WorkflowGraph

class Count(ProducerPE):
    total = 0
    stateful = True
    def _process(self, inputs):
        self.total += 1
        return self.total

class Invert(IterativePE):
    def _process(self, data):
        return 1 / (data - 3)

graph = WorkflowGraph()
graph.connect(Count(), "output", Invert(), "input")
"""

LARGE_RESULT = """
from dispel4py import ProducerPE, WorkflowGraph

class Large(ProducerPE):
    def _process(self, inputs):
        return bytes(200_000)

graph = WorkflowGraph()
graph.add(Large())
"""


def text_of(page):
    """The text of a page, without its script."""
    page = re.sub(r"<(script|style)>.*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def test_no_record_has_the_password_of_a_url(dispel4py, write, folder):
    write("wf.py")
    url = "redis://me:sesame@db.example.org/0?sentinel_password=mellon"
    records = ["--report", "page.html", "--log", "log.jsonl", "--trace", "trace.json"]
    folders = ["--run-dir", "runs", "--provenance", "crate"]
    done = dispel4py("simple", "wf.py", *records, *folders, "--", "--redis-url", url)
    assert done.status == 0, done.err
    written = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    shown = [path for path in written if b"redis://me:***@db.example.org" in path.read_bytes()]
    assert {path.name for path in shown} >= {"log.jsonl", "page.html", "run.json"}
    for path in written:
        assert not re.search(b"sesame|mellon", path.read_bytes()), path


class TestReport:
    @pytest.mark.parametrize("mapping", ["multi", "dyn_multi", "hybrid_redis"])
    def test_it_has_the_items_of_each_mapping(self, dispel4py, write, folder, mapping):
        write("wf.py")
        done = dispel4py(mapping, "wf.py", "-i", 7, "-n", 3, "--report", "run.html", timeout=100)
        assert done.status == 0, done.err
        page = (folder / "run.html").read_text(encoding="utf-8")
        assert re.findall(r'class="items"[^>]*>([\d,]+)<', page) == ["7"]
        assert re.search(r"Square1 \d+ 7 7 ", text_of(page))
        assert f"mapping {mapping} " in text_of(page)

    def test_a_run_that_failed_has_one_with_item_and_traceback(self, invoke, write, folder):
        write("wf.py", FAILING)
        done = invoke("simple", "wf.py", "-i", 5, "--report", "run.html")
        assert done.status == 1
        text = text_of((folder / "run.html").read_text(encoding="utf-8"))
        assert text.startswith("dispel4py") or "failed time" in text
        assert "1 × ZeroDivisionError in Invert1, process: division by zero" in text
        assert "at item 3" in text
        assert "return 1 / (data - 3)" in text

    def test_a_refused_run_leaves_the_old_one(self, invoke, write, folder):
        write("wf.py")
        write("run.html", "yesterday's")
        done = invoke("simple", "wf.py", "-d", '{"Nobody": 3}', "--report", "run.html")
        assert done.status == 2
        assert (folder / "run.html").read_text() == "yesterday's"
        assert sorted(path.name for path in folder.iterdir()) == ["run.html", "wf.py"]

    @pytest.mark.parametrize(
        ("target", "reason"),
        [
            ("gone/run.html", "there is no such folder"),
            (".", "it is a directory"),
            ("run.pdf", "the page is HTML"),
        ],
    )
    def test_a_file_that_cannot_be_written_is_refused(self, invoke, write, target, reason):
        write("wf.py")
        done = invoke("simple", "wf.py", "--report", target)
        assert done.status == 2
        assert f"cannot write {target} (--report): {reason}" in done.err

    def test_without_the_library_the_pip_line_is_shown(self, dispel4py, write, folder):
        write("wf.py")
        write(
            "hidden/sitecustomize.py",
            """
            import importlib.util
            find = importlib.util.find_spec
            importlib.util.find_spec = lambda name, *more: (
                None if name == "bokeh" else find(name, *more)
            )
            """,
        )
        done = dispel4py(
            *("simple", "wf.py", "--report", "run.html"),
            env=dict(os.environ, PYTHONPATH=str(folder / "hidden")),
        )
        assert done.status == 2
        assert "--report needs bokeh" in done.err
        assert "pip install 'd4py-cli[report]'" in done.err

    def test_the_revision_of_the_workflow_is_named(self, invoke, write, folder):
        write("wf.py")
        git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
        for arguments in (["init", "-q"], ["add", "wf.py"], ["commit", "-q", "-m", "first"]):
            subprocess.run([*git, *arguments], check=True, timeout=30)
        revision = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, encoding="utf-8", check=True
        ).stdout.strip()
        records = "--report", "run.html", "--log", "run.jsonl"
        assert invoke("simple", "wf.py", *records).status == 0
        text = text_of((folder / "run.html").read_text(encoding="utf-8"))
        assert f"Git revision {revision};" in text
        with (folder / "wf.py").open("a") as file:
            file.write("# changed\n")
        assert invoke("simple", "wf.py", "--report", "run.html").status == 0
        text = text_of((folder / "run.html").read_text(encoding="utf-8"))
        assert f"Git revision {revision}, with changes that are not committed;" in text
        # The page of a log is about the files as they were when it was written.
        assert invoke("report", "run.jsonl", "-o", "again.html").status == 0
        text = text_of((folder / "again.html").read_text(encoding="utf-8"))
        assert f"Git revision {revision};" in text


class TestFullDisk:
    @pytest.fixture
    def disk(self):
        """Files of this process cannot grow beyond 700 bytes."""
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (700, before[1]))
        yield
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    @pytest.mark.parametrize(
        ("option", "target", "left"),
        [
            ("--log", "run.jsonl", ["run.jsonl"]),
            ("--trace", "run.json", ["run.json"]),
            ("--report", "run.html", []),
            ("--run-dir", "runs", ["runs"]),
            ("--provenance", "crate", ["crate"]),
        ],
    )
    def test_the_results_survive_and_what_is_missing_is_named(
        self, invoke, write, folder, disk, option, target, left
    ):
        write("wf.py")
        done = invoke("simple", "wf.py", "-i", 3, option, target)
        assert done.status == 1
        assert done.out == "Outputs: {'Square1': {'output': [1, 4, 9]}}\n"
        assert re.search(rf"cannot write .*{target}.*: File too large \({option}\)", done.err)
        assert "something that was to be written about it is not" in done.err
        assert "Traceback" not in done.err
        assert sorted(path.name for path in folder.iterdir()) == [*left, "wf.py"]
        assert not [*(folder / "crate").glob("*")]  # whole, or not there

    @pytest.mark.parametrize(("name", "limit"), [("stats.json", 100), ("results.pkl", 100_000)])
    def test_the_file_of_a_folder_that_cannot_be_written_is_named(
        self, invoke, write, folder, disk, monkeypatch, name, limit
    ):
        write_folder = RunFolder.write

        def write_to_a_full_disk(record):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            write_folder(record)

        monkeypatch.setattr(RunFolder, "write", write_to_a_full_disk)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        write("wf.py", LARGE_RESULT)
        done = invoke("simple", "wf.py", "-q", "--run-dir", "runs", "--log", "run.log")
        assert done.status == 1
        (path,) = (folder / "runs").iterdir()
        written = path.relative_to(folder) / name
        assert f"cannot write {written}: File too large (--run-dir)" in done.err
        assert "Traceback" not in done.err
        assert not (path / name).exists()

    def test_the_file_of_times_that_cannot_be_written_is_named(self, invoke, write, disk):
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        write("wf.py")
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
        done = invoke("timed_simple", "wf.py", "-i", 3, "--run-id", "r1")
        assert done.status == 1
        assert re.search(
            r"cannot write timings/monitor_shape_runr1\.json: File too large \(--timing-dir\)",
            done.err,
        )

    def test_results_that_cannot_be_written_are_an_error(self, invoke, write, disk):
        write("wf.py")
        done = invoke("simple", "wf.py", "-i", 1000, "--output", "out.pkl")
        assert done.status == 1
        assert "cannot write results to out.pkl" in done.err
        assert "Traceback" not in done.err


def test_a_log_whose_reader_has_enough_is_no_error(write, folder):
    write("wf.py")
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "dispel4py", "simple", "wf.py", "-q", "-i", "3", "--log", "-"]
    done = subprocess.run(
        command, cwd=folder, stdout=writing, stderr=subprocess.PIPE, timeout=LIMIT, check=False
    )
    os.close(writing)
    assert done.stderr == b""


def test_a_record_that_did_not_get_all_events_is_an_error(invoke, write, monkeypatch):
    write("wf.py")
    take = ObserverQueue._take

    def take_all_but_the_end(queue):
        return [event for event in take(queue) if not isinstance(event, RunEnded)]

    monkeypatch.setattr(ObserverQueue, "_take", take_all_but_the_end)
    monkeypatch.setattr(guarded_record, "_SILENT_SECONDS", 0.1)
    monkeypatch.setattr(guarded_record, "_STUCK_SECONDS", 0.1)
    done = invoke("simple", "wf.py", "-i", 3, "-q", "--log", "run.jsonl")
    assert done.status == 1
    assert done.out == "Outputs: {'Square1': {'output': [1, 4, 9]}}\n"
    assert "the run ended before all of its events had been taken (--log)" in done.err
    assert "something that was to be written about it is not" in done.err


def test_a_trace_of_a_real_run_has_its_workers_and_calls(dispel4py, write, folder):
    write("wf.py")
    done = dispel4py("multi", "wf.py", "-i", 50, "-n", 3, "--trace", "run.json")
    assert done.status == 0, done.err
    events = json.loads((folder / "run.json").read_text(encoding="utf-8"))["traceEvents"]
    workers = [event for event in events if event["ph"] == "X" and event["tid"] == 0]
    assert {event["name"] for event in workers} == {"done", "worker 0", "worker 1", "worker 2"}
    calls = [event["args"]["calls"] for event in events if event["name"] == "Square1"]
    assert sum(calls) == 50


def test_the_live_page_shows_a_run_that_goes_on_and_ends_with_it(start, endless, web_page):
    process = start("multi", endless, "-n", "2", "-i", "1000000", "--ui")
    url, printed = None, b""
    while url is None:
        assert select.select([process.stderr], [], [], 60)[0], printed
        printed += process.stderr.read1(10_000)
        url = re.search(rb"live page: (http://127\.0\.0\.1:\d+/\?token=\S+)\n", printed)
    web_page.goto(url[1].decode())
    calls = web_page.locator("#table tr", has_text="Tick0").locator("td").nth(2)
    first = int(calls.inner_text().replace(",", ""))
    web_page.wait_for_function(
        "first => +document.querySelector('#table tbody td:nth-child(3)')"
        ".innerText.replaceAll(',', '') > first",
        arg=first,
    )
    process.send_signal(signal.SIGINT)
    assert process.wait(LIMIT) == 130
    web_page.locator("#head .outcome", has_text="interrupted").wait_for()


class TestFolder:
    """Names on the command line are relative to the folder in which it was typed."""

    EVERYTHING = (
        *("--output", "out.jsonl", "--report", "run.html", "--trace", "run.json"),
        *("--run-dir", "runs", "--provenance", "crate"),
    )
    LEFT = ("crate", "elsewhere", "out.jsonl", "run.html", "run.json", "runs", "wf.py")

    @pytest.fixture
    def elsewhere(self, folder):
        (folder / "elsewhere").mkdir()
        return folder / "elsewhere"

    @pytest.mark.parametrize("text", ["MOVING_PE", "MOVING_WORKFLOW"])
    def test_a_pe_or_a_workflow_that_changes_to_another_changes_nothing_of_that(
        self, invoke, write, folder, elsewhere, text
    ):
        write("wf.py", globals()[text])
        done = invoke("simple", "wf.py", *self.EVERYTHING)
        assert done.status == 0, done.err
        assert [*elsewhere.iterdir()] == []
        assert sorted(path.name for path in folder.iterdir()) == sorted(self.LEFT)
        assert json.loads((folder / "out.jsonl").read_text())["data"] == str(elsewhere)
        (run,) = (folder / "runs").iterdir()
        assert json.loads((run / "run.json").read_text())["state"] == "done"
        assert (folder / "crate" / "out.jsonl").exists()

    def test_a_run_without_results_leaves_a_file_of_the_same_name_elsewhere(
        self, invoke, write, folder, elsewhere
    ):
        write("wf.py", MOVING_PE.replace("return os.getcwd()", "raise ValueError"))
        write("elsewhere/out.jsonl", "yesterday's")
        assert invoke("simple", "wf.py", "--output", "out.jsonl").status == 1
        assert (elsewhere / "out.jsonl").read_text() == "yesterday's"
        assert not (folder / "out.jsonl").exists()

    def test_a_picture_of_a_workflow_that_changes_to_another_is_where_it_was_asked_for(
        self, invoke, write, folder, elsewhere
    ):
        write("wf.py", MOVING_WORKFLOW)
        assert invoke("draw", "wf.py", "-o", "wf.dot").status == 0
        assert (folder / "wf.dot").exists()


MOVING_PE = """
import os
from dispel4py import ProducerPE, WorkflowGraph

class Moves(ProducerPE):
    def _process(self, inputs):
        os.chdir("elsewhere")
        return os.getcwd()

graph = WorkflowGraph()
graph.add(Moves())
"""

MOVING_WORKFLOW = """
import os
from dispel4py import ProducerPE, WorkflowGraph

os.chdir("elsewhere")

class Here(ProducerPE):
    def _process(self, inputs):
        return os.getcwd()

graph = WorkflowGraph()
graph.add(Here())
"""


@pytest.mark.parametrize("option", ["--run-dir", "--provenance"])
def test_results_that_were_printed_one_by_one_are_not_said_to_be_none(
    invoke, write, folder, option
):
    write("wf.py")
    done = invoke("simple", "wf.py", "-i", 2, "--output", "-", option, "kept")
    assert done.status == 0, done.err
    assert done.out.count('"data"') == 2
    assert not [*(folder / "kept").rglob("results.pkl")]
    for about in (folder / "kept").rglob("run.json"):
        assert json.loads(about.read_text())["output"] == "-"


def test_a_report_shows_names_of_files_that_are_no_unicode(dispel4py, write, folder):
    write("wf.py", FAILING.replace("return 1 / (data - 3)", UNREADABLE))
    done = dispel4py(*("simple", "wf.py", "-i", 5, "--on-error", "skip", "--report", "run.html"))
    assert done.status == 0, done.err
    page = text_of((folder / "run.html").read_text(encoding="utf-8"))
    assert r"1 × ValueError in Invert1, process: caf\udce9.csv" in page


UNREADABLE = r"""
        if data == 3:
            raise ValueError("caf\udce9.csv")  # as os.listdir() gives it
        return data
"""


def test_a_link_in_place_of_a_report_stays_one(invoke, write, folder):
    write("wf.py")
    os.symlink("real.html", folder / "link.html")
    assert invoke("simple", "wf.py", "--report", "link.html").status == 0
    assert os.path.islink(folder / "link.html")
    assert (folder / "real.html").stat().st_size
