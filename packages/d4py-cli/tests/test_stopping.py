"""However a run is stopped from outside: soon, with a status that says so, and without noise."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from d4py_conformance.waiting import LIMIT, wait_until

MAPPINGS = ["simple", "hybrid_redis"]


def wait_for_line(path, process):
    """Wait until the run has begun to give results."""

    def has_begun():
        assert process.poll() is None, process.stderr.read().decode()
        return path.exists() and path.stat().st_size

    wait_until(has_begun, f"a line in {path.name}")


@pytest.mark.parametrize("mapping", MAPPINGS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_c4_a_signal_stops_the_run(start, endless, folder, mapping, number):
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("it is ignored here, as under nohup, and so it should be by what is started")
    process = start(mapping, endless, "-i", 1_000_000, "--output", "out.jsonl")
    wait_for_line(folder / "out.jsonl", process)
    process.send_signal(number)
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    assert out == b""
    assert err.decode().splitlines()[-1] == "dispel4py: interrupted"
    assert b"Traceback" not in err


#: Sends Ctrl-C as a module is looked for; Python imports this file as it starts.
SITE = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["INTERRUPTED_AT"]:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
"""


@pytest.mark.parametrize("module", ["d4py_cli.main", "dispel4py", "dispel4py.registry"])
def test_ctrl_c_ends_the_command_silently_while_it_is_imported(start, write, folder, module):
    write("sitecustomize.py", SITE)
    process = start(
        "simple",
        "pipeline_test",
        env={**os.environ, "PYTHONPATH": str(folder), "INTERRUPTED_AT": module},
    )
    out, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, out, err) == (130, b"", b"")


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_ctrl_c_reaches_the_whole_group_and_nothing_is_left(start, endless, folder, mapping):
    process = start(
        mapping, endless, "-i", 1_000_000, "--output", "out.jsonl", start_new_session=True
    )
    wait_for_line(folder / "out.jsonl", process)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    assert b"Traceback" not in err
    with pytest.raises(ProcessLookupError):  # the group has no member any more
        os.killpg(process.pid, 0)


def ignore_ctrl_c():
    """Do as a shell without job control does for a command that ends with ``&``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_c4_sigterm_stops_a_command_that_a_script_has_started_in_the_background(
    start, endless, folder, mapping
):
    process = start(
        mapping, endless, "-i", 1_000_000, "--output", "out.jsonl", preexec_fn=ignore_ctrl_c
    )
    wait_for_line(folder / "out.jsonl", process)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    assert err.decode().splitlines()[-1] == "dispel4py: interrupted"
    assert b"Traceback" not in err


def test_a_second_signal_does_not_cut_the_cleaning_up_short(start, write, folder):
    write(
        "wf.py",
        """
        import pathlib, time
        from d4py_cli import signals
        from dispel4py import ProducerPE, WorkflowGraph
        signals.GRACE = 3600  # however slow the machine is
        class Slow(ProducerPE):
            def _process(self, inputs):
                try:
                    pathlib.Path("running").write_text("x")
                    time.sleep(3600)
                finally:
                    pathlib.Path("cleaning").write_text("x")
                    while not pathlib.Path("signalled").exists():
                        time.sleep(0.01)
                    pathlib.Path("cleaned").touch()
        graph = WorkflowGraph()
        graph.add(Slow())
        """,
    )
    process = start("simple", "wf.py")
    wait_for_line(folder / "running", process)
    process.send_signal(signal.SIGINT)
    wait_for_line(folder / "cleaning", process)
    process.send_signal(signal.SIGINT)
    (folder / "signalled").touch()
    assert process.wait(LIMIT) == 130
    assert (folder / "cleaned").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_c4_a_third_signal_ends_a_pe_that_catches_every_exception(start, write, folder, number):
    write(
        "wf.py",
        """
        import pathlib, subprocess, time
        from d4py_cli import signals
        from dispel4py import IterativePE, ProducerPE, WorkflowGraph
        signals.GRACE = 0
        class Once(ProducerPE):
            def _process(self, inputs):
                return 1
        class Stubborn(IterativePE):
            def _process(self, item):
                subprocess.Popen(["sleep", "3600"])
                count = 0
                while True:
                    try:
                        while True:  # no signal comes outside: each waits for the count
                            pathlib.Path("caught").write_text(str(count))
                            time.sleep(0.01)
                    except:
                        count += 1
        graph = WorkflowGraph()
        graph.connect(Once(), "output", Stubborn(), "input")
        """,
    )
    process = start("simple", "wf.py", start_new_session=True)
    caught = folder / "caught"
    for count in range(3):
        wait_for_line(caught, process)
        wait_until(lambda n=count: caught.read_text() == str(n), f"signal {count}")
        process.send_signal(number)
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    assert err.decode().splitlines() == [
        "dispel4py: the call of a PE goes on; if it catches every exception (except:), another"
        " Ctrl-C ends the command at once",
        "dispel4py: interrupted, in a call of a PE that catches every exception",
    ]

    def is_group_gone():
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    wait_until(is_group_gone, "the end of what the PE has started")


def test_a_workflow_can_be_interrupted_while_it_is_imported(start, write, folder):
    # Closed by name: what is raised while a file is closed by its finalizer is ignored.
    begin = "import pathlib, time\npathlib.Path('running').write_text('x')\n"
    write("wf.py", begin + "time.sleep(3600)")
    process = start("simple", "wf.py")
    wait_for_line(folder / "running", process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=LIMIT) == 130


TALKING_ON = """
from dispel4py import IterativePE, ProducerPE, WorkflowGraph
class Count(ProducerPE):
    def _process(self, inputs):
        return "x" * 100
class Show(IterativePE):
    def _process(self, data):
        print(data)
        return data
graph = WorkflowGraph()
graph.connect(Count(), "output", Show(), "input")
"""


@pytest.mark.parametrize("options", [["--output", "-"], []])
def test_a_reader_that_has_had_enough_is_no_error(start, endless, write, options):
    write("talk.py", TALKING_ON)
    workflow = endless if options else "talk.py"
    process = start("simple", workflow, "-i", 10_000_000, "-q", *options)
    head = subprocess.run(
        ["head", "-n", "1"], stdin=process.stdout, capture_output=True, timeout=LIMIT, check=True
    )
    process.stdout.close()
    process.stdout = None
    assert process.wait(timeout=LIMIT) == 1
    assert head.stdout.count(b"\n") == 1
    assert process.stderr.read() == b""


@pytest.mark.parametrize("mapping", MAPPINGS)
@pytest.mark.parametrize("option", ["--output", "--failures"])
def test_results_that_a_file_lacks_as_a_reader_has_had_enough_are_an_error(
    start, write, mapping, option
):
    write("talk.py", TALKING_ON)
    on_error = ["--on-error", "stop"]
    process = start(mapping, "talk.py", "-i", 10_000_000, "-q", *on_error, option, "out.jsonl")
    assert process.stdout.readline() == b"x" * 100 + b"\n"
    process.stdout.close()
    process.stdout = None
    assert process.wait(timeout=LIMIT) == 1
    assert process.stderr.read().decode() == (
        "dispel4py: error: the run has ended early: a PE printed to standard output, which its"
        " reader has closed; 'out.jsonl' has only what came before; to run to the end, write what"
        " PEs print to a file, too: > FILE\n"
    )


def test_a_reader_that_wants_only_the_beginning_of_the_results_is_no_error(start, write):
    write("wf.py")
    process = start("simple", "wf.py", "-i", 100_000, "-q")
    assert process.stdout.read(8) == b"Outputs:"
    process.stdout.close()
    process.stdout = None
    assert process.wait(timeout=LIMIT) == 0
    assert process.stderr.read() == b""


@pytest.mark.parametrize("target", ["/dev/full", "-"])
def test_a_full_disk_is_reported(start, write, target):
    write("wf.py")
    with open("/dev/full", "w") as full:
        process = start("simple", "wf.py", "--output", target, "-q", stdout=full)
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 1
    name = "standard output" if target == "-" else target
    message = f"dispel4py: error: cannot write results to {name}: No space left on device\n"
    assert err.decode() == message


@pytest.mark.parametrize("target", [None, "out.csv"])
def test_messages_that_cannot_be_written_cost_no_results(start, write, folder, target):
    write("wf.py")
    options = [] if target is None else ["--output", target]
    with open("/dev/full", "w") as full:
        process = start("simple", "wf.py", "-i", 2, *options, stderr=full)
    out, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 0
    if target is None:
        assert out == b"Outputs: {'Square1': {'output': [1, 4]}}\n"
    else:
        assert (folder / target).read_text().count("\n") == 3


TALKING = """
    import time
    from dispel4py import IterativePE, ProducerPE, WorkflowGraph
    class Count(ProducerPE):
        total = 0
        def _process(self, inputs):
            self.total += 1
            return self.total
    class Show(IterativePE):
        def _process(self, data):
            print("item", data, "x" * 5000)
            return data
    graph = WorkflowGraph()
    graph.connect(Count(), "output", Show(), "input")
"""


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_a_disk_that_is_full_when_pes_print_is_reported(start, write, folder, mapping):
    write("wf.py", TALKING)
    with open("/dev/full", "w") as full:
        process = start(mapping, "wf.py", "--output", "out.jsonl", "-q", stdout=full)
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 1
    last = err.decode().splitlines()[-1]
    assert last.startswith("dispel4py: error: ")
    assert last.endswith("No space left on device")


@pytest.mark.parametrize("mapping", ["multi", "hybrid_redis"])
def test_workers_that_print_to_a_reader_that_has_had_enough_are_no_error(start, write, mapping):
    write("wf.py", TALKING)
    process = start(mapping, "wf.py", "-i", 10_000_000, "-n", 3, "-q")
    assert process.stdout.read(4) == b"item"
    process.stdout.close()
    process.stdout = None
    assert process.wait(timeout=LIMIT) == 1
    assert process.stderr.read() == b""


@pytest.mark.parametrize("mapping", ["simple", "multi"])
def test_lines_and_results_are_whole_in_a_pipe_that_is_read_slowly(start, write, mapping):
    """Also if it was set not to block, as some programs do with what they start others with."""
    write("wf.py", TALKING)
    reader, writer = os.pipe()
    os.set_blocking(writer, mapping == "simple")  # as Python itself writes there
    options = ["-i", 200, "-n", 4, "-q", "--output", "-"]
    process = start(mapping, "wf.py", *options, stdout=writer, stderr=writer)
    os.close(writer)
    with open(reader, encoding="utf-8") as pipe:
        time.sleep(0.5)
        assert process.poll() is None
        lines = sorted(pipe.read().splitlines())
    assert process.wait(timeout=LIMIT) == 0
    assert sorted(line for line in lines if line[0] != "{") == sorted(
        f"item {n} {'x' * 5000}" for n in range(1, 201)
    )
    assert sum(line.startswith('{"pe": "Show1"') and line[-1] == "}" for line in lines) == 200


def test_a_full_disk_under_stdout_is_reported(start, write):
    write("wf.py")
    with open("/dev/full", "w") as full:
        process = start("simple", "wf.py", "-q", stdout=full)
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 1
    assert err.startswith(b"dispel4py: error: cannot write results to standard output: No space")


def test_processes_that_a_pe_forks_are_ended_by_sigterm_at_any_time(start, write):
    """As a pool ends its processes, which may be just starting; it waits for them for ever."""
    write(
        "wf.py",
        """
        import multiprocessing, time
        from dispel4py import ProducerPE, WorkflowGraph
        class Forks(ProducerPE):
            def _process(self, inputs):
                fork = multiprocessing.get_context("fork")
                children = [fork.Process(target=time.sleep, args=(3600,)) for _ in range(40)]
                for number, child in enumerate(children):
                    child.start()
                    time.sleep(number * 0.0001)
                    child.terminate()
                for child in children:
                    child.join(60)
                return {child.exitcode for child in children}
        graph = WorkflowGraph()
        graph.add(Forks())
        """,
    )
    process = start("simple", "wf.py", "-q")
    out, err = process.communicate(timeout=LIMIT)
    assert "{-15}" in out.decode()
    assert err.decode() == ""


#: Where Python swallows what a signal handler raises.
SWALLOWING = {
    "as a fork begins": "os.register_at_fork(before=interrupt)",
    "as a fork ends": "os.register_at_fork(after_in_parent=interrupt)",
    "as an object is taken apart": "weakref.finalize(fork, interrupt)",
    "while another exception is": "weakref.finalize(fork, between)",
}


def output_of(script):
    """Return what a script prints to standard output, and its other lines."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    return done.stdout, done.stderr


@pytest.mark.parametrize("where", SWALLOWING)
@pytest.mark.parametrize("is_registered", ["before", "after"])
def test_a_signal_whose_interrupt_is_swallowed_is_not_lost(where, is_registered):
    registered = {"before": "", "after": "", is_registered: SWALLOWING[where]}
    script = f"""
        import os, signal, sys, time, weakref
        def interrupt():
            if not sent:
                sent.append(True)
                os.kill(os.getpid(), signal.SIGTERM)
        def between():
            class Fails:
                def __del__(self):
                    raise ValueError
            held = Fails()
            try:
                interrupt()
            finally:
                del held
        def fork():
            if os.fork() == 0:
                os._exit(0)
        sent = []
        sys.unraisablehook = lambda swallowed: print(swallowed.exc_type.__name__)
        {registered["before"]}
        from d4py_cli.signals import signals_as_interrupts
        {registered["after"]}
        try:
            with signals_as_interrupts():
                fork()
                del fork
                time.sleep(3600)
                print("not interrupted")
        except KeyboardInterrupt:
            print("interrupted")
    """
    others = "ValueError\n" if "another" in where else ""
    assert output_of(script) == (f"{others}interrupted\n", "")


@pytest.mark.parametrize("first", ["d4py", "logging"])
def test_a_signal_that_another_thread_gets_during_a_fork_skips_no_hook(first):
    """The hooks of d4py restore the mask of signals, and those of `logging` release a lock."""
    imports = ["import logging", "import d4py_cli.signals"]
    hooks = """
        # These are no Python code, so that a handler runs in the first hook after them.
        os.register_at_fork(after_in_parent=may_send.release)
        os.register_at_fork(after_in_parent=is_sent.acquire)
    """
    before, after = (imports[:1], imports[1:]) if first == "d4py" else ([], imports)
    script = f"""
        import os, signal, threading, time
        def send():
            may_send.acquire()
            os.kill(os.getpid(), signal.SIGTERM)
            is_sent.release()
        may_send, is_sent, waits = (threading.Lock() for _ in range(3))
        for lock in may_send, is_sent, waits:
            lock.acquire()
        {"; ".join(before)}
        {textwrap.indent(textwrap.dedent(hooks), " " * 8).strip()}
        {"; ".join(after)}
        for target in send, waits.acquire:  # signals go to the second one
            threading.Thread(target=target, daemon=True).start()
        try:
            with d4py_cli.signals.signals_as_interrupts():
                if os.fork() == 0:
                    os._exit(0)
                print(*signal.pthread_sigmask(signal.SIG_BLOCK, ()))
                time.sleep(3600)
        except KeyboardInterrupt:
            print("interrupted")
        logs = threading.Thread(target=logging.error, args=("logged",))
        logs.start()
        logs.join()
    """
    assert output_of(script) == ("\ninterrupted\n", "ERROR:root:logged\n")


def test_ctrl_c_that_is_swallowed_again_and_again_counts_once():
    script = """
        import os, signal, time, weakref
        from dispel4py import ProducerPE, WorkflowGraph, run
        from d4py_cli import signals
        def interrupt():
            os.kill(os.getpid(), signal.SIGINT)
        class Swallows(ProducerPE):
            def _process(self, inputs):
                for _ in range(5):
                    weakref.finalize(lambda: None, interrupt)
                time.sleep(3600)
        signals.GRACE = 3600.0
        graph = WorkflowGraph()
        graph.add(Swallows())
        try:
            with signals.signals_as_interrupts():
                run(graph)
        except KeyboardInterrupt:
            print("interrupted")
    """
    assert output_of(script) == ("interrupted\n", "")


def test_contexts_may_be_nested_and_a_hook_that_is_set_inside_stays():
    script = """
        import os, signal, sys, time
        from d4py_cli.signals import signals_as_interrupts
        def mine(swallowed):
            print(swallowed.exc_type.__name__)
        class Interrupts:
            def __del__(self):
                os.kill(os.getpid(), signal.SIGTERM)
        try:
            with signals_as_interrupts():
                with signals_as_interrupts():
                    pass
                Interrupts()
                time.sleep(3600)
        except KeyboardInterrupt:
            print("interrupted")
        with signals_as_interrupts():
            sys.unraisablehook = mine
        print(sys.unraisablehook is mine)
    """
    assert output_of(script) == ("interrupted\nTrue\n", "")


@pytest.mark.parametrize("how", ["a signal", "an error"])
def test_c4_what_a_pe_of_simple_has_started_ends_with_the_command(start, write, folder, how):
    write(
        "wf.py",
        f"""
        import subprocess, time
        from dispel4py import ProducerPE, WorkflowGraph
        class Starts(ProducerPE):
            def _process(self, inputs):
                started = [
                    subprocess.Popen(["sleep", "3600"], start_new_session=own).pid
                    for own in (False, True)
                ]
                with open("part", "w") as file:
                    print(*started, file=file)
                import os
                os.rename("part", "pids")
                if {how == "an error"}:
                    raise ValueError("with all that still running")
                time.sleep(3600)
        graph = WorkflowGraph()
        graph.add(Starts())
        """,
    )
    process = start("simple", "wf.py")
    wait_for_line(folder / "pids", process) if how == "a signal" else process.wait(LIMIT)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=LIMIT)
    for pid in (folder / "pids").read_text().split():
        assert not os.path.exists(f"/proc/{pid}/fd/1"), "it still runs"


#: A workflow whose PE leaves a thread, which another mapping than `simple` would end with a worker.
LEAVES_THREAD = """
import atexit, pathlib, sys, threading, time
from dispel4py import IterativePE, ProducerPE, WorkflowGraph

atexit.register(pathlib.Path("ended").touch)

class Once(ProducerPE):
    def _process(self, inputs):
        return 1

class Leaves(IterativePE):
    def _process(self, item):
        threading.Thread(target=time.sleep, args=(3600,)).start()
        print("running", flush=True)
        {then}

graph = WorkflowGraph()
graph.connect(Once(), "output", Leaves(), "input")
"""


@pytest.mark.parametrize("mapping", ["simple", "threads"])
def test_c4_a_thread_that_a_pe_has_left_ends_with_a_run_that_is_stopped(
    start, write, folder, mapping
):
    write("wf.py", LEAVES_THREAD.format(then="time.sleep(3600)"))
    process = start(mapping, "wf.py")
    assert process.stdout.readline() == b"running\n"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    assert err.decode().splitlines()[-1] == "dispel4py: interrupted"
    assert (folder / "ended").exists()


@pytest.mark.parametrize("mapping", ["simple", "threads"])
def test_c4_a_thread_that_a_pe_has_left_ends_with_a_run_that_fails(start, write, folder, mapping):
    write("wf.py", LEAVES_THREAD.format(then="raise ValueError('on purpose')"))
    process = start(mapping, "wf.py")
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 1
    assert err.decode().splitlines()[-1].endswith("ValueError: on purpose")
    assert (folder / "ended").exists()


def test_c4_an_exit_handler_that_waits_for_a_call_does_not_keep_the_command(start, write):
    # As the end of a library may do whose call goes on in a thread.
    text = LEAVES_THREAD.format(then="held.acquire()")
    held = "held = threading.Lock()\nheld.acquire()\natexit.register(held.acquire)\n"
    write("wf.py", text.replace("atexit.register", f"{held}atexit.register", 1))
    process = start("threads", "wf.py")
    assert process.stdout.readline() == b"running\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=LIMIT)
    assert process.returncode == 130
