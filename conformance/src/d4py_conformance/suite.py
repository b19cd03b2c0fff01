"""What all parts of the suite stand on: the fixtures, and how a test runs a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count, pairwise
from pathlib import Path
from typing import Any, final

import pytest

from d4py_conformance.subprocesses.isolated_run import IsolatedRun
from dispel4py import GenericPE, RunResult, WorkflowGraph, run
from dispel4py.mapping import Capabilities, Mapping
from dispel4py.registry import load_mapping

#: Runs a graph: ``execute(graph, inputs, **options of run)``.
Execute = Callable[..., RunResult]
#: The same in a process of its own: ``run_isolated(graph, inputs, **options of run)``.
RunIsolated = Callable[..., IsolatedRun]
#: Skips a test of what the mapping does not declare: ``require("stateful", …)``.
Require = Callable[..., None]

#: Part of the reason of a test that is skipped because of the mapping's declaration.
NOT_DECLARED = "does not declare"

#: How often `assert_soon` tries.
ATTEMPTS = 5

WHAT_TO_WRITE = (
    'return the name of an installed mapping, such as "simple", or a mapping, such as MyMapping()'
)

_GUARD = "test_standard_tests_are_overridden_with_a_reason_or_not_at_all"
#: Fixtures that decide what is tested, so an override could leave something out silently.
_OURS = ("loaded_mapping", "capabilities", "execute", "run_isolated", "require")


class Suite:
    """Base of the suite's parts.

    Attributes:
        timeout: seconds after which a test has hung, unless the test has a limit of its own.
    """

    timeout = 120.0

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if _GUARD in vars(cls):
            raise TypeError(f"{cls.__name__} overrides {_GUARD}, which looks for just that")

    @pytest.fixture
    def mapping(self) -> str | Mapping:
        """The mapping, or the name by which it is installed; override it."""
        pytest.fail(f"the test class has no fixture `mapping`; {WHAT_TO_WRITE}", pytrace=False)

    @pytest.fixture
    def options(self) -> dict[str, Any]:
        """Keyword arguments of `dispel4py.run` that all runs of this mapping get."""
        return {}

    @pytest.fixture
    def loaded_mapping(self, mapping: str | Mapping) -> Mapping:
        """The mapping itself; what is none fails the test here, before anything runs."""
        _check_mapping(mapping)
        return load_mapping(mapping) if isinstance(mapping, str) else mapping

    @pytest.fixture
    def capabilities(self, loaded_mapping: Mapping) -> Capabilities:
        """What the mapping declares."""
        return loaded_mapping.capabilities

    @pytest.fixture
    def execute(self, mapping: str | Mapping, options: dict[str, Any]) -> Execute:
        """See `Execute`."""

        def execute(graph: WorkflowGraph, inputs: Any = None, **more: Any) -> RunResult:
            _check_mapping(mapping)
            _check_options(options)
            return run(graph, mapping=mapping, inputs=inputs, **{**options, **more})

        return execute

    @pytest.fixture
    def run_isolated(
        self, mapping: str | Mapping, options: dict[str, Any], tmp_path: Path
    ) -> Iterator[RunIsolated]:
        """See `RunIsolated`."""
        numbers = count()
        started: list[IsolatedRun] = []

        def run_isolated(
            graph: WorkflowGraph,
            inputs: Any = None,
            *,
            environment: dict[str, str] | None = None,
            stdin: str = "",
            stdout: int | None = None,
            guarded: bool = True,
            **more: Any,
        ) -> IsolatedRun:
            _check_mapping(mapping)
            _check_options(options)
            folder = tmp_path / f"run{next(numbers)}"
            folder.mkdir()
            run_options = {**options, **more}
            started.append(
                IsolatedRun(
                    folder,
                    mapping,
                    graph,
                    inputs,
                    run_options,
                    environment,
                    stdin,
                    stdout,
                    guarded=guarded,
                )
            )
            return started[-1]

        yield run_isolated
        for isolated in started:
            isolated.kill()

    @pytest.fixture
    def require(self, loaded_mapping: Mapping, capabilities: Capabilities) -> Require:
        """See `Require`."""

        def require(*names: str) -> None:
            for name in names:
                if not getattr(capabilities, name):
                    pytest.skip(f"{loaded_mapping.name} {NOT_DECLARED} {name}")

        return require

    @final
    def test_standard_fixtures_give_a_mapping_and_options(
        self, loaded_mapping: Mapping, options: dict[str, Any]
    ) -> None:
        """The fixture of an author's file gives a mapping; this is the first test of all."""
        _check_options(options)

    @final
    def test_standard_tests_are_overridden_with_a_reason_or_not_at_all(self) -> None:
        """A standard test may be expected to fail, by xfail with `reason` and `strict`."""
        wrong = [name for name in overridden(type(self)) if not _has_reason(type(self), name)]
        assert not wrong, (
            f"standard tests that {type(self).__name__} overrides: {', '.join(wrong)}; mark each"
            " with @pytest.mark.xfail(reason=…, strict=…), or leave it as it is"
        )
        fixtures = [name for name in _OURS if not _is_standard(_definers(type(self), name)[0])]
        assert not fixtures, (
            f"fixtures of the suite that {type(self).__name__} overrides: {', '.join(fixtures)};"
            " those to give are `mapping` and `options`"
        )


def problem_of(mapping: object) -> str | None:
    """Return what keeps an object from being a mapping, and what to write; None if it is one."""
    if mapping is None:
        return f"the fixture `mapping` returned None; {WHAT_TO_WRITE}"
    if isinstance(mapping, type):
        return (
            f"the fixture `mapping` returned the class {mapping.__name__}; return an instance:"
            f" {mapping.__name__}()"
        )
    kind = type(mapping).__name__
    expected: dict[str, tuple[Callable[[Any], bool], str]] = {
        "name": (lambda value: isinstance(value, str), '    name = "my_mapping"'),
        "capabilities": (
            lambda value: isinstance(value, Capabilities),
            "    capabilities = Capabilities(stateful=True)",
        ),
        "add_arguments": (callable, "    def add_arguments(self, parser): ..."),
        "run": (callable, "    def run(self, graph, inputs, options): ..."),
    }
    lines = [
        line
        for name, (is_right, line) in expected.items()
        if not is_right(getattr(mapping, name, None))
    ]
    if not lines:
        return None
    return (
        f"what the fixture `mapping` returned, {mapping!r}, is no mapping; its class has to have:\n"
        + "\n".join([f"class {kind}:", *lines])
    )


def _check_mapping(mapping: object) -> None:
    problem = None if isinstance(mapping, str) else problem_of(mapping)
    if problem is not None:
        pytest.fail(problem, pytrace=False)


def _check_options(options: object) -> None:
    if not isinstance(options, dict):
        pytest.fail(
            f"the fixture `options` returned {options!r}; return a dict of keyword arguments of"
            ' dispel4py.run, such as {"processes": 4}',
            pytrace=False,
        )


def part_of(suite: type[Suite], name: str) -> int:
    """Return where among the suite's parts a test belongs; an author's own tests come last."""
    parts = [cls for cls in suite.__mro__ if _is_standard(cls)]
    owners = [cls for cls in _definers(suite, name) if _is_standard(cls)]
    if not owners:
        return len(parts)
    return -1 if owners[-1] is Suite else parts.index(owners[-1])


def overridden(suite: type[Suite]) -> list[str]:
    """Return names of the standard tests that a class defines anew."""
    return [
        name
        for name in dir(suite)
        if name.startswith("test")
        and any(_is_standard(cls) for cls in _definers(suite, name))
        and not _is_standard(_definers(suite, name)[0])
    ]


def _definers(suite: type, name: str) -> list[type]:
    return [cls for cls in suite.__mro__ if name in vars(cls)]


def _is_standard(cls: type) -> bool:
    return cls.__module__.partition(".")[0] == __package__


def _has_reason(suite: type, name: str) -> bool:
    marks = getattr(getattr(suite, name), "pytestmark", [])
    return any(
        mark.name == "xfail" and mark.kwargs.get("reason") and "strict" in mark.kwargs
        for mark in marks
    )


def assert_soon(measure: Callable[[], tuple[float, float]], seconds: float) -> None:
    """Fail unless something takes no longer than what came before it, and some seconds.

    A machine that is busy makes both longer, and the shortest of a few attempts counts of each;
    what a mapping waits for it waits for in each attempt.

    Args:
        measure: does it, and returns the seconds that it took, and those of what came before.
        seconds: how much more it may take.
    """
    took: list[float] = []
    before: list[float] = []
    while not took or min(took) >= seconds + min(before):
        assert len(took) < ATTEMPTS, f"took {took} s; before: {before} s"
        for measured, numbers in zip(measure(), (took, before), strict=True):
            numbers.append(measured)


def chain(*pes: GenericPE | WorkflowGraph) -> WorkflowGraph:
    """Return a graph in which each PE's ``output`` is joined to the next one's ``input``."""
    graph = WorkflowGraph()
    graph.add(pes[0])
    for source, destination in pairwise(pes):
        graph.connect(source, "output", destination, "input")
    return graph


def results(run_result: RunResult, pe_id: str, output: str = "output") -> list[Any]:
    """Return what came out of one output."""
    return run_result.outputs.get(pe_id, {}).get(output, [])
