"""What MPI ranks print and read: every byte arrives, whoever stands between; nothing is read."""

import ast
import os
import shlex
import socket
import subprocess
import sys
import threading

import pytest

pytest.importorskip("mpi4py")

from d4py_fixed.mpi import rank_supervisor as mpi_world
from d4py_fixed.mpi.control_channel import Hello, dial
from d4py_fixed.mpi.output import Forwarder
from d4py_fixed.mpi.rank_supervisor import RankSupervisor

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
def apart(mpi, write):
    """An mpiexec by which each rank but the first is on a machine of another name."""
    renamed = ["unshare", "--uts"]
    if subprocess.run([*renamed, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this user may not name machines")
    inner = 'rank=${OMPI_COMM_WORLD_RANK-$PMI_RANK}; [ $rank = 0 ] || hostname elsewhere; exec "$@"'
    command = shlex.join([*mpi.mpiexec, "-n", "2", *renamed, "sh", "-c", inner, ""])
    return "sh " + str(write("apart.sh", f'shift 2; exec {command} "$@"\n'))


class TestOutput:
    def test_a_line_of_8_mb_arrives(self, mpi):
        status, out, err = mpi.end(mpi.start("wf.py", "-q", "-n", 2, LENGTH="8000000"))
        assert status == 0, err
        assert len(out) == len("x" * 8_000_000 + "\nOutputs: {}\n")

    @pytest.mark.skipif(sys.platform != "linux", reason="the launcher forwards what ranks print")
    @pytest.mark.parametrize("size", [2, 3])
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

    def test_so_does_one_for_ranks_on_other_machines(self, mpi, apart):
        with open("/dev/full", "w") as full:
            process = mpi.start("wf.py", "-q", "-n", 2, "--mpiexec", apart, stdout=full, COUNT="9")
        status, _, err = mpi.end(process)
        assert status == 1
        assert "cannot be written to standard output: No space left on device" in err

    def test_what_is_printed_on_other_machines_arrives(self, mpi, apart):
        more = {"COUNT": "20000", "LENGTH": "79"}
        process = mpi.start("wf.py", "-q", "-n", 2, "--mpiexec", apart, **more)
        status, out, err = mpi.end(process)
        assert status == 0, err
        assert out == ("x" * 79 + "\n") * 20_000 + "Outputs: {}\n"

    @pytest.mark.slow
    @pytest.mark.parametrize("pe", ["Prints", "Large"])
    def test_under_mpiexec_a_long_line_is_waited_for(self, mpi, pe):
        process = mpi.start("wf.py", "-q", under=["-n", 2], PE=pe, LENGTH="8000000")
        status, out, err = mpi.end(process, 60.0)
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


class Slow:
    """Processes that end when they are released."""

    def __init__(self):
        self.released, self.stopped, self.prints = threading.Event(), [], False

    def is_over(self):
        return self.released.is_set() or bool(self.stopped)

    def is_printing(self, seconds):
        return self.prints

    def stop(self, number):
        self.stopped.append(number)

    def end_left(self):
        pass

    def status(self):
        return 0

    def check_output(self):
        pass

    def see_off(self):
        pass

    def is_ours(self, rank):
        return False


class TestTheEnd:
    """After a good run ranks end when what they have printed was read, and none is killed."""

    @pytest.fixture
    def world(self, monkeypatch):
        """A world of one rank: its processes, the rank's line, and the world."""
        monkeypatch.setattr(mpi_world, "_END_SECONDS", 0.2)
        processes = Slow()
        message = {}
        world = RankSupervisor(lambda given: message.update(given) or processes)
        ((port, key),) = (text.split(":") for text in message.values())
        line = dial(("127.0.0.1", int(port)), bytes.fromhex(key), Hello(0, 1, 1, is_wide=False))
        assert world.size() == 1
        yield processes, line, world
        line.close()

    def end(self, processes, world):
        """End the world; whatever is slow is released only after several times its limit."""
        threading.Timer(1.0, processes.released.set).start()
        world.close()

    def test_a_rank_that_has_not_ended_is_waited_for(self, world):
        processes, _, world = world
        self.end(processes, world)
        assert processes.stopped == []

    def test_so_is_a_launcher_that_has_something_to_print(self, world):
        processes, line, world = world
        processes.prints = True
        line.shutdown(socket.SHUT_RDWR)
        self.end(processes, world)
        assert processes.stopped == []

    def test_one_that_has_nothing_to_do_is_ended(self, world):
        processes, line, world = world
        line.shutdown(socket.SHUT_RDWR)
        self.end(processes, world)
        assert processes.stopped


class TestForwarder:
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
        return Forwarder(os.fdopen(os.dup(source.fileno()), "rb"), (to or sink).fileno())

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
        joiner = threading.Thread(target=forwarder.join)
        joiner.start()
        joiner.join(1.0)
        assert joiner.is_alive()
        assert self.read(out, len(text)) == text
        joiner.join()
        writer.join()
        assert forwarder.error is None

    def test_it_does_not_wait_for_one_that_holds_the_pipe_open(self, pipes):
        forwarder = self.forwarder(pipes)
        pipes[0][1].write(b"something")
        assert self.read(pipes[1][0], 9) == b"something"
        forwarder.join()
        assert not forwarder.is_busy(0.1)

    def test_it_keeps_why_nothing_can_be_written(self, pipes):
        with open("/dev/full", "w") as full:
            forwarder = self.forwarder(pipes, full)
            pipes[0][1].write(b"something")
            pipes[0][1].close()
            forwarder.join()
        assert "No space left" in str(forwarder.error)

    def test_nobody_to_read_is_no_error(self, pipes):
        pipes[1][0].close()
        forwarder = self.forwarder(pipes)
        pipes[0][1].write(b"something")
        pipes[0][1].close()
        forwarder.join()
        assert forwarder.error is None
