"""`GenericPE` by itself, as authors write and test it outside a run."""

import copy
import logging
import pickle

import pytest

from dispel4py.core import GROUPING, NAME, OPTIONAL, TYPE, WRITER, GenericPE


class Double(GenericPE):
    def __init__(self):
        super().__init__()
        self._add_input("number")
        self._add_output("double")

    def _process(self, inputs):
        return {"double": 2 * inputs["number"]}


def test_process_calls_what_the_author_overrode():
    assert Double().process({"number": 4}) == {"double": 8}


def test_life_cycle_methods_do_nothing_unless_overridden():
    pe = GenericPE()

    assert pe.preprocess() is None
    assert pe.process({}) is None
    assert pe.postprocess() is None


@pytest.mark.parametrize("phase", ["preprocess", "postprocess"])
def test_underscored_twins_are_called(phase):
    called = []
    pe = type("Told", (GenericPE,), {f"_{phase}": lambda self: called.append(phase)})()

    getattr(pe, phase)()

    assert called == [phase]


def test_new_pe_is_named_after_its_class_and_has_one_process():
    pe = Double()

    assert (pe.name, pe.id, pe.numprocesses, pe.single, pe.stateful) == (
        "Double",
        "Double",
        1,
        False,
        None,
    )
    assert GenericPE(5).numprocesses == 5


def test_ports_keep_what_was_declared():
    pe = GenericPE()
    pe._add_input("plain")
    pe._add_input("full", grouping=[0], tuple_type=["word"], optional=True)
    pe._add_output("out", tuple_type=["count"])

    assert pe.inputconnections == {
        "plain": {NAME: "plain"},
        "full": {NAME: "full", GROUPING: [0], TYPE: ["word"], OPTIONAL: True},
    }
    assert pe.outputconnections == {"out": {NAME: "out", TYPE: ["count"]}}


def test_types_are_set_on_known_inputs_and_read_from_outputs():
    pe = GenericPE()
    pe._add_input("in")
    pe._add_output("typed", tuple_type=["a", "b"])
    pe._add_output("untyped")

    pe.set_input_types({"in": ["c"], "elsewhere": ["d"]})

    assert pe.inputconnections == {"in": {NAME: "in", TYPE: ["c"]}}
    assert pe.get_output_types() == {"typed": ["a", "b"]}


def test_write_outside_a_run_goes_to_the_writer_of_the_output():
    class Writer:
        written = ()

        def write(self, data):
            self.written += (data,)

    pe = Double()
    pe.outputconnections["double"][WRITER] = writer = Writer()

    pe.write("double", 8)

    assert writer.written == (8,)


def test_i4_log_outside_a_run_goes_to_logging(caplog):
    with caplog.at_level(logging.INFO, logger="dispel4py.run"):
        Double().log("half way")

    assert caplog.messages == ["Double (rank 0): half way"]


@pytest.mark.parametrize("carry", [copy.deepcopy, lambda pe: pickle.loads(pickle.dumps(pe))])
def test_copies_leave_the_run_behind(carry):
    pe = Double()
    pe._run_writer = pe._run_log = print

    carried = carry(pe)

    assert carried._run_writer is None
    assert carried._run_log is None
    assert carried.inputconnections == pe.inputconnections


class Scaled(Double):
    __slots__ = ("factor", "never_set")

    def __init__(self, factor):
        super().__init__()
        self.factor = factor


@pytest.mark.parametrize("carry", [copy.deepcopy, lambda pe: pickle.loads(pickle.dumps(pe))])
def test_i2_copies_have_what_is_in_slots(carry):
    pe = Scaled(3)
    pe._run_writer = print
    carried = carry(pe)
    assert carried.factor == 3
    assert not hasattr(carried, "never_set")
    assert carried._run_writer is None


@pytest.mark.parametrize("declare", ["_add_input", "_add_output"])
def test_ports_before_super_are_answered_with_the_order(declare):
    class Early(GenericPE):
        def __init__(self):
            getattr(self, declare)("port")
            super().__init__()

    with pytest.raises(TypeError, match=r"Early is not set up: call super\(\).__init__\(\) first"):
        Early()
