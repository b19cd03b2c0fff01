"""Items that cannot be handed on: which PE wrote them, to which output, for which input.

Most are met where they are written, since they are copied there.  Those that were not copied
(``share_items``), or of which the copy cannot be pickled, are met when a batch of them is to leave
the process; then the batch is looked through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from dispel4py.engine.ordered.places import Placed, Void
from dispel4py.engine.plan import Plan, PlannedPE
from dispel4py.errors import ItemError, ProcessingError
from dispel4py.result import Failure

#: Gets the error of an item that cannot be sent; raises it, or takes note of it and returns.
Refuse = Callable[[ItemError], None]


def name_output(planned: PlannedPE, output: str, error: ItemError) -> ItemError:
    """Return the same error with where the item was written to, and where it was to go.

    Args:
        planned: the PE that wrote it.
        output: name of the output.
        error: the error.
    """
    routes = planned.routes.get(output, ())
    ways = " and ".join(f"input {route.input!r} of {route.receiver}" for route in routes)
    named = ItemError(f"written to output {output!r}, for {ways or 'the results'}: {error}")
    named.output = output
    named.__cause__ = error.__cause__
    return named


def sendable(items: list[Any], dumps: Callable[[Any], bytes], refuse: Refuse) -> list[Any]:
    """Return those items that can be pickled.

    Args:
        items: the items.
        dumps: pickles one, or raises `ItemError`.
        refuse: gets the error of each other one.
    """
    kept = []
    for item in items:
        try:
            dumps(item)
        except ItemError as error:
            refuse(error)
            if type(item) is Placed:  # so that its place is known to be empty
                kept.append(Void(item.place))
        else:
            kept.append(item)
    return kept


def sendable_failures(failures: list[Failure], dumps: Callable[[Any], bytes]) -> list[Failure]:
    """Return the failures, those without their items whose items cannot be pickled."""
    return [
        failure if sendable([failure.item], dumps, lambda error: None) else Failure(failure.error)
        for failure in failures
    ]


def unsent(
    plan: Plan, pe: int, input_name: str, writers: Iterable[int], error: ItemError
) -> ProcessingError:
    """Return the error of an item on its way to an input, in the name of the PE that wrote it.

    Args:
        plan: the plan.
        pe: number of the receiving PE.
        input_name: its input.
        writers: numbers of the PEs that may have written it.
        error: what pickling it raised.

    Raises:
        ItemError: no PE has written it.
    """
    ways = [
        (plan.pes[writer], output)
        for writer in writers
        for output, routes in plan.pes[writer].routes.items()
        if any((route.destination, route.input) == (pe, input_name) for route in routes)
    ]
    return _in_the_name_of(ways, error)


def unsent_result(plan: Plan, pe_id: str, output: str, error: ItemError) -> ProcessingError:
    """Return the error of a result, likewise."""
    return _in_the_name_of([(pe, output) for pe in plan.pes if pe.id == pe_id], error)


def _in_the_name_of(ways: list[tuple[PlannedPE, str]], error: ItemError) -> ProcessingError:
    if not ways:
        raise error
    named = name_output(*ways[0], error)
    ids = " or ".join(dict.fromkeys(planned.id for planned, _ in ways))
    kind = f"{ItemError.__module__}.{ItemError.__qualname__}"
    # The item that it was called with is not known any more.
    found = ProcessingError(ids, 0, "process", None, f"{kind}: {named}", exception_type=kind)
    found.__cause__ = named
    return found
