"""Errors in the executor: how they leave nested calls, and whom they name."""

from contextlib import suppress

import pytest
from core_helpers.executors import Count, Each, Same, Writer, call, chain, make_executor

from dispel4py import ConsumerPE
from dispel4py.errors import ProcessingError


def test_c3_instance_of_a_team_that_failed_is_named():
    def fail(data):
        if data == 500:
            boom(data)

    executor, _ = make_executor(chain(Count(), Each(fail, 3)))

    with pytest.raises(
        ProcessingError, match=r"Each1 \(instance 1\) failed in process at item 500"
    ):
        call(executor, 1000)


class Boom(Exception):
    pass


def boom(item):
    raise Boom(f"at {item}")


def swallow_exception(pe, item):
    with suppress(Exception):
        pe.write("output", item)


def swallow_everything(pe, item):
    with suppress(BaseException):
        pe.write("output", item)


def replace(pe, item):
    try:
        pe.write("output", item)
    except BaseException as error:
        raise ValueError("mine") from error


def write_again(pe, item):
    try:
        pe.write("output", item)
    finally:
        pe.write("output", "again")


def swallow_often(pe, item):
    for _ in range(3):
        swallow_everything(pe, item)


WAYS = [swallow_exception, swallow_everything, replace, write_again, swallow_often]


@pytest.mark.parametrize("work", WAYS)
@pytest.mark.parametrize("writers", [1, 3, 100])
def test_c3_no_pe_can_swallow_the_error_of_another(work, writers):
    called = []

    def once(item):
        called.append(item)
        boom(item)

    nodes = [Count(), *(Writer(work) for _ in range(writers)), Each(once)]
    executor, handler = make_executor(chain(*nodes), one_by_one=True)

    with pytest.raises(ProcessingError) as raised:
        call(executor, 3)

    assert raised.value.pe_id == f"Each{writers + 1}"
    assert isinstance(raised.value.__cause__, Boom)
    assert called == [1]
    assert handler.results == []


def test_c3_handlers_of_a_sender_do_not_see_the_error_of_another():
    seen = []

    def listen(pe, item):
        try:
            pe.write("output", item)
        except Exception as error:
            seen.append(error)
        seen.append("went on")

    executor, _ = make_executor(chain(Count(), Writer(listen), Each(boom)), one_by_one=True)

    with pytest.raises(ProcessingError):
        call(executor, 3)
    assert seen == []


@pytest.mark.parametrize("work", WAYS)
def test_c4_no_pe_can_swallow_an_interrupt_below_it(work):
    def interrupt(item):
        raise KeyboardInterrupt

    executor, _ = make_executor(chain(Count(), Writer(work), Each(interrupt)), one_by_one=True)

    with pytest.raises(KeyboardInterrupt):
        call(executor, 3)


@pytest.mark.parametrize("work", WAYS)
@pytest.mark.parametrize("on_error", ["stop", "skip"])
def test_error_of_an_output_handler_is_raised_unchanged(work, on_error):
    failed = []
    options = {"on_error": lambda *args: failed.append(args)} if on_error == "skip" else {}
    executor, handler = make_executor(chain(Count(), Writer(work)), one_by_one=True, **options)
    handler.result = lambda pe_id, output, items: boom(items)

    with pytest.raises(Boom, match="at \\[1\\]"):
        call(executor, 3)


@pytest.mark.parametrize("phase", ["preprocess", "postprocess"])
def test_c3_error_below_a_write_outside_process_is_the_error_below(phase):
    def write(self):
        swallow_everything(self, "x")

    pe = type("Writes", (Same,), {phase: write})()
    executor, _ = make_executor(chain(Count(), pe, Each(boom)), one_by_one=True)

    with pytest.raises(ProcessingError, match=r"Each2 .* failed in process at item 'x': .*at x"):
        executor.finish(1, 0)


def test_c3_group_key_that_cannot_be_read_is_an_error_of_the_sender():
    pe = ConsumerPE()
    pe.inputconnections["input"]["grouping"] = ["word"]
    executor, _ = make_executor(chain(Count(), pe))

    with pytest.raises(ProcessingError, match=r"Count0 .* at item 1: .*grouped by \['word'\]"):
        call(executor, 3)
