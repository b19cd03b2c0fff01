"""Old import paths of mappings: `process`, `process_and_return`, their results and options."""

import argparse
import importlib
import queue
import textwrap

import pytest
from core_helpers.old_workflow import Source, Two

from dispel4py import IterativePE, WorkflowGraph, create_iterative_chain
from dispel4py.errors import InputError, OptionError, ProcessingError, UnknownMappingError
from dispel4py.new import mappings, processor, simple_process
from dispel4py.registry import available

PATHS = {
    "multi_process": "multi",
    "mpi_process": "mpi",
    "zmq_multi": "zmq_multi",
    "new_dynamic": "dyn_multi",
    "new_dynamic_auto": "dyn_auto_multi",
    "new_dynamic_redis": "dyn_redis",
    "new_dynamic_redis_auto": "dyn_auto_redis",
    "new_hybrid_redis": "hybrid_redis",
    "dynamic_redis": "redis",
}

# A mapping that runs like simple, under the name of another, and says what it was asked for.
MAPPING = """
    from dispel4py.mappings.simple import SimpleMapping

    asked = []

    class Pretender(SimpleMapping):
        name = "pretender"

        def add_arguments(self, parser):
            parser.add_argument("-s", "--simple", action="store_true")
            parser.add_argument("-ri", "--redis-ip", default="localhost")
            parser.add_argument("-rp", "--redis-port", type=int, default=6379)

        def run(self, graph, inputs, options):
            asked.append(options)
            return super().run(graph, inputs, options)
"""


class Nothing(IterativePE):
    def _process(self, data):
        self.write("output", None)


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def two():
    return Two()


@pytest.fixture
def graph(source, two):
    graph = WorkflowGraph()
    graph.connect(source, "output", two, "input")
    return graph


@pytest.fixture
def pretender(tmp_path, monkeypatch):
    """Installs MAPPING under every old name; gives the options of its runs."""
    info = tmp_path / "pretender-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pretender\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[dispel4py.mappings]\n"
        + "".join(f"{name} = pretender_mapping:Pretender\n" for name in PATHS.values())
    )
    (tmp_path / "pretender_mapping.py").write_text(textwrap.dedent(MAPPING))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(importlib.sys.modules, "pretender_mapping", raising=False)
    return importlib.import_module("pretender_mapping").asked


def old(path):
    return importlib.import_module(f"dispel4py.new.{path}")


class TestSimple:
    def test_results_are_returned_by_id_and_output(self, graph, source):
        results = simple_process.process_and_return(graph, {source: 2})
        assert results == {"Two1": {"a": [1, 2], "b": [-1, -2]}}

    def test_afterwards_pes_have_the_ids_of_the_results(self, graph, source, two):
        results = simple_process.process_and_return(graph, {source: 1})
        assert results == {two.id: {"a": [1], "b": [-1]}}

    def test_running_twice_gives_the_same_results(self, graph, source):
        """G5"""
        first = simple_process.process_and_return(graph, {source: 2})
        assert simple_process.process_and_return(graph, {source.id: 2}) == first

    @pytest.mark.parametrize("key", ["Source", "Source0"])
    def test_inputs_go_by_name_or_id(self, graph, key):
        results = simple_process.process_and_return(graph, inputs={key: [{"value": 7}]})
        assert results == {"Two1": {"a": [7], "b": [-7]}}

    def test_empty_inputs_are_one_call(self, graph):
        assert simple_process.process_and_return(graph, {}) == {"Two1": {"a": [1], "b": [-1]}}

    def test_process_prints_the_outputs(self, graph, source, capsys):
        simple_process.process(graph, {source: 1})
        assert capsys.readouterr().out == "Outputs: {'Two1': {'a': [1], 'b': [-1]}}\n"

    def test_what_a_pe_raises_reaches_the_caller(self, graph):
        with pytest.raises(ProcessingError, match="Two1"):
            simple_process.process_and_return(graph, {"Source": [{"value": "text"}]})

    def test_wrong_inputs_are_refused(self, graph):
        with pytest.raises(InputError, match="nobody"):
            simple_process.process_and_return(graph, {"nobody": 1})


class TestResultMappings:
    def test_only_what_is_named_is_returned(self, graph, two):
        for key in (two, "Two", "Two1"):
            results = simple_process.process_and_return(graph, {"Source": 2}, {key: ["a"]})
            assert results == {"Two1": {"a": [1, 2]}}

    def test_a_connected_output_can_be_named(self, graph, source):
        results = simple_process.process_and_return(
            graph, {"Source": 2}, {source: ["output"], "Two1": ["b"]}
        )
        assert results == {"Source0": {"output": [1, 2]}, "Two1": {"b": [-1, -2]}}

    def test_a_pe_in_a_composite_can_be_named(self):
        chain = create_iterative_chain([abs, str])
        graph = WorkflowGraph()
        graph.connect(Source(), "output", chain, "input")
        results = simple_process.process_and_return(
            graph, [{"value": -3}], resultmappings={"PE_abs1": ["output"]}
        )
        assert results == {"PE_abs1": {"output": [3]}}

    def test_none_can_be_a_result(self):
        graph = WorkflowGraph()
        graph.connect(Source(), "output", Nothing(), "input")
        graph.connect(graph.get_contained_objects()[1], "output", Nothing(), "input")
        results = simple_process.process_and_return(graph, {}, {"Nothing1": ["output"]})
        assert results == {"Nothing1": {"output": [None]}}

    def test_the_graph_is_left_as_it_was(self, graph, source):
        """G5"""
        before = graph.get_contained_objects(), list(graph.edges)
        simple_process.process_and_return(graph, {}, {source: ["output"]})
        assert (graph.get_contained_objects(), graph.edges) == before

    def test_process_prints_what_is_named(self, graph, capsys):
        assert simple_process.process(graph, {}, None, {"Two": ["a"]}) is None
        assert capsys.readouterr().out == "Outputs: {'Two1': {'a': [1]}}\n"

    @pytest.mark.parametrize(
        ("resultmappings", "message"),
        [
            ({"Three": ["a"]}, "'Three', which is no PE of the graph .*'Source0' and 'Two1'"),
            ({"Two": ["c"]}, "'c' of Two1, which has 'a' and 'b'"),
        ],
    )
    def test_what_is_not_there_is_refused(self, graph, resultmappings, message):
        with pytest.raises(OptionError, match=message):
            simple_process.process_and_return(graph, {}, resultmappings)


@pytest.mark.parametrize(("path", "name"), PATHS.items())
class TestEveryPath:
    def test_it_runs_its_mapping(self, pretender, graph, source, capsys, path, name):
        result = old(path).process(graph, {source: 2}, argparse.Namespace(num=4))
        assert result.outputs == {"Two1": {"a": [1, 2], "b": [-1, -2]}}
        assert capsys.readouterr().out == f"Outputs: {result.outputs}\n"
        assert len(pretender) == 1

    def test_it_is_in_the_config(self, path, name):
        assert mappings.config[name] == f"dispel4py.new.{path}"
        assert processor.mapping_name(f"dispel4py.new.{path}") == name

    def test_a_missing_package_is_answered_with_the_pip_line(self, graph, path, name):
        if name in available():
            pytest.skip(f"the mapping {name} is installed here")
        with pytest.raises(UnknownMappingError, match="pip install"):
            old(path).process(graph, {}, argparse.Namespace(num=2))
        with pytest.raises(UnknownMappingError, match="pip install"):
            old(path).parse_args(["-n", "2"], argparse.Namespace())


class TestArgs:
    process = staticmethod(old("multi_process").process)
    parse_args = staticmethod(old("multi_process").parse_args)

    def test_attributes_become_options(self, pretender, graph):
        args = argparse.Namespace(num=3, simple=True, redis_ip="there", file=None, attr="graph")
        self.process(graph, {}, args)
        (options,) = pretender
        assert options.processes == 3
        assert options.extra == {"simple": True, "redis_ip": "there", "redis_port": 6379}

    @pytest.mark.parametrize("args", [None, object(), argparse.Namespace(redis_ip=None, num=None)])
    def test_what_is_not_given_is_the_default(self, pretender, graph, args):
        self.process(graph, {}, args)
        (options,) = pretender
        assert options.processes is None
        assert options.extra == {"simple": False, "redis_ip": "localhost", "redis_port": 6379}

    def test_the_class_namespace_itself_will_do(self, pretender, graph):
        class Args:
            num = 2
            simple = False

        self.process(graph, {}, Args)
        assert pretender[0].processes == 2

    def test_no_process_is_refused(self, pretender, graph):
        with pytest.raises(OptionError, match="it must be at least 1"):
            self.process(graph, {}, argparse.Namespace(num=0))

    def test_results_come_as_a_queue_that_ends(self, pretender, graph, source, capsys):
        results = self.process(graph, {source: 2}, argparse.Namespace(num=2, results=True))
        found = list(iter(lambda: results.get(timeout=60), processor.STATUS_TERMINATED))
        assert sorted(found) == [
            ("Two1", "a", 1),
            ("Two1", "a", 2),
            ("Two1", "b", -2),
            ("Two1", "b", -1),
        ]
        with pytest.raises(queue.Empty):
            results.get_nowait()
        assert capsys.readouterr().out == ""

    @pytest.mark.parametrize("flag", ["-n", "--num", "--num_processes"])
    def test_the_options_of_the_mapping_are_parsed(self, pretender, flag):
        given = argparse.Namespace(before=1)
        args = self.parse_args([flag, "4", "-ri", "there", "-s"], given)
        assert args is given
        assert vars(args) == {
            "before": 1,
            "num": 4,
            "simple": True,
            "redis_ip": "there",
            "redis_port": 6379,
        }

    def test_parsed_options_are_what_process_takes(self, pretender, graph):
        self.process(graph, {}, self.parse_args(["-n", "4", "-rp", "7"], argparse.Namespace()))
        (options,) = pretender
        assert options.processes == 4
        assert options.extra["redis_port"] == 7

    def test_an_unknown_option_is_refused(self, pretender, capsys):
        with pytest.raises(SystemExit) as caught:
            self.parse_args(["--nonsense"], argparse.Namespace())
        assert caught.value.code == 2
        assert "--nonsense" in capsys.readouterr().err


def test_every_name_in_the_config_leads_to_a_module_with_process():
    for name, path in mappings.config.items():
        assert callable(importlib.import_module(path).process), name


def test_options_of_simple_are_taken_by_process_and_return(graph):
    args = argparse.Namespace(num=1, results=False)
    expected = {"Two1": {"a": [1], "b": [-1]}}
    assert simple_process.process_and_return(graph, {}, args=args) == expected
    assert simple_process.process_and_return(graph, {}, {"Two": ["a"]}, args) == {
        "Two1": {"a": [1]}
    }
