"""`run`: what it asks a mapping for."""

import argparse

import pytest

from dispel4py import WorkflowGraph, run, running
from dispel4py.errors import OptionError
from dispel4py.mappings.simple import SimpleMapping
from dispel4py.processes import cores as processes
from dispel4py.result import RunResult, RunStats


class Mapping:
    """Takes down the options that it is run with."""

    name = "test"

    def add_arguments(self, parser: argparse.ArgumentParser):
        parser.add_argument("--speed", type=int, default=1)

    def run(self, graph, inputs, options):
        self.ran = (graph, inputs, options)
        return RunResult({}, [], RunStats(self.name))


@pytest.fixture
def mapping(monkeypatch):
    mapping = Mapping()
    monkeypatch.setattr(running, "load_mapping", lambda name: mapping)
    return mapping


def test_a_mapping_gets_graph_inputs_and_options(mapping):
    graph = WorkflowGraph()
    assert run(graph, "test", 5, 3, on_error="skip", speed=2).stats.mapping == "test"
    ran, inputs, options = mapping.ran
    assert ran is graph
    assert (inputs, options.processes, options.on_error) == (5, 3, "skip")
    assert options.extra == {"speed": 2}


def test_auto_is_one_process_per_core(mapping, monkeypatch):
    run(WorkflowGraph(), "test", processes="auto")
    assert mapping.ran[2].processes == processes.usable_cores() >= 1
    monkeypatch.setattr(processes, "usable_cores", lambda: 48)
    run(WorkflowGraph(), "test", processes="auto")
    assert mapping.ran[2].processes == 48


def test_cores_are_counted_where_they_cannot_be_chosen(monkeypatch):
    monkeypatch.delattr(processes.os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(processes.os, "cpu_count", lambda: None)
    assert processes.usable_cores() == 1
    monkeypatch.setattr(processes.os, "cpu_count", lambda: 8)
    assert processes.usable_cores() == 8


def test_any_other_word_is_refused(mapping):
    with pytest.raises(OptionError, match="'all'"):
        run(WorkflowGraph(), "test", processes="all")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name a server, with --redis-url", "name a server, with redis_url"),
        ("set D4PY_KEY or use --redis-url.", "set D4PY_KEY or use redis_url."),
        ("no file key (--redis-url or $D4PY_KEY)", "no file key (redis_url or $D4PY_KEY)"),
        ("none after 3 s (--speed)", "none after 3 s (speed)"),
        ("more time: --speed SECONDS", "more time: speed=SECONDS"),
        ("they are: --speed 'a --b'", "they are: speed='a --b'"),
        ("add --mpi=pmi2, or --volume; --", "add --mpi=pmi2, or --volume; --"),
        ("or: dispel4py x --speed 3; --speed", "or: dispel4py x --speed 3; speed"),
    ],
)
def test_errors_of_run_name_options_as_keywords(text, expected):
    class Refusing(SimpleMapping):
        def add_arguments(self, parser):
            parser.add_argument("--speed")
            parser.add_argument("--redis-url")

        def run(self, graph, inputs, options):
            raise OptionError(text)

    with pytest.raises(OptionError) as raised:
        run(WorkflowGraph(), Refusing())
    assert str(raised.value) == expected
