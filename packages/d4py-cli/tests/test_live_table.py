"""On a terminal a table shows how far each PE is, and what is printed stays whole."""

import json
import os
import pickle
import re
import signal
import termios
import threading
import time

import pytest

from d4py_cli.console.live_reporter import LiveReporter
from d4py_cli.observing.taken_events import TakenEvents
from d4py_conformance.waiting import LIMIT
from dispel4py.events import QueueReport, RunEnded

TALKING = """
import multiprocessing, os, sys, time
from dispel4py import IterativePE, ProducerPE, WorkflowGraph

class Tick(ProducerPE):
    total = 0
    def _process(self, inputs):
        time.sleep(0.01)
        self.total += 1
        if self.total % 10 == 0:
            print("printed", self.total)
            self.log(f"logged {self.total}")
            if os.fork() == 0:
                os.write(1, b"from another process %d\\n" % self.total)
                os._exit(0)
            os.wait()
        return self.total

class Pass(IterativePE):
    def _process(self, data):
        if data == 80 and "fail" in sys.argv:
            raise ValueError("eighty")
        return data

graph = WorkflowGraph()
graph.connect(Tick(), "output", Pass(), "input")
"""


class Screen:
    """As much of a terminal as the table needs: lines, and going up and clearing from there."""

    def __init__(self):
        self.lines = [""]
        self.tables = 0
        self.erased = []

    def feed(self, text):
        row = len(self.lines) - 1
        for part in re.findall(r"\x1b\[[\d;]*[A-Za-z]|\r?\n|\r|[^\x1b\r\n]+", text):
            if part.endswith("\n"):
                row += 1
                if row == len(self.lines):
                    self.lines.append("")
            elif found := re.fullmatch(r"\x1b\[(\d+)A", part):
                row -= int(found[1])
                assert row >= 0
            elif part == "\x1b[J":
                self.erased += self.lines[row:]
                del self.lines[row + 1 :]
                self.lines[row] = ""
                self.tables += 1
            elif part[0] not in "\x1b\r":
                self.lines[row] += part


def on_a_terminal(start, *arguments, stdout_too=True, stop_at=None, width=80, **environment):
    """Run a command on a pseudo-terminal of 24 lines; returns status, screen and plain stdout.

    With `stop_at` it gets a SIGINT as soon as that text was shown.
    """
    outer, inner = os.openpty()
    termios.tcsetwinsize(inner, (24, width))
    env = {"PATH": os.environ["PATH"], "TERM": "xterm", "LANG": "C.UTF-8"} | environment
    settings = {"stdout": inner} if stdout_too else {}
    process = start(*arguments, stderr=inner, env=env, **settings)
    os.close(inner)
    shown = []

    def read():
        while True:
            try:
                data = os.read(outer, 65536)
            except OSError:
                return
            if not data:
                return
            shown.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    while stop_at is not None and stop_at not in b"".join(shown):
        time.sleep(0.02)
    if stop_at is not None:
        process.send_signal(signal.SIGINT)
    out = "" if stdout_too else process.stdout.read().decode()
    status = process.wait(LIMIT)
    reader.join(LIMIT)
    os.close(outer)
    screen = Screen()
    screen.feed(b"".join(shown).decode())
    return status, screen, out


def table_rows(screen):
    # The line below the table may end with "99% done".
    is_row = re.compile(r"(?<!% )(done|failed|stopped) *$").search
    return [line.split() for line in screen.lines if is_row(line)]


def test_the_table_is_drawn_anew_and_left_at_the_end(start, write):
    write("wf.py", TALKING)
    status, screen, _ = on_a_terminal(start, "simple", "wf.py", "-i", 100)
    assert status == 0
    assert screen.tables > 2
    assert [(row[0], row[2], row[-1]) for row in table_rows(screen)] == [
        ("Tick0", "100", "done"),
        ("Pass1", "100", "done"),
    ]
    assert sum("items/s" in line for line in screen.lines) == 1
    assert screen.lines[-3].startswith("ELAPSED TIME: ") or any(
        line.startswith("ELAPSED TIME: ") for line in screen.lines
    )


def test_what_any_process_prints_stays_whole_and_in_order(start, write):
    write("wf.py", TALKING)
    _, screen, _ = on_a_terminal(start, "simple", "wf.py", "-i", 100)
    printed = [line for line in screen.lines if re.match("printed|Tick0 .rank|from another", line)]
    expected = []
    for number in range(10, 101, 10):
        expected += [f"printed {number}", f"Tick0 (rank 0): logged {number}"]
        expected += [f"from another process {number}"]
    assert printed == expected


def test_the_table_waits_for_the_rest_of_a_line(start, write):
    write(
        "wf.py",
        """
        import os, time
        from dispel4py import ProducerPE, WorkflowGraph
        class Tick(ProducerPE):
            def _process(self, inputs):
                time.sleep(0.3)
                os.write(1, b"a line that ")
                time.sleep(0.3)  # in which a table is due
                os.write(1, b"comes in parts\\n")
                return 1
        graph = WorkflowGraph()
        graph.add(Tick())
        """,
    )
    status, screen, _ = on_a_terminal(start, "multi", "wf.py", "-i", 3)
    assert status == 0
    assert screen.tables > 1
    assert screen.lines.count("a line that comes in parts") == 3


def test_results_go_to_stdout_alone(start, write):
    write("wf.py", TALKING)
    _, screen, out = on_a_terminal(start, "simple", "wf.py", "-i", 5, stdout_too=False)
    assert out == "Outputs: {'Pass1': {'output': [1, 2, 3, 4, 5]}}\n"
    assert table_rows(screen)
    assert not any("Outputs" in line for line in screen.lines)


def test_the_pe_that_failed_is_marked(start, write):
    write("wf.py", TALKING)
    status, screen, _ = on_a_terminal(start, "simple", "wf.py", "-i", 100, "--", "fail")
    assert status == 1
    assert [(row[0], row[-1]) for row in table_rows(screen)] == [
        ("Tick0", "stopped"),
        ("Pass1", "failed"),
    ]
    assert "ValueError: eighty" in screen.lines
    assert any(line.startswith("dispel4py: error: Pass1 (instance 0)") for line in screen.lines)


@pytest.mark.parametrize("mapping", ["simple", "hybrid_redis"])
def test_an_interrupted_run_leaves_its_table_and_shows_its_results(start, endless, mapping):
    # After 60 inputs the results are longer than a line.
    status, screen, _ = on_a_terminal(start, mapping, endless, "-i", 3000, stop_at=b"2% done")
    assert status == 130
    assert [(row[0], row[-1]) for row in table_rows(screen)] == [
        ("Tick0", "stopped"),
        ("Pass1", "stopped"),
    ]
    assert any("of 3,000 inputs, interrupted" in line for line in screen.lines)
    *_, outputs, shortened, message, _ = screen.lines
    assert outputs.startswith("Outputs so far: {'Pass1': {'output': [1, 1")
    assert shortened.endswith("; --output FILE and --run-dir DIR keep all of a run that ends early")
    assert message == "dispel4py: interrupted"


MANY = """
from dispel4py import ProducerPE, WorkflowGraph

class Many(ProducerPE):
    def _process(self, inputs):
        if not inputs:
            raise ValueError("no more")
        for number in range(inputs["count"]):
            self.write("output", number)
        self.write("output", [0] * inputs["length"])

graph = WorkflowGraph()
graph.add(Many())
"""


class TestResultsOfARunThatFails:
    """A terminal shows the first of many: all would take minutes, and hide everything else."""

    @pytest.fixture
    def run(self, start, write):
        def run(count, length, *options, **how):
            write("wf.py", MANY)
            inputs = json.dumps({"Many0": [{"count": count, "length": length}, {}]})
            job = "simple", "wf.py", "-q", "-d", inputs, *options
            status, screen, out = on_a_terminal(start, *job, **how)
            assert status == 1
            return screen.lines if how.get("stdout_too", True) else out.splitlines()

        return run

    @pytest.mark.parametrize(
        ("options", "where"),
        [
            ([], "--output FILE and --run-dir DIR keep all of a run that ends early"),
            (["--run-dir", "runs"], "all of them are in the folder of the run (--run-dir)"),
        ],
    )
    def test_the_first_of_many_are_shown(self, run, folder, options, where):
        lines = run(100_000, 1, *options)
        first = ", ".join(map(str, range(20)))
        assert f"Outputs so far: {{'Many0': {{'output': [{first}, … 99,981 more]}}}}" in lines
        assert f"that is shortened, of 100,001 results; {where}" in lines
        if options:
            (file,) = folder.glob("runs/*/results.pkl")
            assert pickle.loads(file.read_bytes())["Many0"]["output"][-2] == 99_999

    def test_a_long_one_is_shortened(self, run):
        lines = run(0, 100_000)
        zeros = ", ".join("0" * 8)
        assert f"Outputs so far: {{'Many0': {{'output': [[{zeros}, ...]]}}}}" in lines
        assert any(line.startswith("that is shortened; ") for line in lines)

    def test_a_few_short_ones_are_shown_whole(self, run):
        lines = run(2, 9)
        zeros = ", ".join("0" * 9)
        assert f"Outputs so far: {{'Many0': {{'output': [0, 1, [{zeros}]]}}}}" in lines
        assert not any("shortened" in line for line in lines)

    def test_a_file_or_pipe_gets_all(self, run):
        (line,) = run(1000, 1, stdout_too=False)
        numbers = ", ".join(map(str, range(1000)))
        assert line == f"Outputs so far: {{'Many0': {{'output': [{numbers}, [0]]}}}}"


SLOW = """
import time
from dispel4py import IterativePE, ProducerPE, WorkflowGraph

class Tick(ProducerPE):
    def _process(self, inputs):
        return 1

class Thinks(IterativePE):
    def _process(self, data):
        time.sleep(1.5)
        return data

graph = WorkflowGraph()
graph.connect(Tick(), "output", Thinks(), "input")
"""


def test_a_pe_in_a_long_call_is_busy(start, write):
    write("wf.py", SLOW)
    status, screen, _ = on_a_terminal(start, "multi", "wf.py", "-i", 2)
    assert status == 0
    states = {line.split()[-1] for line in screen.erased if line.startswith(" Thinks1")}
    assert "busy" in states
    assert table_rows(screen)[1][-1] == "done"


@pytest.mark.parametrize("width", [60, 42])
def test_a_narrow_terminal_gets_fewer_columns_and_whole_numbers(start, write, width):
    write("wf.py", TALKING.replace("time.sleep(0.01)", "time.sleep(0.001)"))
    status, screen, _ = on_a_terminal(start, "simple", "wf.py", "-i", 1234, width=width)
    assert status == 0
    rows = table_rows(screen)
    assert [(row[0], row[-1]) for row in rows] == [("Tick0", "done"), ("Pass1", "done")]
    assert all("1,234" in row for row in rows)
    assert all(len(line) <= width for line in screen.lines if line.startswith((" PE", " Tick0")))
    header = next(line.split() for line in screen.lines if line.split()[:1] == ["PE"])
    assert ("instances" in header) == (width == 60)


@pytest.mark.parametrize("how", [{"options": ["-q"]}, {"TERM": "dumb"}])
def test_quiet_and_dumb_terminals_get_no_table(start, write, how):
    write("wf.py", TALKING)
    options = how.pop("options", [])
    status, screen, _ = on_a_terminal(start, "simple", "wf.py", "-i", 30, *options, **how)
    assert status == 0
    assert screen.tables == 0
    said = any(line.startswith("Tick0: 30 items, ") for line in screen.lines)
    assert said != bool(options)


def test_a_graph_higher_than_the_terminal_is_cut_while_it_runs(start, write):
    write(
        "wf.py",
        """
        import time
        from dispel4py import IterativePE, ProducerPE, WorkflowGraph
        class Tick(ProducerPE):
            def _process(self, inputs):
                time.sleep(0.05)
                return 1
        class Pass(IterativePE):
            def _process(self, data):
                return data
        graph, pes = WorkflowGraph(), [Tick(), *(Pass() for _ in range(50))]
        for before, after in zip(pes, pes[1:]):
            graph.connect(before, "output", after, "input")
        """,
    )
    status, screen, _ = on_a_terminal(start, "simple", "wf.py", "-i", 20)
    assert status == 0
    assert screen.tables > 1
    assert len(table_rows(screen)) == 51
    assert sum("items/s" in line for line in screen.lines) == 1


def test_the_table_is_left_when_it_has_the_last_event_of_the_run(monkeypatch):
    """On a busy machine that is some time after the run."""
    done, is_awaited = [], threading.Event()

    class Shown:
        def send(self, event):
            done.append(type(event))

        def __exit__(self, *error):
            done.append("left")

    wait_for_all = TakenEvents.wait_for_all

    def wait(self, seconds):
        is_awaited.set()
        wait_for_all(self, LIMIT)

    monkeypatch.setattr(TakenEvents, "wait_for_all", wait)
    reporter = LiveReporter()
    reporter._terminal = Shown()
    reporter.on_event(QueueReport(0.0, None, 1))

    def end():
        is_awaited.wait(LIMIT)
        reporter.on_event(RunEnded(1.0, "done", 1.0))

    thread = threading.Thread(target=end)
    thread.start()
    reporter._leave_table()
    thread.join()
    assert done == [QueueReport, RunEnded, "left"]


def test_the_workers_of_hybrid_redis_are_counted_together(start):
    status, screen, _ = on_a_terminal(start, "hybrid_redis", "pipeline_test", "-i", 20, "-n", 4)
    assert status == 0
    assert [row[2] for row in table_rows(screen)] == ["20"] * 6


@pytest.mark.parametrize("mapping", ["multi", "dyn_multi", "hybrid_redis"])
def test_workers_are_started_as_they_are_without_a_terminal(start, dispel4py, write, mapping):
    """A thread that shows the table would keep them from being forked, which is quickest."""
    write(
        "wf.py",
        """
        import multiprocessing
        from dispel4py import IterativePE, ProducerPE, WorkflowGraph
        class Tick(ProducerPE):
            def _process(self, inputs):
                return type(multiprocessing.current_process()).__name__
        class Pass(IterativePE):
            def _process(self, data):
                return data, type(multiprocessing.current_process()).__name__
        graph = WorkflowGraph()
        graph.connect(Tick(), "output", Pass(), "input")
        """,
    )
    job = (mapping, "wf.py", "-n", 2)
    status, screen, out = on_a_terminal(start, *job, stdout_too=False)
    assert status == 0
    assert table_rows(screen)
    assert out == dispel4py(*job, "-q").out


def test_a_child_that_a_pe_waits_for_is_not_ours(start, write):
    write(
        "wf.py",
        """
        import os
        from dispel4py import ProducerPE, WorkflowGraph
        class Waits(ProducerPE):
            def _process(self, inputs):
                try:
                    return os.wait()
                except ChildProcessError:
                    return "no child"
        graph = WorkflowGraph()
        graph.add(Waits())
        """,
    )
    status, _, out = on_a_terminal(start, "simple", "wf.py", stdout_too=False)
    assert (status, out) == (0, "Outputs: {'Waits0': {'output': ['no child']}}\n")


def test_nothing_is_left_that_copies_to_the_terminal_when_the_command_is_killed(
    start, write, tmp_path
):
    write(
        "wf.py",
        """
        import os
        from dispel4py import ProducerPE, WorkflowGraph
        class Kills(ProducerPE):
            def _process(self, inputs):
                os.kill(os.getpid(), 9)
        graph = WorkflowGraph()
        graph.add(Kills())
        """,
    )
    outer, inner = os.openpty()
    process = start("simple", "wf.py", stderr=inner, env={**os.environ, "TERM": "xterm"})
    os.close(inner)
    try:
        assert process.wait(LIMIT) == -signal.SIGKILL
        with pytest.raises(OSError, match="Input/output error"):  # nobody has the other end open
            b"".join(iter(lambda: os.read(outer, 1 << 16), b""))
    finally:
        os.close(outer)
