"""Items that cannot be pickled: which PE wrote them, to which output, for which input.

Most are found where they are written, since they are copied there.  Items that were not copied
(``share_items``), or whose copies cannot be pickled, are found when their batch is to leave the
process; then the items of the batch are checked one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from dispel4py.engine.items.places import EmptyPlace, Placed
from dispel4py.engine.planning.plan import Plan, PlannedPE
from dispel4py.errors import ItemError, ProcessingError
from dispel4py.result import Failure

#: Called with the error of an item that cannot be sent; raises the error, or returns to skip.
OnItemError = Callable[[ItemError], None]


def name_output(planned: PlannedPE, output: str, error: ItemError) -> ItemError:
    """Return an error that also names the output of an item and its receivers.

    Args:
        planned: the PE that wrote the item.
        output: name of the output.
        error: the error.
    """
    routes = planned.routes.get(output, ())
    receivers = " and ".join(f"input {route.input!r} of {route.receiver}" for route in routes)
    named = ItemError(f"written to output {output!r}, for {receivers or 'the results'}: {error}")
    named.output = output
    named.__cause__ = error.__cause__
    return named


def drop_unpicklable(
    items: list[Any], dumps: Callable[[Any], bytes], on_error: OnItemError
) -> list[Any]:
    """Return those items that can be pickled.

    Args:
        items: the items.
        dumps: pickles an item, or raises `ItemError`.
        on_error: called with the error of each other item.
    """
    kept = []
    for item in items:
        try:
            dumps(item)
        except ItemError as error:
            on_error(error)
            if type(item) is Placed:  # the receiver has to learn that the place is empty
                kept.append(EmptyPlace(item.place))
        else:
            kept.append(item)
    return kept


def without_unpicklable(failures: list[Failure], dumps: Callable[[Any], bytes]) -> list[Failure]:
    """Return the failures, without those of their items that cannot be pickled."""
    return [
        failure
        if drop_unpicklable([failure.item], dumps, lambda error: None)
        else Failure(failure.error)
        for failure in failures
    ]


def unpicklable_item_error(
    plan: Plan,
    pe: int,
    input_name: str,
    writers: Iterable[int],
    error: ItemError,
    instance: int = 0,
) -> ProcessingError:
    """Return the error of an item for an input, as an error of the PE that wrote the item.

    Args:
        plan: the plan.
        pe: number of the receiving PE.
        input_name: name of the input.
        writers: numbers of the PEs that may have written the item.
        error: the error of pickling.
        instance: number of the instance that wrote the item, if it is known.

    Raises:
        ItemError: no PE has written the item.
    """
    outputs = [
        (plan.pes[writer], output)
        for writer in writers
        for output, routes in plan.pes[writer].routes.items()
        if any((route.destination, route.input) == (pe, input_name) for route in routes)
    ]
    return _error_of_writer(outputs, error, instance)


def unpicklable_result_error(
    plan: Plan, pe_id: str, output: str, error: ItemError, instance: int = 0
) -> ProcessingError:
    """Return the error of a result, as an error of the PE that wrote the result."""
    return _error_of_writer([(pe, output) for pe in plan.pes if pe.id == pe_id], error, instance)


def _error_of_writer(
    outputs: list[tuple[PlannedPE, str]], error: ItemError, instance: int
) -> ProcessingError:
    if not outputs:
        raise error
    named = name_output(*outputs[0], error)
    ids = " or ".join(dict.fromkeys(planned.id for planned, _ in outputs))
    kind = f"{ItemError.__module__}.{ItemError.__qualname__}"
    # The item that the PE was called with is not known any more.
    found = ProcessingError(ids, instance, "process", None, f"{kind}: {named}", exception_type=kind)
    found.__cause__ = named
    return found
