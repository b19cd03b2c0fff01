"""Standard streams of MPI ranks: all output arrives, and standard input is empty."""

import ast
import os
import select
import shlex
import socket
import subprocess
import sys
import threading

import pytest

pytest.importorskip("mpi4py")

from d4py_conformance.waiting import LIMIT
from d4py_fixed.mpi.launching import supervisor as rank_supervisor
from d4py_fixed.mpi.launching.listener import Hello, connect
from d4py_fixed.mpi.launching.output import OutputForwarder
from d4py_fixed.mpi.launching.supervisor import RankSupervisor
from d4py_fixed.mpi.limits import MpiLimits

WORKFLOW = """
import os, sys
from dispel4py import IterativePE, WorkflowGraph
from fixed_flows import Numbers

class Prints(IterativePE):
    def _process(self, data):
        for _ in range(int(os.environ.get("COUNT", "1"))):
            print("x" * int(os.environ.get("LENGTH", "1")))

class Streams(IterativePE):
    def _process(self, data):
        streams = [os.fstat(number) for number in (1, 2)]
        return [(one.st_dev, one.st_ino) for one in streams]

class Reads(IterativePE):
    def _process(self, data):
        return os.read(0, 100)

class Large(IterativePE):
    def _process(self, data):
        return "y" * 8_000_000

class ReadsFirst(Numbers):
    def _process(self, inputs):
        return super()._process(inputs), os.read(0, 100)

graph = WorkflowGraph()
pes = vars()[os.environ.get("FIRST", "Numbers")](), vars()[os.environ.get("PE", "Prints")]()
graph.connect(pes[0], "output", pes[1], "input")
"""
UNDER = [None, ["-n", 2]]


@pytest.fixture(autouse=True)
def _workflow(write):
    write("wf.py", WORKFLOW)


@pytest.fixture
def remote_mpiexec(mpi, write):
    """An mpiexec that starts each rank but the first on a machine of another name."""
    renamed = ["unshare", "--uts"]
    if subprocess.run([*renamed, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this user may not name machines")
    inner = 'rank=${OMPI_COMM_WORLD_RANK-$PMI_RANK}; [ $rank = 0 ] || hostname elsewhere; exec "$@"'
    command = shlex.join([*mpi.mpiexec, "-n", "2", *renamed, "sh", "-c", inner, ""])
    return "sh " + str(write("remote.sh", f'shift 2; exec {command} "$@"\n'))


class TestOutput:
    def test_a_line_of_8_mb_arrives(self, mpi):
        status, out, err = mpi.end(mpi.start("wf.py", "-q", "-n", 2, LENGTH="8000000"))
        assert status == 0, err
        assert len(out) == len("x" * 8_000_000 + "\nOutputs: {}\n")

    @pytest.mark.skipif(sys.platform != "linux", reason="the launcher forwards what ranks print")
    @pytest.mark.parametrize("size", [2, pytest.param(3, marks=pytest.mark.slow)])
    def test_ranks_print_to_the_streams_of_the_command(self, mpi, size):
        process = mpi.start("wf.py", "-q", "-n", size, PE="Streams")
        expected = [os.fstat(stream.fileno()) for stream in (process.stdout, process.stderr)]
        status, out, err = mpi.end(process)
        assert status == 0, err
        ((streams,),) = ast.literal_eval(out.removeprefix("Outputs: "))["Streams1"].values()
        assert streams == [(one.st_dev, one.st_ino) for one in expected]

    def test_a_full_disk_fails_the_run(self, mpi):
        with open("/dev/full", "w") as full:
            process = mpi.start("wf.py", "-q", "-n", 2, stdout=full)
        status, _, err = mpi.end(process)
        assert status == 1
        assert "No space left on device" in err

    def test_a_full_disk_fails_the_run_of_ranks_on_other_machines(self, mpi, remote_mpiexec):
        with open("/dev/full", "w") as full:
            process = mpi.start(
                "wf.py", "-q", "-n", 2, "--mpiexec", remote_mpiexec, stdout=full, COUNT="9"
            )
        status, _, err = mpi.end(process)
        assert status == 1
        assert "cannot be written to standard output: No space left on device" in err

    def test_what_is_printed_on_other_machines_arrives(self, mpi, remote_mpiexec):
        more = {"COUNT": "20000", "LENGTH": "79"}
        process = mpi.start("wf.py", "-q", "-n", 2, "--mpiexec", remote_mpiexec, **more)
        status, out, err = mpi.end(process)
        assert status == 0, err
        assert out == ("x" * 79 + "\n") * 20_000 + "Outputs: {}\n"

    @pytest.mark.slow
    @pytest.mark.parametrize("pe", ["Prints", "Large"])
    def test_a_long_line_arrives_under_mpiexec(self, mpi, pe):
        process = mpi.start("wf.py", "-q", under=["-n", 2], PE=pe, LENGTH="8000000")
        status, out, err = mpi.end(process)
        assert status == 0, err
        assert max(out.count("x"), out.count("y")) == 8_000_000


class TestInput:
    """Ranks find standard input empty, also where a launcher would never end it."""

    @pytest.mark.parametrize("under", UNDER)
    @pytest.mark.parametrize("given", [subprocess.PIPE, subprocess.DEVNULL])
    def test_it_ends_at_once(self, mpi, under, given):
        process = mpi.start(
            "wf.py", "-q", "-n", 2, under=under, stdin=given, FIRST="ReadsFirst", PE="Reads"
        )
        out, err = process.communicate("a\nb\n" if given == subprocess.PIPE else None, timeout=30)
        assert process.returncode == 0, err
        assert out == "Outputs: {'Reads1': {'output': [b'']}}\n"

    def test_it_ends_at_once_in_a_script(self, mpi, write):
        path = write(
            "script.py",
            """
            from dispel4py import run
            from dispel4py.utils import load_graph
            if __name__ == "__main__":
                outputs = run(load_graph("wf.py"), mapping="mpi").outputs
                if outputs:
                    print(outputs, flush=True)
            """,
        )
        command = [sys.executable, path]
        process = mpi.start_program(
            command, under=["-n", 2], stdin=subprocess.PIPE, FIRST="ReadsFirst", PE="Reads"
        )
        out, err = process.communicate("a\n", timeout=30)
        assert process.returncode == 0, err
        assert out == "{'Reads1': {'output': [b'']}}\n"


class SlowProcesses:
    """`RankProcesses` that end after several times the limit, or at a signal.

    Attributes:
        now: the time, which goes on with each look at whether they have ended.
    """

    def __init__(self):
        self.now, self.stopped, self.prints = 0.0, [], False

    def has_ended(self):
        self.now += END_SECONDS / 10
        return self.now > 6 * END_SECONDS or bool(self.stopped)

    def is_printing(self, seconds):
        return self.prints

    def stop(self, number):
        self.stopped.append(number)

    def kill_descendants(self):
        pass

    def exit_status(self):
        return 0

    def check_output(self):
        pass

    def finish_output(self):
        pass

    def may_kill(self, rank):
        return False


END_SECONDS = 0.2


class TestShutdown:
    """After a good run ranks end once their output was read, and none is killed."""

    @pytest.fixture
    def supervised(self, monkeypatch):
        """A supervisor of one rank: the processes, the rank's channel, and the supervisor."""
        processes = SlowProcesses()
        message = {}
        limits = MpiLimits(end_seconds=END_SECONDS)
        start = lambda given: message.update(given) or processes  # noqa: E731
        supervisor = RankSupervisor(start, limits=limits)
        ((port, key),) = (text.split(":") for text in message.values())
        hello = Hello(0, 1, 1, is_remote=False)
        with connect(("127.0.0.1", int(port)), bytes.fromhex(key), hello) as channel:
            assert supervisor.wait_until_started(LIMIT) == 1
            processes.now = 0.0
            monkeypatch.setattr(rank_supervisor, "monotonic", lambda: processes.now)
            yield processes, channel, supervisor

    def test_a_rank_that_ends_slowly_is_not_killed(self, supervised):
        processes, _, supervisor = supervised
        supervisor.close()
        assert processes.stopped == []

    def test_a_launcher_that_prints_slowly_is_not_killed(self, supervised):
        processes, channel, supervisor = supervised
        processes.prints = True
        channel.shutdown(socket.SHUT_RDWR)
        supervisor.close()
        assert processes.stopped == []

    def test_a_launcher_without_ranks_and_output_is_stopped(self, supervised):
        processes, channel, supervisor = supervised
        channel.shutdown(socket.SHUT_RDWR)
        supervisor.close()
        assert processes.stopped


class TestOutputForwarder:
    LIMITS = MpiLimits(output_idle_seconds=0.05)

    @pytest.fixture
    def pipes(self):
        """A pipe that is forwarded, and one that it is forwarded to: each as (read, write)."""
        numbers = [os.pipe() for _ in range(2)]
        pairs = [(os.fdopen(out, "rb", 0), os.fdopen(into, "wb", 0)) for out, into in numbers]
        yield pairs
        for end in (end for pair in pairs for end in pair):
            end.close()

    def forwarder(self, pipes, to=None):
        (source, _), (_, sink) = pipes
        pipe = os.fdopen(os.dup(source.fileno()), "rb")
        return OutputForwarder(pipe, (to or sink).fileno(), self.LIMITS)

    def read(self, pipe, size):
        got = b""
        while len(got) < size:
            got += pipe.read(size)
        return got

    @pytest.mark.parametrize("blocking", [True, False])
    def test_it_waits_for_a_slow_reader(self, pipes, blocking):
        (_, into), (out, sink) = pipes
        os.set_blocking(sink.fileno(), blocking)
        text = bytes(range(256)) * 1024
        forwarder = self.forwarder(pipes)
        writer = threading.Thread(target=lambda: (into.write(text), into.close()))
        writer.start()
        assert select.select([out], [], [], LIMIT)[0]
        joiner = threading.Thread(target=forwarder.join)
        joiner.start()
        joiner.join(6 * self.LIMITS.output_idle_seconds)
        assert joiner.is_alive()
        assert self.read(out, len(text)) == text
        joiner.join()
        writer.join()
        assert forwarder.error is None

    def test_it_does_not_wait_for_a_process_that_holds_the_pipe_open(self, pipes):
        forwarder = self.forwarder(pipes)
        pipes[0][1].write(b"something")
        assert self.read(pipes[1][0], 9) == b"something"
        forwarder.join()
        assert not forwarder.is_busy(self.LIMITS.output_idle_seconds)

    def test_it_keeps_the_error_of_a_failed_write(self, pipes):
        with open("/dev/full", "w") as full:
            forwarder = self.forwarder(pipes, full)
            pipes[0][1].write(b"something")
            pipes[0][1].close()
            forwarder.join()
        assert "No space left" in str(forwarder.error)

    def test_what_was_printed_is_written_though_its_thread_has_no_turn_yet(
        self, pipes, monkeypatch
    ):
        forward, may_go = OutputForwarder._forward, threading.Event()
        monkeypatch.setattr(
            OutputForwarder, "_forward", lambda self: may_go.wait() and forward(self)
        )
        forwarder = self.forwarder(pipes)
        pipes[0][1].write(b"something")
        joiner = threading.Thread(target=forwarder.join)
        joiner.start()
        joiner.join(6 * self.LIMITS.output_idle_seconds)
        assert joiner.is_alive()
        may_go.set()
        joiner.join()
        assert self.read(pipes[1][0], 9) == b"something"

    def test_a_closed_reader_is_no_error(self, pipes):
        pipes[1][0].close()
        forwarder = self.forwarder(pipes)
        pipes[0][1].write(b"something")
        pipes[0][1].close()
        forwarder.join()
        assert forwarder.error is None
