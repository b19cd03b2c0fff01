"""Lines that several processes print to one place arrive whole, at once, and all of them."""

import os
import socket
import subprocess
import sys
import textwrap
import time

import pytest

BEGIN = """
import contextlib, io, logging, os, sys
from dispel4py.standard_streams.output import flush_standard_streams, write_line, write_whole_lines
"""
#: Lines of all lengths, by four processes, on both streams.
MANY = """
write_whole_lines()
children = [os.fork() for _ in range(2)]
for number in range(60):
    length = (7, 79, 5000, 100_000)[number % 4]
    print("A", number, "x" * length, "Z", file=(sys.stdout, sys.stderr)[number // 4 % 2])
own = children[children.index(0) + 1:] if 0 in children else children
for child in filter(None, own):
    os.waitpid(child, 0)
if 0 in children:
    os._exit(0)
"""


def started(script, **settings):
    """Start a script, with standard output as Python has it by default."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    env |= settings.pop("more_environment", {})
    return subprocess.Popen(
        [sys.executable, "-c", BEGIN + textwrap.dedent(script)], env=env, **settings
    )


def printed(script, **settings):
    """What a script prints to a pipe; it has to end well."""
    process = started(script, stdout=subprocess.PIPE, **settings)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    return out.decode()


def assert_whole(text):
    """All lines of `MANY` are there, and whole."""
    expected = [
        f"A {number} {'x' * (7, 79, 5000, 100_000)[number % 4]} Z" for number in range(60)
    ] * 4
    assert sorted(text.splitlines()) == sorted(expected)


@pytest.mark.parametrize("unbuffered", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["", "unbuffered"])
def test_lines_are_whole_in_a_pipe(unbuffered):
    assert_whole(printed(MANY, stderr=subprocess.STDOUT, more_environment=unbuffered))


def test_lines_are_whole_in_a_pipe_that_is_read_slowly_and_does_not_block():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    process = started(MANY, stdout=writer, stderr=writer)
    os.close(writer)
    with open(reader, encoding="utf-8") as pipe:
        time.sleep(0.2)
        assert process.poll() is None
        assert_whole(pipe.read())
    assert process.wait(timeout=30) == 0


def test_lines_are_whole_in_a_socket():
    ours, theirs = socket.socketpair()
    process = started(MANY, stdout=theirs, stderr=theirs)
    theirs.close()
    with ours, ours.makefile(encoding="utf-8") as file:
        assert_whole(file.read())
    assert process.wait(timeout=30) == 0


@pytest.mark.parametrize("mode", ["w", "a"])
def test_lines_are_whole_in_a_file(tmp_path, mode):
    with open(tmp_path / "out", mode) as file:
        assert started(MANY, stdout=file, stderr=file).wait(timeout=30) == 0
    assert_whole((tmp_path / "out").read_text())


def test_lines_are_whole_on_a_terminal():
    outer, inner = os.openpty()
    process = started(MANY, stdout=inner, stderr=inner)
    os.close(inner)
    found = b""
    try:
        while data := os.read(outer, 65536):
            found += data
    except OSError:  # all have closed it
        pass
    os.close(outer)
    assert_whole(found.decode())
    assert process.wait(timeout=30) == 0


def test_a_line_is_written_though_the_process_ends_at_once():
    script = """
        write_whole_lines()
        print("first", 1)
        print("second")
        print("no end", end="")
        os._exit(0)
    """
    assert printed(script) == "first 1\nsecond\n"


def test_what_has_no_end_of_line_waits_for_it_or_for_a_flush():
    script = """
        write_whole_lines()
        def note(what):
            os.write(1, f"<{what}>".encode())
        print("a\\nb", end=""); note(1)
        print("c"); note(2)
        print("d", end="", flush=True); note(3)
        print("50 %\\r", end=""); note(4)
        sys.stdout.buffer.write(b"by"); note(5)
        sys.stdout.buffer.write(memoryview(b"tes\\n")); note(6)
        print("last", end="")
    """
    expected = "a\n<1>bc\n<2>d<3>50 %\r<4><5>bytes\n<6>last"
    assert printed(script) == expected


def test_lines_may_leave_together_and_are_whole_all_the_same():
    script = """
        write_whole_lines(at_once=False)
        for number in range(3000):
            print("a line of", number)
            if number % 1000 == 0:
                os.write(1, b"between\\n")
        print("no end", end="", flush=True)
        os.write(1, b"\\n")
        write_whole_lines()
        print("at once")
        os._exit(0)
    """
    expected = [f"a line of {number}" for number in range(3000)]
    expected += ["between"] * 3 + ["no end", "at once"]
    assert sorted(printed(script).splitlines()) == sorted(expected)


def test_holders_of_the_streams_go_on_with_them():
    script = """
        held, buffer = sys.stdout, sys.stdout.buffer
        handler = logging.StreamHandler(sys.stdout)
        write_whole_lines()
        write_whole_lines()
        # Without Python's lock another object stands before it.
        assert held is getattr(sys.stdout, "_stream", sys.stdout)
        assert (held.name, held.mode, held.encoding, held.errors) == (
            "<stdout>", "w", "utf-8", "surrogateescape"
        ), (held.name, held.mode, held.encoding, held.errors)
        assert held.fileno() == held.buffer.fileno() == 1
        handler.emit(logging.makeLogRecord({"msg": "logged"}))
        buffer.write(b"by the old buffer\\n")
        assert flush_standard_streams() == []
        os._exit(0)
    """
    settings = {"PYTHONIOENCODING": "utf-8:surrogateescape"}
    assert printed(script, more_environment=settings) == "logged\nby the old buffer\n"


def test_streams_of_others_go_on(tmp_path):
    script = f"""
        text = io.StringIO()
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(None):
            write_whole_lines()
            print("into memory")
            assert flush_standard_streams() == []
        assert text.getvalue() == "into memory\\n"
        file = open({str(tmp_path / "log")!r}, "w")
        with contextlib.redirect_stdout(file):
            write_whole_lines()
            print("into a file")
            os._exit(0)
    """
    assert printed(script) == ""
    assert (tmp_path / "log").read_text() == "into a file\n"


def test_streams_of_a_class_of_their_own_get_whole_lines():
    script = """
        class Notes:
            def write(self, text):
                os.write(1, f"<{text}>".encode())
            def flush(self):
                os.write(1, b"!")
        notes = Notes()
        notes.shown = "as before"
        with contextlib.redirect_stdout(notes):
            write_whole_lines()
            write_whole_lines()
            print("a", 1)
            print("b\\nc", end="")
            sys.stdout.flush()
            print("d")
            assert sys.stdout.shown == "as before"
            os._exit(0)
    """
    assert printed(script) == "<a 1\n><b\n><c>!<d\n>"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_is_an_error_of_the_print():
    script = """
        write_whole_lines()
        try:
            print("a line")
        except OSError as error:
            print(error.strerror, file=sys.stderr)
        print("no end", end="")
        print(*flush_standard_streams(), file=sys.stderr)
        os._exit(0)
    """
    with open("/dev/full", "w") as full:
        process = started(script, stdout=full, stderr=subprocess.PIPE)
        _, err = process.communicate(timeout=30)
    assert err.decode().splitlines() == [
        "No space left on device",
        "cannot write printed data to <stdout>: No space left on device",
    ]


def test_a_line_of_the_caller_s_own_is_whole_too():
    script = """
        parent = os.getpid()
        os.fork()
        if os.getpid() != parent:
            write_whole_lines()
        for number in range(20):
            if os.getpid() == parent:
                write_line(sys.stdout, "x" * 100_000)
            else:
                print("y" * 100_000)
        if os.getpid() == parent:
            os.wait()
    """
    lines = printed(script).splitlines()
    assert sorted(lines) == ["x" * 100_000] * 20 + ["y" * 100_000] * 20
