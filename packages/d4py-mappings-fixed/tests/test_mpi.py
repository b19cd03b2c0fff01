"""What an `mpi` run does with items and PEs, from end to end."""

import os

import pytest
from fixed_helpers.mpi_workflows import outputs_of

pytest.importorskip("mpi4py")

from d4py_fixed.local.multi import MultiMapping
from d4py_fixed.mpi.mapping import MpiMapping
from dispel4py import SimpleFunctionPE

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
