"""What an `mpi` run does, from end to end, in every way of starting it."""

import ast
import os
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

import pytest

pytest.importorskip("mpi4py")

from d4py_fixed.local.multi import MultiMapping
from d4py_fixed.mpi.mapping import MpiMapping
from dispel4py import SimpleFunctionPE

OLD_PATHS = [
    *("-m", "dispel4py.new.processor", "dispel4py.new.mpi_process"),
    "dispel4py.examples.graph_testing.pipeline_test",
]

WORKFLOW = """
import os, sys
from dispel4py import WorkflowGraph
from fixed_flows import *

class Rank(IterativePE):
    def __init__(self, instances=1):
        super().__init__()
        self.numprocesses = instances
    def _process(self, data):
        return self.rank, os.getpid(), data

graph = WorkflowGraph()
first, middle, last = Numbers(), Rank(), Rank()
graph.connect(first, "output", middle, "input")
graph.connect(middle, "output", last, "input")
"""


COLLECTS = """
import gc
from dispel4py import WorkflowGraph
from fixed_flows import *

class Collects(IterativePE):
    def _process(self, data):
        return self.rank, gc.isenabled()

graph = WorkflowGraph()
graph.connect(Numbers(), "output", Collects(), "input")
"""


def has(distribution):
    try:
        return bool(version(distribution))
    except PackageNotFoundError:
        return False


def outputs_of(out):
    """What a command has printed, which is its results and nothing else."""
    (line,) = out.splitlines()
    return ast.literal_eval(line.removeprefix("Outputs: "))


class TestLaunching:
    """The command, however it is started."""

    @pytest.fixture(autouse=True)
    def _workflow(self, write, mpi):
        write("wf.py", WORKFLOW)

    @pytest.fixture
    def items(self, mpi):
        """Runs the workflow, and returns numbers, ranks and processes that its items have seen."""

        def finish(process):
            status, out, err = mpi.end(process)
            assert status == 0, err
            (results,) = outputs_of(out)["Rank2"].values()
            numbers = sorted(item for _, _, (_, _, item) in results)
            ranks = {rank for rank, _, _ in results} | {rank for _, _, (rank, _, _) in results}
            pids = {pid for _, pid, _ in results} | {pid for _, _, (_, pid, _) in results}
            return numbers, ranks, pids

        return finish

    @pytest.mark.parametrize(
        ("number", "size"),
        [
            (["-n", 4], 4),
            pytest.param([], 3, marks=pytest.mark.slow),
            pytest.param(["-n", 3], 3, marks=pytest.mark.slow),
            pytest.param(["-n", 7], 7, marks=pytest.mark.slow),
            pytest.param(["--num_processes", 4], 4, marks=pytest.mark.slow),
        ],
    )
    def test_a_plain_command_starts_its_ranks(self, mpi, items, number, size):
        process = mpi.start("wf.py", "-i", 40, "-q", *number)
        numbers, ranks, pids = items(process)
        assert numbers == [*range(1, 41)]
        assert ranks == set(range(1, size))
        assert len(pids) == size - 1
        assert process.pid not in pids

    def test_mpiexec_starts_as_many_as_it_says(self, mpi, items):
        # Options that some machines need.
        options = ["--allow-run-as-root", "--oversubscribe"] if has("openmpi") else []
        numbers, ranks, pids = items(mpi.start("wf", "-i", 40, "-q", under=["-n", 4, *options]))
        assert numbers == [*range(1, 41)]
        assert ranks == {1, 2, 3}
        assert len(pids) == 3

    @pytest.mark.parametrize("under", [None, ["-n", 2]])
    def test_garbage_is_collected_in_all_ranks(self, mpi, write, under):
        write("collects.py", COLLECTS)
        status, out, err = mpi.end(mpi.start("collects.py", "-q", under=under))
        assert status == 0, err
        assert outputs_of(out) == {"Collects1": {"output": [(1, True)]}}

    @pytest.mark.parametrize(
        ("size", "started", "expected"),
        [
            (2, 3, {0, 1}),
            pytest.param(1, 5, {0}, marks=pytest.mark.slow),
            pytest.param(3, 5, {1, 2}, marks=pytest.mark.slow),
            pytest.param(10, 10, {*range(1, 10)}, marks=pytest.mark.slow),
        ],
    )
    def test_ranks_beyond_n_are_idle(self, mpi, items, size, started, expected):
        process = mpi.start("wf.py", "-i", 99, "-q", "-n", size, under=["-n", started])
        numbers, ranks, pids = items(process)
        assert numbers == [*range(1, 100)]
        assert ranks == expected
        assert len(pids) == len(expected)

    @pytest.mark.slow
    @pytest.mark.parametrize("under", [None, ["-n", 6]])
    def test_simple_uses_two_processes(self, mpi, items, under):
        _, ranks, pids = items(mpi.start("wf.py", "-i", 9, "-q", "-s", under=under))
        assert ranks == {1}
        assert len(pids) == 1

    @pytest.mark.slow
    def test_an_mpiexec_can_be_named(self, mpi, items):
        named = " ".join(mpi.mpiexec) + " -env A B" * has("mpich")
        numbers, _, _ = items(mpi.start("wf.py", "-i", 5, "-q", "--mpiexec", named))
        assert numbers == [1, 2, 3, 4, 5]

    @pytest.mark.parametrize("under", [None, ["-n", 10]])
    @pytest.mark.slow
    def test_the_old_module_paths_work(self, mpi, under):
        command = [sys.executable, *OLD_PATHS, "-i", 20, "-n", 10, "-q"]
        status, out, err = mpi.end(mpi.start_program(command, under=under))
        assert status == 0, err
        (results,) = outputs_of(out)["TestOneInOneOut5"].values()
        assert sorted(results) == [*range(1, 21)]

    def test_ranks_on_another_machine_find_the_driver(self, mpi, items):
        elsewhere = ["unshare", "--uts", "sh", "-c", 'hostname "elsewhere$0"; exec "$@"', ""]
        if subprocess.run([*elsewhere, "true"], check=False, capture_output=True).returncode:
            pytest.skip("this user may not name machines")
        command = [sys.executable, "-m", "dispel4py", "mpi", "wf.py", "-i", 40, "-q"]
        others = [":", "-n", 2, *elsewhere, *command]
        numbers, ranks, _ = items(mpi.start_program([*command, *others], under=["-n", 2]))
        assert numbers == [*range(1, 41)]
        assert ranks == {1, 2, 3}

    @pytest.mark.skipif(not has("openmpi"), reason="MPICH knows no slots")
    def test_too_few_slots_are_reported_with_the_flag(self, mpi):
        strict = f"{mpi.mpiexec[0]} --map-by :NOOVERSUBSCRIBE"
        number = (os.cpu_count() or 1) + 10
        status, out, err = mpi.end(mpi.start("wf.py", "-n", number, "--mpiexec", strict))
        assert (status, out) == (2, "")
        assert f"not enough slots for {number} processes" in err
        assert "--map-by :OVERSUBSCRIBE" in err

    @pytest.mark.parametrize(
        ("arguments", "messages"),
        [
            (["wf.py", "-n", 3], ["-n 3 is more than the 2 processes", "mpiexec -n 3 …"]),
            (["nowhere.py"], ["no workflow 'nowhere.py'"]),
            (["wf.py", "-d", "[1]"], ["-d"]),
            pytest.param(
                ["wf.py", "--telepathy"], ["no option '--telepathy'"], marks=pytest.mark.slow
            ),
        ],
    )
    def test_wrong_usage_is_reported_once(self, mpi, arguments, messages):
        status, out, err = mpi.end(mpi.start(*arguments, under=["-n", 2]))
        assert (status, out) == (2, "")
        for message in messages:
            assert message in err
        assert err.count("dispel4py: error") == 1
        assert "Traceback" not in err

    def test_help_is_shown_once(self, mpi):
        status, out, _ = mpi.end(mpi.start("--help", under=["-n", 2]))
        assert status == 0
        assert out.count("usage: dispel4py mpi") == 1
        assert "\x1b" not in out  # colours, as on a terminal

    @pytest.mark.parametrize("given", [["-d", '{"Numbers0": 3}'], ["-f", "in.json"]])
    def test_g4_inputs_are_read_by_one_process(self, mpi, write, given):
        write("in.json", '{"Numbers0": 3}')
        status, out, err = mpi.end(mpi.start("wf.py", "-q", *given, under=["-n", 3]))
        assert status == 0, err
        assert len(outputs_of(out)["Rank2"]["output"]) == 3

    def test_g4_standard_input_is_the_commands(self, mpi):
        process = mpi.start("wf.py", "-q", "-f", "/dev/stdin", stdin=subprocess.PIPE)
        out, err = process.communicate('{"Numbers0": 3}', timeout=60)
        assert process.returncode == 0, err
        assert len(outputs_of(out)["Rank2"]["output"]) == 3

    def test_what_pes_print_arrives(self, mpi, write):
        write(
            "wf.py",
            """
            import sys
            from dispel4py import SimpleFunctionPE, WorkflowGraph
            from fixed_flows import Numbers
            def speak(data):
                print("item", data)
                print("error", data, file=sys.stderr)
            graph = WorkflowGraph()
            graph.connect(Numbers(), "output", SimpleFunctionPE(speak), "input")
            """,
        )
        status, out, err = mpi.end(mpi.start("wf.py", "-i", 100, "-q"))
        assert status == 0
        assert out.splitlines() == [*(f"item {n}" for n in range(1, 101)), "Outputs: {}"]
        assert err.splitlines() == [f"error {n}" for n in range(1, 101)]


SCRIPT = """
    from dispel4py import IterativePE, ProducerPE, WorkflowGraph, run
    class Item:
        def __init__(self, value):
            self.value = value
    class Items(ProducerPE):
        count = 0
        def _process(self, inputs):
            self.count += 1
            return Item(self.count)
    class Values(IterativePE):
        def _process(self, item):
            assert type(item) is Item
            return item.value
    graph = WorkflowGraph()
    graph.connect(Items(), "output", Values(), "input")
    def main():
        for count in (3, 5):
            result = run(graph, mapping="mpi", inputs=count)
            print(result.outputs, flush=True)
"""


class TestScripts:
    """`run` in a script, whose classes the ranks need."""

    def test_a_script_starts_its_ranks(self, mpi, write):
        path = write("script.py", SCRIPT + '    if __name__ == "__main__":\n        main()\n')
        status, out, err = mpi.end(mpi.start_program([sys.executable, path]))
        assert status == 0, err
        assert [ast.literal_eval(line.strip()) for line in out.splitlines()] == [
            {"Values1": {"output": [*range(1, count + 1)]}} for count in (3, 5)
        ]

    def test_under_mpiexec_the_first_process_has_the_results(self, mpi, write):
        path = write("script.py", SCRIPT + '    if __name__ == "__main__":\n        main()\n')
        status, out, err = mpi.end(mpi.start_program([sys.executable, path], under=["-n", 3]))
        assert status == 0, err
        # MPICH may join the lines that several ranks print.
        results = [ast.literal_eval(result) for result in re.findall(r"{}|{.+?}}", out)]
        assert results.count({}) == 4
        counts = [sorted(result["Values1"]["output"]) for result in results if result]
        assert counts == [[1, 2, 3], [1, 2, 3, 4, 5]]

    def test_a_script_without_a_guard_is_refused(self, mpi, write):
        path = write("script.py", SCRIPT + "    main()\n")
        status, _, err = mpi.end(mpi.start_program([sys.executable, path]))
        assert status == 1
        assert "if __name__ == '__main__':" in err

    def test_mpi_that_runs_already_is_refused(self, mpi, write):
        write("wf.py", WORKFLOW)
        path = write(
            "script.py",
            """
            from mpi4py import MPI
            from dispel4py import run
            from dispel4py.utils import load_graph
            if __name__ == "__main__":
                run(load_graph("wf.py"), mapping="mpi")
            """,
        )
        process = mpi.start_program([sys.executable, path], under=["-n", 2])
        status, _, err = mpi.end(process)
        assert status != 0
        assert "mpi4py.rc.initialize = False" in err


UNPICKLABLE = """
    import os, threading
    from dispel4py import IterativePE, ProducerPE, WorkflowGraph
    class Counts(ProducerPE):
        def __init__(self):
            super().__init__()
            self.numbers = (n for n in range(100))
        def _process(self, inputs):
            return next(self.numbers)
    class Locks(IterativePE):
        def __init__(self, instances):
            super().__init__()
            self.numprocesses = instances
            self.lock = threading.Lock()
            self.mine = True
        def _process(self, data):
            with self.lock:
                return data
    last = Locks(int(os.environ.get("INSTANCES", "2")))
    if "FILE" in os.environ:
        last.file = open(os.environ["FILE"])
    graph = WorkflowGraph()
    graph.connect(Counts(), "output", last, "input")
"""


class TestPEsThatCannotBePickled:
    """Each rank takes its own from the workflow, which it imports as the command does."""

    @pytest.fixture(autouse=True)
    def _workflow(self, write):
        write("locks.py", UNPICKLABLE)

    @pytest.mark.parametrize("under", [None, ["-n", 3]])
    def test_i2_ranks_make_them_for_themselves(self, mpi, under):
        status, out, err = mpi.end(mpi.start("locks.py", "-i", 20, "-q", under=under))
        assert status == 0, err
        assert sorted(outputs_of(out)["Locks1"]["output"]) == [*range(20)]

    def test_several_instances_in_one_process_are_refused(self, mpi):
        status, out, err = mpi.end(mpi.start("locks.py", "-n", 2, "-q", INSTANCES="5"))
        assert (status, out) == (2, "")
        assert "Locks1 cannot be pickled" in err
        assert "start more processes (-n)" in err

    def test_i9_so_is_an_open_file(self, mpi):
        status, out, err = mpi.end(mpi.start("locks.py", "-q", FILE="locks.py"))
        assert (status, out) == (2, "")
        assert "Locks1" in err
        assert "Counts0" not in err


class TestItems:
    @pytest.mark.parametrize(
        "processes",
        [
            4,
            pytest.param(3, marks=pytest.mark.slow),
            pytest.param(None, marks=pytest.mark.slow),
        ],
    )
    def test_m1_groups_meet_though_every_rank_hashes_otherwise(
        self, execute_mpi, flows, chain, monkeypatch, processes
    ):
        monkeypatch.delenv("PYTHONHASHSEED", raising=False)
        graph = chain(flows.Words(), flows.Relay(2), flows.Kept([0], 3))
        graph.connect(graph.get_contained_objects()[1], "output", flows.Hashes(), "input")
        outputs = execute_mpi(graph, 170, processes).outputs
        got = outputs["Kept2"]["output"]
        assert sorted(item for one in got for item in one) == sorted(
            (f"word {n % 17}", n) for n in range(1, 171)
        )
        assert len([word for one in got for word in {word for word, _ in one}]) == 17
        assert hash("d4py") not in outputs["Hashes3"]["output"]

    @pytest.mark.slow
    def test_partitions_share_a_rank(self, execute_mpi, flows, chain):
        pes = [flows.Numbers(), flows.Instances(), flows.Instances(), flows.Instances()]
        graph = chain(*pes)
        graph.partitions = [pes[:1], pes[1:]]
        result = execute_mpi(graph, 3, 2)
        assert result.stats.processes == 2
        ((pid, (pid2, (pid3, _))), *_) = result.outputs["Instances3"]["output"]
        assert pid == pid2 == pid3

    def test_c2_an_item_and_a_result_of_100_mb(self, execute_mpi, flows, chain):
        graph = chain(flows.Large(100_000_000), flows.Relay())
        ((output,),) = (o["output"] for o in execute_mpi(graph).outputs.values())
        assert len(output) == 100_000_000

    def test_arrays_arrive_as_they_were_sent(self, execute_mpi, flows, chain):
        numpy = pytest.importorskip("numpy")
        graph = chain(
            flows.Numbers(), flows.Makes(flows.array_of), flows.Relay(), flows.Makes(flows.sum_of)
        )
        outputs = execute_mpi(graph, 20).outputs
        assert outputs["Makes3"]["output"] == [
            numpy.arange(300_000).sum() * n for n in range(1, 21)
        ]

    def test_m2_arrays_are_the_receivers_own_and_stay_valid(self, execute_mpi, flows, chain):
        pytest.importorskip("numpy")
        graph = chain(flows.Arrays(), flows.AddsInPlace(), flows.KeptArrays())
        result = execute_mpi(graph, 50)
        expected = [(n + 0.5, n + 0.5, True) for n in range(1, 51)]
        assert result.outputs["KeptArrays2"]["output"] == expected

    def test_c2_results_are_streamed_out(self, execute_mpi, flows, chain):
        got = []
        graph = chain(flows.Numbers(), flows.Relay())
        result = execute_mpi(graph, 5000, on_result=lambda *one: got.append(one))
        assert result.outputs == {}
        assert got == [("Relay1", "output", number) for number in range(1, 5001)]

    def test_lambdas_and_closures_travel(self, execute_mpi, flows, chain):
        offset = 3
        graph = chain(
            flows.Numbers(),
            flows.Makes(lambda n: lambda x: x + n + offset),
            SimpleFunctionPE(lambda function: function(10)),
        )
        (outputs,) = execute_mpi(graph, 3).outputs.values()
        assert outputs["output"] == [14, 15, 16]

    def test_a_lone_item_does_not_wait_for_a_batch(self, execute_mpi, flows, chain, tmp_path):
        graph = chain(flows.PacedCalls(tmp_path), *(flows.Relay() for _ in range(2)))
        execute_mpi(graph, 30, on_result=flows.file_for_each(tmp_path))
        assert (tmp_path / "30").exists()

    @pytest.mark.slow
    def test_ranks_that_wait_do_not_burn_a_core(self, mpi, write):
        write(
            "wf.py",
            """
            from dispel4py import WorkflowGraph
            from fixed_flows import Numbers, Relay, Sleeps
            graph = WorkflowGraph()
            pes = [Numbers(), Relay(), Sleeps(float(__import__("sys").argv[1])), Relay(), Relay()]
            for one, other in zip(pes, pes[1:]):
                graph.connect(one, "output", other, "input")
            """,
        )
        used = {}
        for seconds in (0, 5):
            process = mpi.start("wf.py", "-q", "--", seconds)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            assert process.returncode == 0, process.stderr.read()
            used[seconds] = usage.ru_utime + usage.ru_stime
        assert used[5] - used[0] < 0.5 * 5  # of all ranks; one that polls would take them all


def test_it_can_do_what_multi_can():
    ours, theirs = MpiMapping().capabilities, MultiMapping().capabilities
    assert set(theirs.declared()) | {"multi_host"} == set(ours.declared())


@pytest.mark.slow
def test_c4_no_file_stays_open(execute_mpi, flows, chain):
    graph = chain(flows.Numbers(), flows.Relay(2))
    execute_mpi(graph, 10)
    before = sorted(os.listdir("/proc/self/fd"))
    execute_mpi(graph, 10)
    with pytest.raises(ValueError, match="mine"):
        execute_mpi(graph, 10, on_result=_raise)
    assert sorted(os.listdir("/proc/self/fd")) == before


def _raise(*result):
    raise ValueError("mine")
