"""Runs on one machine, from end to end."""

import errno
import os
import sys
import threading

import pytest

from d4py_conformance.waiting import LIMIT, wait_until
from d4py_fixed.engine.limits import RankLimits
from d4py_fixed.local import launch
from dispel4py import SimpleFunctionPE, WorkflowGraph, run
from dispel4py.errors import ProcessingError


def test_m2_arrays_arrive_where_the_system_makes_no_shared_memory(
    execute, flows, chain, monkeypatch
):
    """A limit on the size of files (ulimit -f) is one on shared memory, too."""
    pytest.importorskip("numpy")

    def refuse():
        raise OSError(errno.EFBIG, "File too large")

    monkeypatch.setattr(launch, "ArenaFile", refuse)
    graph = chain(flows.Arrays(), flows.AddsInPlace(), flows.KeptArrays())
    expected = [(n + 0.5, n + 0.5, True) for n in range(1, 6)]
    assert execute(graph, 5).outputs["KeptArrays2"]["output"] == expected


def test_m2_an_item_is_pickled_once_for_each_hop(execute, flows, chain):
    graph = chain(flows.SendsCounting(), flows.Relay(), flows.Relay())
    result = execute(graph, 3)
    assert [item.pickled for item in result.outputs["Relay2"]["output"]] == [3, 3, 3]


class TestItemsThatCannotBeUnpickled:
    """Large ones, of which only their receiver finds it."""

    def test_c3_they_are_failures_of_the_pe_that_wrote_them(self, execute, flows, chain):
        graph = chain(flows.Numbers(), flows.SendsOneInFour(), flows.Relay())
        result = execute(graph, 8, on_error="skip")
        assert result.outputs["Relay2"]["output"] == [1, 3, 4, 5, 7, 8]
        assert [failure.error.pe_id for failure in result.failures] == ["SendsOneInFour1"] * 2
        assert "for input 'input' of Relay2" in str(result.failures[0].error)
        assert "ZeroDivisionError: division by zero" in str(result.failures[0].error)

    def test_c3_so_they_are_as_results(self, execute, flows, chain):
        result = execute(chain(flows.Numbers(), flows.SendsOneInFour()), 8, on_error="skip")
        assert result.outputs["SendsOneInFour1"]["output"] == [1, 3, 4, 5, 7, 8]
        assert [failure.error.pe_id for failure in result.failures] == ["SendsOneInFour1"] * 2
        assert "for the results" in str(result.failures[0].error)

    def test_c3_the_one_of_two_pes_of_a_process_is_named_that_wrote_it(self, execute, flows):
        graph, relay = WorkflowGraph(), flows.Relay()
        for root in (flows.SendsCounting(), flows.SendsUnloadable()):
            graph.connect(root, "output", relay, "input")
        result = execute(graph, 3, 2, on_error="skip")
        assert [failure.error.pe_id for failure in result.failures] == ["SendsUnloadable2"] * 3

    def test_c3_the_instance_is_named_that_wrote_it(self, execute, flows, chain):
        graph = chain(flows.Numbers(), flows.SendsUnloadableFromOne(), flows.Relay())
        result = execute(graph, 3, 5, on_error="skip")
        assert [failure.error.instance for failure in result.failures] == [2, 2, 2]

    @pytest.mark.parametrize("rest", [0, 1])
    def test_c3_one_stops_the_run(self, execute, flows, chain, rest):
        graph = chain(flows.Numbers(), flows.SendsOneInFour(), *[flows.Relay()] * rest)
        with pytest.raises(ProcessingError, match=r"SendsOneInFour1 .* cannot be unpickled"):
            execute(graph, 8)


def test_m2_items_that_pickle_refuses_are_sent_together_with_others(execute, flows, chain):
    pytest.importorskip("numpy")
    result = execute(chain(flows.SendsMixed(), flows.Relay(), flows.Counts()), 1)
    expected = [100_000 - number if number % 2 else number for number in range(40)]
    assert result.outputs["Counts2"]["output"] == expected


def test_m2_arrays_that_threads_of_a_pe_write_are_whole(execute, flows, chain):
    pytest.importorskip("numpy")
    result = execute(chain(flows.WritesFromThreads(), flows.Relay()), 1)
    arrived = result.outputs["Relay1"]["output"]
    assert sorted(array[0] for array in arrived) == [*range(40)]
    assert all((array == array[0]).all() for array in arrived)


class TestInstances:
    def test_i1_numprocesses_is_the_number_of_processes(self, execute, flows, chain):
        graph = chain(flows.Numbers(), flows.Instances(3))
        result = execute(graph, 30)
        processes = {pid for pid, _ in result.outputs["Instances1"]["output"]}
        assert len(processes) == 3
        assert os.getpid() not in processes
        assert result.stats.processes == 4

    def test_i1_spare_processes_are_used(self, execute, flows, chain):
        result = execute(chain(flows.Numbers(), flows.Instances()), 30, 4)
        assert len({pid for pid, _ in result.outputs["Instances1"]["output"]}) == 3
        assert result.stats.processes == 4

    def test_i1_a_single_pe_has_one_process_although_others_are_spare(self, execute, flows, chain):
        single = flows.Instances(3)
        single.single = True
        result = execute(chain(flows.Numbers(), single), 10, 6)
        assert len({pid for pid, _ in result.outputs["Instances1"]["output"]}) == 1
        assert result.stats.processes == 2

    def test_m1_a_slow_instance_does_not_keep_the_share_of_others(
        self, execute, flows, chain, tmp_path
    ):
        # It continues when all items are processed except those in its window.
        got, count = [], 400

        def take(pe_id, output, data):
            got.append(data)
            if len(got) == count - RankLimits().window:
                (tmp_path / "go").touch()

        graph = chain(flows.Numbers(), flows.WaitsFor(1, tmp_path / "go", 4))
        execute(graph, count, on_result=take)
        assert sorted(got) == [*range(1, count + 1)]

    def test_m1_instances_with_state_get_items_in_turn(self, execute, flows, chain):
        got = execute(chain(flows.Numbers(), flows.Kept(None, 3)), 9).outputs["Kept1"]["output"]
        assert sorted(got) == [[1, 4, 7], [2, 5, 8], [3, 6, 9]]

    @pytest.mark.parametrize("processes", [1, 2, 3])
    def test_fewer_processes_than_instances_share(self, execute, flows, chain, processes):
        graph = chain(flows.Numbers(), flows.Instances(3), flows.Kept())
        result = execute(graph, 30, processes)
        (kept,) = result.outputs["Kept2"]["output"]
        assert sorted(number for _, number in kept) == [*range(1, 31)]
        assert len({pid for pid, _ in kept}) <= processes
        assert result.stats.processes == processes

    @pytest.mark.parametrize("cores", [1, 3, 5])
    def test_auto_is_no_more_processes_than_cores(self, execute, flows, chain, monkeypatch, cores):
        monkeypatch.setattr("dispel4py.processes.cores.usable_cores", lambda: cores)
        graph = chain(flows.Numbers(), flows.Instances(), flows.Kept(), flows.Relay())
        assert execute(graph, 10, "auto").stats.processes == cores

    def test_simple_is_two_processes(self, execute, flows, chain):
        graph = chain(flows.Numbers(), flows.Instances(3), flows.Instances())
        result = execute(graph, 30, 10, simple=True)
        assert result.stats.processes == 2
        assert len({pid for pid, _ in result.outputs["Instances2"]["output"]}) == 1

    def test_i2_the_graph_of_the_caller_is_unchanged(self, execute, flows, chain):
        numbers = flows.Numbers()
        graph = chain(numbers, flows.Relay())
        for _ in range(2):
            assert execute(graph, 3, 1).outputs == {"Relay1": {"output": [1, 2, 3]}}
        assert numbers.counter == 0


class TestItems:
    @pytest.mark.parametrize("grouping", [[0], "global", "all"])
    @pytest.mark.parametrize("processes", [2, None])
    def test_m1_groupings(self, execute, flows, chain, grouping, processes):
        graph = chain(flows.Words(), flows.Relay(2), flows.Kept(grouping, 3))
        got = execute(graph, 170, processes).outputs["Kept2"]["output"]
        everything = [(f"word {n % 17}", n) for n in range(1, 171)]
        if grouping == "all":
            assert [sorted(one) for one in got] == [sorted(everything)] * 3
            return
        assert sorted(item for one in got for item in one) == sorted(everything)
        words = [word for one in got for word in {word for word, _ in one}]
        assert len(words) == 17
        if grouping == "global":
            assert sorted(map(len, got)) == [0, 0, 170]

    @pytest.mark.parametrize("processes", [1, 2, 3, None])
    def test_m2_changes_of_an_item_are_private_to_a_pe(self, execute, flows, chain, processes):
        graph = chain(flows.Lists(), flows.Appends())
        graph.connect(graph.get_contained_objects()[0], "output", flows.Appends(), "input")
        outputs = execute(graph, 3, processes).outputs
        expected = [[1, "seen"], [1, 2, "seen"], [1, 2, 3, "seen"]]
        assert outputs == {"Appends1": {"output": expected}, "Appends2": {"output": expected}}

    def test_m2_share_items_passes_on_the_same_object(self, execute, flows, chain):
        graph = chain(flows.Lists(), flows.Appends())
        outputs = execute(graph, 2, 1, share_items=True).outputs
        assert outputs["Appends1"]["output"][1] == [1, "seen", 3, "seen"]

    def test_m3_order_is_kept_although_one_instance_is_slow(self, execute, flows, chain):
        graph = chain(flows.Numbers(), flows.Sleeps(0.2, at=500), flows.Kept())
        (kept,) = execute(graph, 20_000).outputs["Kept2"]["output"]
        assert kept == [*range(1, 20_001)]

    @pytest.mark.parametrize("graph", ["items", "results"])
    def test_c2_an_item_of_100_mb(self, execute, flows, chain, graph):
        pes = [flows.Large(100_000_000), *([flows.Makes(len)] if graph == "items" else [])]
        ((output,),) = (o["output"] for o in execute(chain(*pes)).outputs.values())
        assert (output if graph == "items" else len(output)) == 100_000_000

    def test_items_can_be_lambdas_and_closures(self, execute, flows, chain):
        offset = 3
        graph = chain(
            flows.Numbers(),
            flows.Makes(lambda n: lambda x: x + n + offset),
            SimpleFunctionPE(lambda function: function(10)),
        )
        (outputs,) = execute(graph, 3).outputs.values()
        assert outputs["output"] == [14, 15, 16]

    def test_items_can_be_of_classes_in_a_workflow_file(self, execute, flows, chain):
        graph = chain(flows.Samples(), flows.Relay(), flows.Values())
        assert execute(graph, 3).outputs == {"Values2": {"output": [1, 2, 3]}}


class TestLatency:
    """Items are not held back for a batch."""

    @pytest.mark.parametrize("processes", [None, 3, 1])
    def test_a_lone_item_crosses_five_hops_before_the_next_is_made(
        self, execute, flows, chain, processes
    ):
        arrived = threading.Semaphore(1)

        def inputs():
            for number in range(50):
                assert arrived.acquire(timeout=LIMIT), f"item {number - 1} is held back"
                yield {"input": number}

        graph = chain(*(flows.Relay() for _ in range(6)))
        result = []

        def take(pe_id, output, data):
            result.append(data)
            arrived.release()

        execute(graph, inputs(), processes, on_result=take)
        assert result == [*range(50)]

    def test_a_lone_item_does_not_wait_for_a_batch(self, execute, flows, chain, tmp_path):
        graph = chain(flows.PacedCalls(tmp_path), *(flows.Relay() for _ in range(5)))
        execute(graph, 30, on_result=flows.file_for_each(tmp_path))
        assert (tmp_path / "30").exists()

    @pytest.mark.parametrize("processes", [None, 1])
    def test_m4_items_that_a_slow_call_writes_are_sent_during_the_call(
        self, execute, flows, chain, tmp_path, processes
    ):
        # One call of the root writes all items, each when the caller has received the last one.
        graph = chain(flows.Handshakes(tmp_path, 20), flows.Relay(), flows.Relay())
        execute(graph, 1, processes, on_result=flows.file_for_each(tmp_path))
        assert (tmp_path / "20").exists()


class TestTheCaller:
    def test_g4_inputs_are_read_lazily(self, execute, flows, chain):
        seen, read = set(), []

        def inputs():
            for number in range(5):
                read.append(number)
                yield {"input": number}
                # The next one is read when this one has come out.
                wait_until(lambda number=number: number in seen, f"item {number}")

        def take(pe_id, output, data):
            seen.add(data)

        execute(chain(flows.Relay(), flows.Relay()), inputs(), on_result=take)
        assert read == [0, 1, 2, 3, 4]

    def test_g4_several_roots_are_fed_side_by_side(self, execute, flows):
        graph = WorkflowGraph()
        graph.connect(flows.Relay(), "output", flows.Relay(), "input")
        graph.connect(flows.Relay(), "output", flows.Relay(), "input")
        inputs = {
            "Relay0": ({"input": n} for n in range(5000)),
            "Relay2": [{"input": -n} for n in range(3000)],
        }
        assert execute(graph, inputs).outputs == {
            "Relay1": {"output": [*range(5000)]},
            "Relay3": {"output": [-n for n in range(3000)]},
        }

    def test_c2_results_are_streamed_out(self, execute, flows, chain):
        got = []
        result = execute(
            chain(flows.Numbers(), flows.Relay()), 5000, on_result=lambda *one: got.append(one)
        )
        assert result.outputs == {}
        assert got == [("Relay1", "output", number) for number in range(1, 5001)]

    def test_progress_is_reported_during_the_run_and_at_its_end(self, execute, flows, chain):
        reported = []
        result = execute(
            chain(flows.Numbers(), flows.Sleeps(0.01)),
            80,
            on_progress=lambda stats: reported.append(stats.items_per_pe()),
        )
        assert any(0 < items.get("Sleeps1", 0) < 80 for items in reported)
        assert result.stats.items_per_pe() == {"Numbers0": 80, "Sleeps1": 80}
        assert [entry.rank for entry in result.stats.instances] == [0, 1]

    def test_i4_log_lines_are_shown(self, execute, flows, chain, caplog):
        from d4py_conformance.pes.common import Identity

        caplog.set_level("INFO")
        execute(chain(flows.Numbers(), Identity()), 3)
        for number in (1, 2, 3):
            assert f"at {number}" in caplog.text

    def test_waiting_ranks_use_little_processor_time(self, execute, flows, chain):
        # One rank sleeps; its neighbours have no work, or no receiver that reads.
        def used(seconds):
            sleeps = flows.Sleeps(seconds, at=1)
            graph = chain(flows.Numbers(), flows.Relay(), sleeps, flows.Relay())
            before = os.times()
            execute(graph, 50_000)
            after = os.times()
            return sum(after[:4]) - sum(before[:4])  # of this process, and of its children

        # The same run without the sleep measures start and work in this process.
        assert used(1.5) - used(0) < 1.0

    def test_concurrent_runs_do_not_interfere(self, flows, chain, mapping):
        results = {}

        def run_one(offset):
            graph = chain(flows.Numbers(), flows.Makes(lambda n: n + offset), flows.Kept())
            result = run(graph, mapping, 2000)  # by a fork server: the program has threads
            results[offset] = result.outputs["Kept2"]["output"]

        threads = [threading.Thread(target=run_one, args=(o,), daemon=True) for o in (0, 10_000)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()  # as long as the test may take: workers of a fork server start slowly
        assert results == {o: [[o + n for n in range(1, 2001)]] for o in (0, 10_000)}


@pytest.mark.skipif(sys.platform == "win32", reason="file descriptors are counted")
def test_c4_no_file_stays_open(execute, flows, chain):
    folder = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    graph = chain(flows.Numbers(), flows.Relay(3), flows.Kept())
    execute(graph, 10)
    before = {*os.listdir(folder)}
    execute(graph, 10)
    with pytest.raises(ValueError, match="mine"):
        execute(graph, 10, on_result=_raise)
    # What earlier tests have left to the collector may have gone meanwhile.
    assert {*os.listdir(folder)} <= before


def _raise(*result):
    raise ValueError("mine")
