"""Ranks can be started by fork, fork server or spawn, and from any kind of program."""

import threading

import pytest

from d4py_conformance.subprocesses.workflow_files import (
    EXPECTED,
    HELPER,
    LAST,
    WORKFLOW,
    assert_only_the_script_is_blamed,
    script,
)
from dispel4py import SimpleFunctionPE, run
from dispel4py.errors import OptionError
from dispel4py.loading import load_graph

METHODS = ["fork", "forkserver", "spawn"]

SCRIPT = script(
    """
    result = run(graph, sys.argv[1], 4, start_method=sys.argv[2])
    print(result.outputs["PE_<lambda>3"]["output"])
    """
)


@pytest.fixture(autouse=True)
def helper(write):
    """A module beside the workflow."""
    write("helper.py", HELPER)


@pytest.mark.parametrize("method", METHODS)
def test_all_ranks_can_load_pes_of_a_workflow_file(execute, write, method):
    graph = load_graph(str(write("some flow.py", WORKFLOW)))
    result = execute(graph, 4, start_method=method)
    assert result.outputs[LAST]["output"] == EXPECTED


@pytest.mark.parametrize("method", METHODS)
def test_all_ranks_can_load_functions_and_classes_of_items(execute, flows, chain, method):
    graph = chain(flows.Samples(), flows.Values(), SimpleFunctionPE(flows.double), flows.Kept())
    result = execute(graph, 4, start_method=method)
    assert result.outputs["Kept3"]["output"] == [[2, 4, 6, 8]]


@pytest.mark.parametrize("method", METHODS)
def test_a_script_can_run_pes_that_it_defines(start, write, mapping, method):
    status, out, err = start(write("script.py", SCRIPT), mapping, method).end()
    assert (status, err) == (0, "")
    assert out == f"{EXPECTED}\n"


@pytest.mark.parametrize("method", METHODS)
def test_m2_definitions_of_a_script_are_the_same_in_all_ranks(start, write, mapping, method):
    write(
        "script.py",
        """
        import sys
        from dispel4py import IterativePE, ProducerPE, WorkflowGraph, run

        class Sample:
            class Unit:
                pass
            def __init__(self, value, make):
                self.value, self.make, self.unit = value, make, Sample.Unit()

        def scaled(factor):
            return lambda number: Sample(factor * number, lambda: scaled)

        class Make(ProducerPE):
            counter = 0
            def _process(self, inputs):
                self.counter += 1
                return self.counter, scaled(10)

        class Call(IterativePE):
            def _process(self, item):
                number, function = item
                return function(number)

        class Check(IterativePE):
            stateful = True  # pickled with what it holds, which only dill takes
            def __init__(self):
                super().__init__()
                self.check = lambda sample: check(sample)
            def _process(self, sample):
                self.check(sample)
                return sample

        def check(sample):
            assert type(sample) is Sample
            assert type(sample.unit) is Sample.Unit
            assert type(sample.make()(3)(1)) is Sample

        graph = WorkflowGraph()
        call = Call()
        graph.connect(Make(), "output", call, "input")
        graph.connect(call, "output", Check(), "input")
        if __name__ == "__main__":
            result = run(graph, sys.argv[1], 3, start_method=sys.argv[2])
            samples = result.outputs["Check2"]["output"]
            for sample in samples:
                check(sample)
            print([sample.value for sample in samples])
        """,
    )
    status, out, err = start("script.py", mapping, method).end()
    assert (status, err) == (0, "")
    assert out == "[10, 20, 30]\n"


@pytest.mark.parametrize("method", METHODS)
def test_a_rank_has_chosen_its_temporary_folder_before_it_can_be_killed(
    start, write, mapping, method
):
    write(
        "script.py",
        """
        import sys, tempfile
        from dispel4py import ProducerPE, WorkflowGraph, run

        class Find(ProducerPE):
            def _process(self, inputs):
                return tempfile.tempdir  # None until it was

        graph = WorkflowGraph()
        graph.add(Find())
        if __name__ == "__main__":
            result = run(graph, sys.argv[1], 1, start_method=sys.argv[2])
            print(result.outputs["Find0"]["output"] == [tempfile.gettempdir()])
        """,
    )
    assert start("script.py", mapping, method).end() == (0, "True\n", "")


def test_the_command_runs_a_file(command, write, mapping):
    write("some_flow.py", WORKFLOW)
    status, out, err = command(mapping, "some_flow.py", "-i", 4, "-q").end()
    assert (status, err) == (0, "")
    assert f"{EXPECTED}" in out


PROMPT = """
import sys, threading, time
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
from dispel4py import IterativePE, ProducerPE, SimpleFunctionPE, WorkflowGraph, run
class Sample:
    def __init__(self, value):
        self.value = value

class Make(ProducerPE):
    def _process(self, inputs):
        return Sample(1)

class Add(IterativePE):
    def _process(self, sample):
        assert type(sample) is Sample
        return lambda: Sample(sample.value + offset)

offset = 1
graph = WorkflowGraph()
add = Add()
graph.connect(Make(), "output", add, "input")
graph.connect(add, "output", SimpleFunctionPE(lambda function: function()), "input")
options = dict(option.split("=") for option in sys.argv[2:])
samples = run(graph, sys.argv[1], 2, **options).outputs["PE_<lambda>2"]["output"]
print([type(sample) is Sample and sample.value for sample in samples])
"""


@pytest.mark.parametrize("method", [None, *METHODS])
@pytest.mark.parametrize("way", ["-c", "-", "-i"])
def test_a_prompt_with_threads_can_run_pes_that_it_defines(start, write, mapping, way, method):
    options = [mapping, *([f"start_method={method}"] if method else [])]
    if way == "-c":
        program = start("-c", PROMPT, *options)
    else:
        with write("typed.py", PROMPT).open() as typed:
            program = start(*dict.fromkeys([way, "-"]), *options, standard_input=typed)
    status, out, err = program.end()
    assert (status, out) == (0, "[2, 2]\n"), err


@pytest.mark.parametrize("way", ["-c", "-"])
def test_a_prompt_can_run_pes_that_it_defines_by_mpi(start, write, mpi, way):
    if way == "-c":
        program = start("-c", PROMPT, "mpi")
    else:
        with write("typed.py", PROMPT).open() as typed:
            program = start(way, "mpi", standard_input=typed)
    status, out, err = program.end()
    assert (status, out) == (0, "[2, 2]\n"), err


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_unpicklable_definitions_of_a_prompt_are_reported(start, mapping, method):
    code = PROMPT.replace("offset = 1", "offset = 1; held = (number for number in ())")
    code = code.replace("assert type", "held; assert type")
    program = start("-c", code, mapping, f"start_method={method}")
    status, _, err = program.end()
    assert status == 1
    assert "'Add'" in err
    assert "what is defined at a prompt or in a notebook has to be put into a file" in err
    program.wait_until_gone()


def test_a_script_without_a_guard_runs_where_ranks_are_forked(start, write, mapping):
    script = SCRIPT.replace('if __name__ == "__main__":', "if True:")
    status, out, err = start(write("script.py", script), mapping, "fork").end()
    assert (status, err) == (0, "")
    assert out == f"{EXPECTED}\n"


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_a_script_without_a_guard_is_reported_otherwise(start, write, mapping, method):
    script = SCRIPT.replace('if __name__ == "__main__":', "if True:")
    program = start(write("script.py", script), mapping, method)
    status, _, err = program.end()
    assert status == 1
    assert_only_the_script_is_blamed(err)
    program.wait_until_gone()


def test_m1_equal_keys_meet_although_processes_hash_differently(start, write, mapping):
    write(
        "script.py",
        """
        import sys
        from fixed_flows import Kept, Relay, Words
        from dispel4py import IterativePE, WorkflowGraph, run

        class Hashes(IterativePE):
            numprocesses = 3
            def _postprocess(self):
                self.write("output", ("hash", hash("word")))
            def _process(self, data):
                return data

        graph = WorkflowGraph()
        words, hashes, kept = Words(), Hashes(), Kept([0], 3)
        hashes.numprocesses = 3
        graph.connect(words, "output", hashes, "input")
        graph.connect(hashes, "output", kept, "input")
        if __name__ == "__main__":
            result = run(graph, sys.argv[1], 200, start_method="spawn")
            got = result.outputs["Kept2"]["output"]
            items = [item for one in got for item in one]
            print(len({number for word, number in items if word == "hash"}))
            groups = [word for one in got for word in {word for word, _ in one}]
            print(len(items), len(groups), len(set(groups)), len(got))
        """,
    )
    status, out, err = start("script.py", mapping).end()
    # On a busy machine seven spawned processes begin late, which is logged.
    messages = [line for line in err.splitlines() if "has not begun after" not in line]
    assert (status, messages) == (0, [])
    hashes, counts = out.splitlines()
    assert int(hashes) == 3, "they should differ, or this shows nothing"
    assert counts == "203 18 18 3"


def test_a_program_with_threads_is_not_forked(flows, chain, mapping):
    stop = threading.Event()
    lock = threading.Lock()

    def hold():
        while not stop.is_set():
            with lock:
                stop.wait(0.001)

    threads = [threading.Thread(target=hold) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        graph = chain(flows.Numbers(), flows.Kept())
        assert run(graph, mapping, 100).outputs["Kept1"]["output"] == [[*range(1, 101)]]
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_an_unknown_start_method_is_an_error(execute, flows, chain):
    with pytest.raises(OptionError, match=r"the start method is 'clone'; it must be one of 'fork'"):
        execute(chain(flows.Numbers(), flows.Relay()), start_method="clone")


@pytest.mark.parametrize("hard", [False, True])
def test_the_limit_of_open_files_is_raised_or_reported(start, write, mapping, hard):
    # Each of 8 instances has a connection to each of 8 others.
    write(
        "script.py",
        """
        import resource, sys
        from fixed_flows import Numbers, Relay
        from dispel4py import WorkflowGraph, run
        from dispel4py.errors import OptionError

        if __name__ == "__main__":
            _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (80, 80 if sys.argv[2] == "True" else hard))
            graph = WorkflowGraph()
            relay = Relay(8)
            graph.connect(Numbers(), "output", relay, "input")
            graph.connect(relay, "output", Relay(8), "input")
            try:
                print(len(run(graph, sys.argv[1], 100).outputs["Relay2"]["output"]))
            except OptionError as error:
                print(error)
        """,
    )
    status, out, err = start("script.py", mapping, hard).end()
    assert (status, err) == (0, "")
    if hard:
        assert out.startswith("17 processes, connected as this graph has it, need ")
        assert "the hard limit is 80; use fewer processes" in out
    else:
        assert out == "100\n"


def test_a_forked_rank_starts_another_fork_server(start, write, mapping):
    write(
        "script.py",
        """
        import sys
        from dispel4py import IterativePE, ProducerPE, WorkflowGraph, run

        class One(ProducerPE):
            def _process(self, inputs):
                return 1

        class Same(IterativePE):
            def _process(self, data):
                return data

        def inner(method):
            graph = WorkflowGraph()
            graph.connect(One(), "output", Same(), "input")
            result = run(graph, sys.argv[1], 3, 2, start_method=method)
            return result.outputs["Same1"]["output"]

        class Runs(IterativePE):
            def _process(self, data):
                return inner("forkserver")

        if __name__ == "__main__":
            assert inner("forkserver") == [1, 1, 1]  # so there is a server of this process
            graph = WorkflowGraph()
            graph.connect(One(), "output", Runs(), "input")
            result = run(graph, sys.argv[1], 1, 2, start_method="fork")
            print(result.outputs["Runs1"]["output"])
        """,
    )
    status, out, err = start("script.py", mapping).end()
    assert (status, out) == (0, "[[1, 1, 1]]\n"), err
