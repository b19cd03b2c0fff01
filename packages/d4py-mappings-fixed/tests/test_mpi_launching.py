"""Ways of starting an `mpi` run: the command, under mpiexec, and scripts."""

import ast
import os
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

import pytest
from fixed_helpers.mpi_workflows import WORKFLOW, outputs_of

pytest.importorskip("mpi4py")


OLD_PATHS = [
    *("-m", "dispel4py.new.processor", "dispel4py.new.mpi_process"),
    "dispel4py.examples.graph_testing.pipeline_test",
]

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
