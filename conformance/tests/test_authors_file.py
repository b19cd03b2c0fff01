"""What an author may and may not do with the suite in a test file."""

import textwrap

import pytest

from d4py_conformance.rules import random_graphs
from dispel4py.engine.capabilities import Capabilities

pytest_plugins = ["pytester"]

GUARD = "test_standard_tests_are_overridden_with_a_reason_or_not_at_all"
TEST = "test_g4_zero_means_none"

FILE = """
    import pytest

    from d4py_conformance import MappingConformance


    class TestMine(MappingConformance):
        @pytest.fixture
        def mapping(self):
            return "simple"

"""


@pytest.fixture
def run_file(pytester):
    """Runs the guard and one standard test of a file that goes on with these lines."""

    def run_file(lines=""):
        text = textwrap.dedent(FILE) + textwrap.indent(textwrap.dedent(lines), "    ")
        pytester.makepyfile(text)
        return pytester.runpytest_inprocess("-k", f"{GUARD} or {TEST}", "-p", "no:xdist")

    return run_file


def test_two_fixtures_are_enough(run_file):
    run_file().assert_outcomes(passed=2)


@pytest.mark.parametrize(
    "lines",
    [
        f"def {TEST}(self): pass",
        f"{TEST} = None",
        f"@pytest.mark.skip(reason='no time')\ndef {TEST}(self): pass",
        f"@pytest.mark.xfail\ndef {TEST}(self): assert False",
        f"@pytest.mark.xfail(strict=True)\ndef {TEST}(self): assert False",
        f"@pytest.mark.xfail(reason='zero is hard')\ndef {TEST}(self): assert False",
    ],
)
def test_overriding_a_standard_test_without_a_reason_is_a_failure(run_file, lines):
    result = run_file(lines)
    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines([f"*{TEST}; mark each*"])


@pytest.mark.parametrize("fixture", ["require", "execute"])
def test_overriding_a_fixture_of_the_suite_is_a_failure(run_file, fixture):
    result = run_file(f"@pytest.fixture\ndef {fixture}(self): pytest.skip('no time')")
    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines([f"*overrides: {fixture}; those to give are*"])


def test_the_test_that_finds_overrides_cannot_be_overridden(run_file):
    result = run_file(f"def {GUARD}(self): pass")
    assert result.parseoutcomes() == {"errors": 1}
    result.stdout.fnmatch_lines([f"*TypeError: TestMine overrides {GUARD}*"])


def test_a_standard_test_may_be_expected_to_fail_with_a_reason(run_file):
    result = run_file(
        f"""
        @pytest.mark.xfail(reason="zero is hard", strict=True)
        def {TEST}(self, execute):
            assert False
        """
    )
    result.assert_outcomes(passed=1, xfailed=1)


MAPPING = """
    class Mine:
        name = "mine"
        capabilities = Capabilities(stateful=True)

        def add_arguments(self, parser):
            pass

        def run(self, graph, inputs, options):
            return 1
"""
BAD_FIXTURES = {
    "a class": ("return Mine", "returned the class Mine; return an instance: Mine()"),
    "nothing": ("pass", "returned None; return the name of an installed mapping"),
    "no capabilities": ("del Mine.capabilities; return Mine()", "capabilities = Capabilities("),
    "wrong capabilities": ("Mine.capabilities = {}; return Mine()", "capabilities = Capabilities("),
    "no name": ("del Mine.name; return Mine()", 'name = "my_mapping"'),
    "no run": ("del Mine.run; return Mine()", "def run(self, graph, inputs, options)"),
    "a number": ("return 7", "what the fixture `mapping` returned, 7, is no mapping"),
}


@pytest.fixture(autouse=True)
def _whole_reasons(monkeypatch):
    """Let pytest print reasons whole in its summary, as in CI, however wide the terminal."""
    monkeypatch.setenv("CI", "true")


def only_line(result):
    """The reason of each test that has failed; they are all the same."""
    (line,) = {
        line.partition(" - ")[2] for line in result.outlines if line.startswith(("ERROR", "FAILED"))
    }
    return line


@pytest.mark.parametrize("kind", BAD_FIXTURES)
def test_what_is_no_mapping_is_told_at_once_with_what_to_write(pytester, kind):
    returns, message = BAD_FIXTURES[kind]
    text = textwrap.dedent(FILE).replace('return "simple"', returns)
    text = text.replace("class TestMine", textwrap.dedent(MAPPING) + "\n\nclass TestMine")
    pytester.makepyfile("from dispel4py.registry import Capabilities\n" + text)
    result = pytester.runpytest_inprocess("-p", "no:xdist", "-x")
    assert result.parseoutcomes() == {"errors": 1}
    text = str(result.stdout)
    assert "test_standard_fixtures_give_a_mapping_and_options" in text
    assert message in text
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text


def test_a_missing_fixture_is_told_so(pytester):
    pytester.makepyfile(
        """
        from d4py_conformance import MappingConformance

        class TestMine(MappingConformance):
            pass
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:xdist", "-k", f"{TEST} or fixtures")
    assert result.parseoutcomes()["errors"] == 2
    assert "the test class has no fixture `mapping`" in only_line(result)


def test_options_that_are_no_dict_are_told_so(run_file):
    result = run_file("@pytest.fixture\ndef options(self): return 4")
    result.assert_outcomes(passed=1, failed=1)
    assert "the fixture `options` returned 4; return a dict" in only_line(result)


def order_of(result):
    """Names of the tests in the order in which they were run, parameters left out."""
    ran = [line for line in result.outlines if line.startswith("test_") and "::" in line]
    return list(dict.fromkeys(line.split("::")[2].split()[0].partition("[")[0] for line in ran))


def test_what_is_simple_comes_first_and_random_graphs_last(pytester):
    text = textwrap.dedent(FILE) + "    def test_an_authors_own(self): pass\n"
    pytester.makepyfile(text)
    arguments = ("-p", "no:xdist", "--collect-only", "-q")
    names = order_of(pytester.runpytest_inprocess(*arguments))
    assert names[:3] == [
        "test_standard_fixtures_give_a_mapping_and_options",
        GUARD,
        "test_g1_fan_out_reaches_every_edge",
    ]
    assert names[-5:] == [
        "test_workflow",
        "test_c2_random_graphs_give_what_the_model_says",
        "test_m5_ids_are_unique_and_those_of_every_mapping",
        "test_m6_random_graphs_have_the_order_of_every_mapping",
        "test_an_authors_own",
    ]


def test_a_random_graph_that_fails_is_made_smaller_for_a_while_only(monkeypatch):
    monkeypatch.setattr(random_graphs, "SHRINK_SECONDS", -1.0)
    seen = []

    def check(graph):
        seen.append(repr(graph))
        if len(graph.edges) > 2:
            raise AssertionError(f"a graph of {len(graph.edges)} edges")

    with pytest.raises(AssertionError, match=r"a graph of \d+ edges"):
        random_graphs._for_some(16, Capabilities(stateful=True), check)
    at = next(i for i, text in enumerate(seen) if text == seen[-1])
    assert set(seen[at:]) == {seen[-1]}
