"""Standard input of a worker process is empty, and the first PE that reads it is logged."""

import subprocess
import sys
import textwrap

import pytest

BEGIN = """
import os, subprocess, sys
from dispel4py import ProducerPE
from dispel4py.standard_streams.input import empty_standard_input

class Reads(ProducerPE):
    def _process(self, inputs):
        return eval(inputs)
"""
WARNING = "Reads reads standard input, which is empty in worker processes"


def ended(script, **settings):
    settings.setdefault("input", "a\nb\n")
    return subprocess.run(
        [sys.executable, "-c", BEGIN + textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        **settings,
    )


@pytest.mark.parametrize(
    "how",
    [
        "sys.stdin.read()",
        "[*sys.stdin]",
        "sys.stdin.readline()",
        "sys.stdin.buffer.read()",
        "[*__import__('fileinput').input(['-'])]",
    ],
)
def test_i11_a_read_gives_nothing_and_a_warning(how):
    done = ended(f"empty_standard_input(); print(not Reads()._process({how!r}))")
    assert done.stdout == "True\n"
    assert done.stderr.startswith(WARNING)


def test_i11_input_raises_and_there_is_one_warning():
    script = """
        empty_standard_input()
        for _ in range(2):
            try:
                Reads()._process("input()")
            except EOFError:
                print("end of file")
    """
    done = ended(script)
    assert done.stdout == "end of file\n" * 2
    assert done.stderr.count("\n") == 1


def test_i11_input_of_a_notebook_is_replaced():
    script = """
        import builtins
        builtins.input = lambda prompt="": "asked the browser"
        empty_standard_input()
        try:
            Reads()._process("input('name? ')")
        except EOFError:
            print("end of file")
    """
    done = ended(script)
    assert done.stdout == "name? end of file\n"
    assert done.stderr.startswith(WARNING)


def test_i11_programs_that_are_started_read_nothing_either():
    script = "empty_standard_input(); print(subprocess.check_output(['cat']), os.read(0, 9))"
    done = ended(script)
    assert (done.stdout, done.stderr) == ("b'' b''\n", "")


def test_i11_a_descriptor_that_is_no_standard_input_is_left_alone():
    script = """
        print(sys.stdin, open(os.devnull).fileno())
        reader, writer = os.pipe()
        empty_standard_input()
        os.write(writer, b"x")
        print(os.read(reader, 1), Reads()._process("sys.stdin.read()"))
    """
    done = ended(script, input=None, preexec_fn=lambda: __import__("os").close(0))
    assert done.stdout == "None 0\nb'x' \n"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_one_of_several_processes_takes_what_can_be_taken_once(method, tmp_path):
    (tmp_path / "main.py").write_text(
        textwrap.dedent(
            f"""
            import os
            from multiprocessing import get_context
            from dispel4py.processes.workers.one_time_claim import OneTimeClaim

            def take(once):
                os.write(1, b"%r\\n" % once.take())

            if __name__ == "__main__":
                once, context = OneTimeClaim(), get_context({method!r})
                processes = [context.Process(target=take, args=(once,)) for _ in range(3)]
                for process in processes:
                    process.start()
                for process in processes:
                    process.join()
                once.close()
                assert not once.take()
            """
        )
    )
    done = subprocess.run(
        [sys.executable, "main.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert sorted(done.stdout.split()) == ["False", "False", "True"]
