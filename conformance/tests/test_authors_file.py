"""What an author may and may not do with the suite in a test file."""

import textwrap

import pytest

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
