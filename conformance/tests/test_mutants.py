"""Every mutant, a mapping with one defect, is caught by the test meant for it."""

import os
import subprocess
import sys
import sysconfig
import textwrap
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest

from d4py_conformance import MappingConformance, mutants
from d4py_conformance.mutants import DeclaresNothing, Sound

pytest_plugins = ["pytester"]

#: A mutant → the test that is meant for it.
CAUGHT_BY = {
    "WantsRootsOnly": "test_g4_names_of_no_root_beside_one_are_left_out",
    "DropsAnItem": "test_c2_every_result_arrives",
    "DuplicatesAnItem": "test_c2_every_result_arrives",
    "DealsACallTwice": "test_d3_every_call_is_made_once",
    "DropsTheLastCalls": "test_d3_every_call_is_made_once",
    "NumbersCallsByPiece": "test_d3_ids_follow_from_the_number_of_the_call",
    "LastEdgeOnly": "test_g1_fan_out_reaches_every_edge",
    "IgnoresGroupings": "test_m1_equal_keys_meet",
    "UnstableHash": "test_m1_the_choice_does_not_depend_on_the_hash_seed",
    "TakesKeysForPlain": "test_m1_a_key_with_an_equality_of_its_own_is_refused",
    "ReversesItems": "test_m3_order_is_kept_on_an_edge",
    "IgnoresOrder": "test_m6_items_arrive_in_the_order_of_the_root",
    "DropsVoids": "test_m6_what_is_skipped_leaves_no_gap",
    "IgnoresBatchSize": "test_m7_no_batch_is_larger_than_batch_size",
    "SkipsWholeBatches": "test_m7_of_a_batch_that_fails_only_the_bad_items_are_skipped",
    "KeepsOutputOfFailedBatches": "test_m7_what_a_batch_that_fails_has_written_is_not_sent",
    "RepeatsChangedItems": "test_m7_a_batch_that_fails_is_repeated_with_its_items_as_they_were",
    "SharesItems": "test_m2_what_the_sender_does_later_is_not_seen",
    "SharesBuffers": "test_m2_a_buffer_can_be_filled_again",
    "SharesFunctions": "test_m2_what_a_function_holds_is_as_it_was_when_sent",
    "KeepsReadOnly": "test_m2_read_only_arrays_arrive_writable",
    "DeepCopiesPEs": "test_i2_the_copy_is_what_pickle_makes_of_the_pe",
    "LosesIdentity": "test_i8_options_are_the_strings_that_they_were",
    "CopiesThePlan": "test_c7_a_large_pe_is_held_by_those_that_run_it",
    "OpensFilesAgain": "test_i9_an_open_file_is_refused_and_stays_as_it_is",
    "JsonOnly": "test_m2_items_arrive_as_they_were_sent",
    "SwallowsExceptions": "test_c3_an_exception_stops_the_run",
    "HangsAfterAnException": "test_c3_an_exception_stops_the_run",
    "MissesBaseExceptions": "test_c3_an_exception_of_any_kind_is_the_pes",
    "LosesTheCause": "test_c3_the_cause_is_carried",
    "DiesAtSending": "test_c3_an_item_that_cannot_be_carried_is_skipped",
    "ForgetsFailures": "test_c3_all_failures_are_counted_and_handed_out",
    "SkipsPreprocess": "test_i2_preprocess_comes_first_and_once",
    "SkipsPostprocess": "test_i2_all_three_may_write",
    "LeavesFilesOpen": "test_i10_files_that_were_not_closed_hold_all_lines",
    "CutsThreads": "test_i10_threads_have_ended_when_the_program_has",
    "HoldsThreadsBack": "test_i5_it_goes_on_its_way_while_the_call_lasts",
    "DropsWhatThreadsWrite": "test_i5_threads_of_any_pe_may_write",
    "DropsLateWrites": "test_i5_a_write_between_two_calls_is_kept_or_fails_the_run",
    "KeepsPrintedLines": "test_c3_lines_printed_before_an_error_arrive",
    "TearsLines": "test_c2_lines_are_whole",
    "IsImpatientWithReaders": "test_c2_a_slow_reader_gets_all_lines",
    "IgnoresAFullDisk": "test_c3_what_cannot_be_printed_is_an_error",
    "HidesLogs": "test_i4_logs_are_shown_whatever_a_script_does_to_logging",
    "ReadsNothing": "test_i11_standard_input_is_read_or_empty_with_a_warning",
    "UnboundedQueue": "test_c6_a_fast_producer_waits",
    "GuessesSizes": "test_c6_large_items_that_look_small_make_a_producer_wait",
    "EndsByIdleTime": "test_c1_the_end_is_known_and_not_waited_for",
    "HangsAtTheEnd": "test_c1_the_end_is_known_and_not_waited_for",
    "LeaksAProcess": "test_c4_a_run_leaves_nothing_behind",
    "RefusesNothing": "test_d1_what_is_not_declared_is_refused",
    "LeavesStateAlone": "test_i6_a_strict_run_refuses_it",
    "TellsNothingOfState": "test_i6_state_that_is_not_declared_is_reported_once",
    "OneSeedForAll": "test_i7_another_seed_gives_other_numbers",
    "SeedsByProcess": "test_i7_the_same_seed_gives_the_same_numbers_on_every_mapping",
    "LosesStatistics": "test_c1_every_call_of_every_instance_is_counted",
    "NeverReports": "test_c1_progress_is_reported_while_a_run_goes_on",
    "ReportsNonsense": "test_c1_progress_is_reported_while_a_run_goes_on",
    "SleepsAtTheEnd": "test_c1_the_end_is_known_and_not_waited_for",
    "BeginsSilently": "test_c8_the_start_is_the_first_event_and_the_end_the_last",
    "CountsNothing": "test_c8_the_last_reports_add_up_to_all_that_was_done",
    "ReportsTwice": "test_c8_the_last_reports_add_up_to_all_that_was_done",
    "ReportsNegativeSeconds": "test_c8_the_last_reports_add_up_to_all_that_was_done",
    "LosesWrittenItems": "test_c8_the_last_reports_add_up_to_all_that_was_done",
    "HidesCalls": "test_c8_a_long_call_is_reported_before_it_ends",
    "ReportsDifferences": "test_c8_a_long_call_is_reported_before_it_ends",
    "DropsTheResultSoFar": "test_c9_a_run_that_fails_hands_out_what_it_had",
    "LosesWhatADeadWorkerHad": "test_c5_a_killed_worker",
    "LeavesPrograms": "test_c4_programs_of_a_pe_end_with_the_run",
    "StopsAfterTheCall": "test_c4_a_stop_during_a_long_call",
    "LeaksAThread": "test_c4_no_thread_is_left",
    "WaitsForAStoppedWorker": "test_c5_a_stopped_worker_is_reported",
    "ForksBesideThreads": "test_c1_a_run_starts_beside_native_threads",
}
#: What dispel4py did before d4py, and the mapping here that does the same.
KNOWN_DEFECTS = {
    "ends a run when nothing has come for a while": "EndsByIdleTime",
    "loses outputs": "DropsAnItem",
    "sends along the last edge only": "LastEdgeOnly",
    "never calls preprocess": "SkipsPreprocess",
    "never calls postprocess": "SkipsPostprocess",
    "hangs when a PE raises": "HangsAfterAnException",
    "swallows the item at which a PE raises": "SwallowsExceptions",
    "groups by a hash that differs between processes": "UnstableHash",
    "loses what a worker had when it dies": "LosesWhatADeadWorkerHad",
    "sends JSON only": "JsonOnly",
    "has no backpressure": "UnboundedQueue",
    "ends its workers whatever their threads do": "CutsThreads",
}
#: Seconds after which the test meant for a mutant counts as hung, where the mutant makes it go on
#: for ever. Its control has time enough on a busy machine.
DEADLINES = {
    "HangsAfterAnException": 2,
    "HangsAtTheEnd": 2,
    "LeaksAThread": 5,
    "SwallowsExceptions": 2,
    "HidesCalls": 5,
    "HoldsThreadsBack": 5,
    # A new interpreter for each run.
    "LeavesPrograms": 10,
    "StopsAfterTheCall": 10,
    "WaitsForAStoppedWorker": 10,
}
#: Passed by all mutants; the one that hangs at the end passes nothing that runs a graph.
CONTROL = "test_g1_fan_in_takes_from_every_edge"
OTHER_CONTROL = "test_standard_tests_are_overridden_with_a_reason_or_not_at_all"

#: A session of pytest that no settings outside of its folder apply to.
PYTEST = (
    *(sys.executable, "-m", "pytest", "-c", os.devnull),
    *("--rootdir=.", "-p", "no:cacheprovider"),
)
#: A test file with two classes for each of some mutants, each of which inherits two groups of
#: rules: one for the test meant for it and one for its control.
SESSION = """
    import pytest

    from d4py_conformance import MappingConformance, mutants
    from d4py_conformance.rules.graph import GraphRules


    def suite_of(name, test, timeout):
        groups = [group for group in MappingConformance.__mro__ if test in vars(group)]

        class Restricted(*groups, *{{GraphRules}}.difference(groups)):
            @pytest.fixture
            def frozen_options(self):
                return {{}}

            @pytest.fixture
            def mapping(self):
                return getattr(mutants, name)()

        Restricted.timeout = timeout
        return Restricted


    for name, test, timeout in {chosen}:
        globals()[f"Test{{name}}"] = suite_of(name, test, timeout)
        globals()[f"TestControl{{name}}"] = suite_of(name, test, 120)
"""

AUTHORS_FILE = """
    import pytest

    from d4py_conformance.mutants import {name}
    from d4py_conformance.rules.inputs import InputRules


    class TestMutant(InputRules):
        timeout = {timeout}

        @pytest.fixture
        def mapping(self):
            return {name}()
"""


def control_of(name):
    """Return the test that a mutant passes."""
    return OTHER_CONTROL if name == "HangsAtTheEnd" else CONTROL


def session_of(name):
    """Return the name of the session in which a mutant is tested: one of four of equal length."""
    if name in DEADLINES:
        return "mutants with a deadline"
    return f"mutants {[*CAUGHT_BY].index(name) % 3}"


def run_mutants(folder, names):
    """Run, in one session, two tests of each mutant: the one meant for it and its control.

    Returns:
        Mutant → test → whether it passed, parameters left out; a test passes with all of them.
    """
    file, results = folder / "test_session.py", folder / "results.xml"
    chosen = [(name, CAUGHT_BY[name], DEADLINES.get(name, 120)) for name in names]
    file.write_text(textwrap.dedent(SESSION.format(chosen=chosen)))
    tests = [
        f"{file.name}::{kind}{name}::{test}"
        for name in names
        for kind, test in (("Test", CAUGHT_BY[name]), ("TestControl", control_of(name)))
    ]
    session = subprocess.run(
        [*PYTEST, "-p", "no:xdist", f"--junitxml={results}", *tests],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert session.returncode == pytest.ExitCode.TESTS_FAILED, session.stdout + session.stderr
    found = {}
    for case in ElementTree.parse(results).iter("testcase"):
        mutant = case.get("classname").rpartition(".Test")[2].removeprefix("Control")
        assert case.find("error") is None, (mutant, case.find("error").text)
        assert case.find("skipped") is None, (mutant, case.get("name"))
        test = case.get("name").partition("[")[0]
        passed = found.setdefault(mutant, {}).get(test, True)
        found[mutant][test] = passed and case.find("failure") is None
    return found


@pytest.fixture(scope="session")
def outcomes(tmp_path_factory):
    """Return what the tests of a mutant show; those of many mutants share a session."""

    @cache
    def outcomes_of(session):
        names = [name for name in CAUGHT_BY if session_of(name) == session]
        return run_mutants(tmp_path_factory.mktemp("mutants"), names)

    return lambda name: outcomes_of(session_of(name))[name]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=pytest.mark.xdist_group(session_of(name)),
        )
        for name in CAUGHT_BY
    ],
)
def test_a_mutant_is_caught_by_the_test_meant_for_it(outcomes, name):
    assert outcomes(name) == {CAUGHT_BY[name]: False, control_of(name): True}


def test_every_mutant_has_a_test_that_is_meant_for_it():
    kinds = [kind for kind in vars(mutants).values() if isinstance(kind, type)]
    there = {kind.__name__ for kind in kinds if issubclass(kind, Sound)}
    assert there - {"Sound", "DeclaresNothing"} == set(CAUGHT_BY)


def test_every_known_defect_is_caught():
    assert set(KNOWN_DEFECTS.values()) <= set(CAUGHT_BY)


def test_a_hang_is_a_failure_with_the_stacks_of_all_processes(pytester):
    pytester.makepyfile(textwrap.dedent(AUTHORS_FILE.format(name="HangsAtTheEnd", timeout=2)))

    result = pytester.runpytest_subprocess("-k", "test_g4_zero_means_none")

    result.assert_outcomes(failed=1)
    text = str(result.stdout)
    assert "counts as hung" in text
    assert "worker.wait()" in text
    if not Path(sysconfig.get_path("scripts"), "py-spy").exists():
        pytest.skip("py-spy is not installed")
    assert "wait_for_ever" in text


def test_a_hang_that_no_exception_ends_ends_the_process_with_a_stack(pytester):
    lines = """
        import signal
        import threading

        from d4py_conformance.subprocesses import deadline

        deadline.AGAIN_SECONDS = 0.2


        class Deaf(Sound):
            def end(self):
                # As in a library that never comes back to Python.
                signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
                threading.Event().wait()
    """
    text = textwrap.dedent(AUTHORS_FILE.format(name="Sound", timeout=0.5))
    text = text.replace("class TestMutant", textwrap.dedent(lines) + "\n\nclass TestMutant")
    pytester.makepyfile(text.replace("return Sound", "return Deaf"))

    result = pytester.runpytest_subprocess("-k", "test_g4_zero_means_none", "-n0", timeout=60)

    assert result.ret == 1
    assert " in end\n" in str(result.stderr)


#: An exception that says whether there is a timer when it is shown.
ASKS = """
import signal

class Asks(Exception):
    def __str__(self):
        return f"the timer is {signal.getitimer(signal.ITIMER_REAL)}"
"""


def test_no_deadline_interrupts_the_report_on_a_failure(pytester):
    asking = """
        class Asking(Sound):
            def run(self, graph, inputs, options):
                raise Asks
    """
    text = textwrap.dedent(AUTHORS_FILE.format(name="Sound", timeout=60))
    text = text.replace("class TestMutant", f"{textwrap.dedent(asking)}\n\nclass TestMutant")
    pytester.makepyfile(ASKS + text.replace("return Sound", "return Asking"))

    result = pytester.runpytest_subprocess("-k", "test_g4_zero_means_none")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines("*Asks: the timer is (0.0, 0.0)")


def test_no_timer_interrupts_the_report_on_a_test_of_this_repository(pytester):
    tests = """
        def test_that_fails():
            raise Asks

        def test_that_passes():
            assert signal.getitimer(signal.ITIMER_REAL) > (0.0, 0.0)
    """
    pytester.makeconftest((Path(__file__).parents[2] / "conftest.py").read_text())
    pytester.makepyfile(ASKS + textwrap.dedent(tests))

    result = pytester.runpytest_subprocess("--timeout", "60")

    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines("*Asks: the timer is (0.0, 0.0)")


class TestSound(MappingConformance):
    """The mapping that the mutants derive from keeps all rules."""

    @pytest.fixture
    def mapping(self):
        return Sound()


class TestDeclaresNothing(MappingConformance):
    """So does one that declares as little as it can, and refuses the rest."""

    @pytest.fixture
    def mapping(self):
        return DeclaresNothing()
