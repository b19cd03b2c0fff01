"""Names what has sent an item that cannot be unpickled in the process that has received it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from d4py_dynamic.store.protocols import Results
from d4py_dynamic.store.serialization import UnreadableItemError
from d4py_dynamic.store.tasks import Task
from dispel4py.engine.planning.plan import Plan
from dispel4py.errors import ItemError


@contextmanager
def naming_senders(plan: Plan) -> Iterator[None]:
    """Add what may have sent an item that cannot be unpickled to the error raised in the block."""
    try:
        yield
    except UnreadableItemError as error:
        where = _where(plan, error.holder)
        message = f"{error}; {where}" if where else f"{error}"
        raise ItemError(message) from error.__cause__


def _where(plan: Plan, holder: Task | Results | None) -> str:
    match holder:
        case Task(pe=pe, input_name=str(name)):
            routes = [
                route
                for at in plan.pes[pe].upstream
                for of_output in plan.pes[at].routes.values()
                for route in of_output
                if (route.destination, route.input) == (pe, name)
            ]
            senders = dict.fromkeys(f"{plan.pes[it.source].id} ({it.output!r})" for it in routes)
            return f"sent by {' or '.join(senders)} to input {name!r} of {plan.pes[pe].id}"
        case Task(pe=pe):
            return f"an input of {plan.pes[pe].id}"
        case Results(results=[_, *_] as results):
            senders = dict.fromkeys(f"{pe_id} ({output!r})" for pe_id, output, _ in results)
            return f"sent by {' or '.join(senders)}"
        case _:
            return ""
