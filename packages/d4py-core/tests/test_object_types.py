"""Objects that cannot say, or had better not be asked, what they are."""

import weakref

import pytest

from dispel4py import ConsumerPE, ProducerPE, WorkflowGraph, run
from dispel4py.loading import load_graph
from dispel4py.object_types import is_of_type
from dispel4py.utils import total_size


class Unbound:
    def __getattribute__(self, name):
        raise RuntimeError("working outside of an application context")


class Lazy:
    @property
    def __class__(self):
        return dict


def gone():
    return weakref.proxy(type("Parent", (), {})())


@pytest.mark.parametrize("make", [Unbound, Lazy, gone])
def test_an_object_is_asked_nothing(make):
    assert not is_of_type(make(), dict)
    assert not is_of_type(make(), int | dict)
    assert not is_of_type(make(), (list, dict))
    assert is_of_type(make(), object)


def test_a_bool_is_an_int():
    assert is_of_type(True, int)


WORKFLOW = """
import weakref
from dispel4py import IterativePE, ProducerPE, WorkflowGraph

class Unbound:
    def __getattribute__(self, name):
        raise RuntimeError("working outside of an application context")

class Numbers(ProducerPE):
    def _process(self, inputs):
        return 1

class Holds(IterativePE):
    in_class = Unbound()
    def __init__(self):
        super().__init__()
        self.given = Unbound
    def _preprocess(self):
        self.held = [self.given(), weakref.proxy(Holds()), {"inside": current_app}]
    def _process(self, data):
        return data if current_app is not None else None

current_app, parent = Unbound(), weakref.proxy(Holds())
graph = WorkflowGraph()
graph.connect(Numbers(), "output", Holds(), "input")
"""


@pytest.fixture
def workflow(tmp_path):
    """Loads a workflow, given its text."""

    def load(text):
        file = tmp_path / "holds_proxies.py"
        file.write_text(text, encoding="utf-8")
        return load_graph(str(file))

    return load


def test_a_workflow_may_have_them_as_global_variables_and_attributes(workflow):
    assert run(workflow(WORKFLOW), inputs=2).outputs == {"Holds1": {"output": [1, 1]}}


def test_they_have_a_size():
    assert total_size([Unbound(), gone()]) > total_size([])


def test_a_proxy_of_an_open_file_is_written_out(tmp_path):
    class Proxy:
        """Does all that a file does, and says that it is one."""

        def __init__(self, file):
            object.__setattr__(self, "file", file)

        def __getattribute__(self, name):
            return getattr(object.__getattribute__(self, "file"), name)

        __class__ = property(lambda self: type(object.__getattribute__(self, "file")))

    class Logs(ConsumerPE):
        def _preprocess(self):
            self.log_file = Proxy(kept[0])

        def _process(self, data):
            self.log_file.write(f"{data}\n")

    with open(tmp_path / "log.txt", "w", encoding="utf-8") as file:
        kept = [file]
        graph = WorkflowGraph()
        graph.connect(Numbers(), "output", Logs(), "input")
        run(graph, inputs=2)
        assert (tmp_path / "log.txt").read_text(encoding="utf-8") == "1\n1\n"


class Numbers(ProducerPE):
    def _process(self, inputs):
        return 1


def test_a_pe_that_fails_may_have_them(workflow):
    graph = workflow(WORKFLOW.replace("return data if", "return data / 0 if"))
    result = run(graph, inputs=2, on_error="skip")
    assert [failure.pe_id for failure in result.failures] == ["Holds1"] * 2
