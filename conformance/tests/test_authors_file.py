"""What an author may and may not do with the suite in a test file."""

import textwrap

import pytest
from hypothesis.strategies import integers, lists

from d4py_conformance import MappingConformance
from d4py_conformance.expected import random_graphs as expected
from d4py_conformance.rules import random_graphs as rules
from dispel4py.engine.planning.capabilities import Capabilities

pytest_plugins = ["pytester"]

GUARD = "test_standard_tests_are_overridden_with_a_reason_or_not_at_all"
TEST = "test_g4_zero_means_none"

FILE = """
    import pytest

    from d4py_conformance import MappingConformance
    from dispel4py.registry import Capabilities
"""
CLASS = """
    class {name}(MappingConformance):
        @pytest.fixture
        def mapping(self):
            return "simple"

"""


def class_of(name, lines=""):
    """Return the text of a test class of `FILE` that goes on with these lines."""
    text = textwrap.dedent(CLASS).format(name=name)
    return text + textwrap.indent(textwrap.dedent(lines), "    ")


@pytest.fixture
def run_classes(pytester):
    """Runs the guard and one standard test, or other tests, of a file with these classes."""

    def run_classes(*classes, tests=f"{GUARD} or {TEST}"):
        pytester.makepyfile("\n\n".join([textwrap.dedent(FILE), *classes]))
        return pytester.runpytest_inprocess("-k", tests, "-p", "no:xdist")

    return run_classes


@pytest.fixture(autouse=True)
def _whole_reasons(monkeypatch):
    """Let pytest print reasons whole in its summary, as in CI, however wide the terminal."""
    monkeypatch.setenv("CI", "true")


def reasons(result):
    """Test class → test → the reason for which it has failed."""
    found = {}
    for line in result.outlines:
        test, _, reason = line.partition(" - ")
        if test.startswith(("ERROR ", "FAILED ")) and "::" in test:
            _, kind, name = test.split("::")
            found.setdefault(kind, {})[name] = reason
    return found


def test_two_fixtures_are_enough(run_classes):
    run_classes(class_of("TestMine")).assert_outcomes(passed=2)


def test_overriding_a_standard_test_without_a_reason_is_a_failure(run_classes):
    overrides = {
        "TestPasses": f"def {TEST}(self): pass",
        "TestIsNone": f"{TEST} = None",
        "TestSkips": f"@pytest.mark.skip(reason='no time')\ndef {TEST}(self): pass",
        "TestXfail": f"@pytest.mark.xfail\ndef {TEST}(self): assert False",
        "TestStrict": f"@pytest.mark.xfail(strict=True)\ndef {TEST}(self): assert False",
        "TestReason": f"@pytest.mark.xfail(reason='it is hard')\ndef {TEST}(self): assert False",
    }
    failed = reasons(run_classes(*map(class_of, overrides, overrides.values())))
    assert {kind: [*tests] for kind, tests in failed.items()} == {
        kind: [GUARD] for kind in overrides
    }
    for tests in failed.values():
        assert f"{TEST}; mark each" in tests[GUARD]


def test_overriding_a_fixture_of_the_suite_is_a_failure(run_classes):
    override = "@pytest.fixture\ndef {}(self): pytest.skip('no time')"
    overrides = {"TestRequire": "require", "TestExecute": "execute"}
    classes = [class_of(kind, override.format(name)) for kind, name in overrides.items()]
    failed = reasons(run_classes(*classes))
    assert set(failed) == set(overrides)
    for kind, name in overrides.items():
        assert [*failed[kind]] == [GUARD]
        assert f"overrides: {name}; those to give are" in failed[kind][GUARD]


def test_the_test_that_finds_overrides_cannot_be_overridden():
    with pytest.raises(TypeError, match=f"TestMine overrides {GUARD}"):
        type("TestMine", (MappingConformance,), {GUARD: lambda self: None})


def test_a_standard_test_may_be_expected_to_fail_with_a_reason(run_classes):
    override = f"""
        @pytest.mark.xfail(reason="zero is hard", strict=True)
        def {TEST}(self, execute):
            assert False
        """
    run_classes(class_of("TestMine", override)).assert_outcomes(passed=1, xfailed=1)


MAPPING = """
    class {name}:
        name = "mine"
        capabilities = Capabilities(stateful=True)

        def add_arguments(self, parser):
            pass

        def run(self, graph, inputs, options):
            return 1
"""
#: What the fixture `mapping` does, and what a user is told.
BAD_FIXTURES = {
    "AClass": ("return AClass", "returned the class AClass; return an instance: AClass()"),
    "Nothing": ("pass", "returned None; return the name of an installed mapping"),
    "Without": ("del Without.capabilities; return Without()", "capabilities = Capabilities("),
    "Wrong": ("Wrong.capabilities = {}; return Wrong()", "capabilities = Capabilities("),
    "NoName": ("del NoName.name; return NoName()", 'name = "my_mapping"'),
    "NoRun": ("del NoRun.run; return NoRun()", "def run(self, graph, inputs, options)"),
    "ANumber": ("return 7", "what the fixture `mapping` returned, 7, is no mapping"),
}


def test_what_is_no_mapping_is_reported_at_once_with_what_to_write(run_classes):
    classes = [
        textwrap.dedent(MAPPING).format(name=name)
        + class_of(f"Test{name}").replace('return "simple"', returns)
        for name, (returns, _) in BAD_FIXTURES.items()
    ]
    first = "test_standard_fixtures_give_a_mapping_and_options"
    result = run_classes(*classes, tests=first)
    assert result.parseoutcomes()["errors"] == len(BAD_FIXTURES)
    text = str(result.stdout)
    for name, (_, message) in BAD_FIXTURES.items():
        _, _, section = text.partition(f"_ ERROR at setup of Test{name}.{first} _")
        assert message in section.partition("_ ERROR at setup of ")[0]
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text


def test_a_missing_fixture_is_reported(run_classes):
    text = "class TestMine(MappingConformance): pass"
    failed = reasons(run_classes(text, tests=f"{TEST} or fixtures"))["TestMine"]
    assert len(failed) == 2
    for reason in failed.values():
        assert "the test class has no fixture `mapping`" in reason


def test_options_that_are_no_dict_are_reported(run_classes):
    result = run_classes(class_of("TestMine", "@pytest.fixture\ndef options(self): return 4"))
    result.assert_outcomes(passed=1, failed=1)
    assert "the fixture `options` returned 4; return a dict" in reasons(result)["TestMine"][TEST]


def order_of(result):
    """Names of the tests in the order in which they were run, parameters left out."""
    ran = [line for line in result.outlines if line.startswith("test_") and "::" in line]
    return list(dict.fromkeys(line.split("::")[2].split()[0].partition("[")[0] for line in ran))


def test_what_is_simple_comes_first_and_random_graphs_last(pytester):
    own = "def test_an_authors_own(self): pass"
    pytester.makepyfile(textwrap.dedent(FILE) + class_of("TestMine", own))
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
    monkeypatch.setattr(rules, "SHRINK_SECONDS", -1.0)
    # Lists stand for graphs, which take long to draw.
    monkeypatch.setattr(expected, "random_graphs", lambda capabilities: lists(integers()))
    seen = []

    def check(graph):
        seen.append(graph)
        if len(graph) > 2:
            raise AssertionError(f"a graph of {len(graph)} edges")

    with pytest.raises(AssertionError, match=r"a graph of \d+ edges"):
        rules._for_some(16, Capabilities(stateful=True), check)
    at = seen.index(seen[-1])
    assert all(graph == seen[-1] for graph in seen[at:])
