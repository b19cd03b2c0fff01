"""What processes do that an mpiexec has started beside the first one: follow it."""

from __future__ import annotations

import atexit
import functools
from typing import TYPE_CHECKING

from d4py_fixed.mpi_rank import (
    carry_out,
    end_post,
    leave_signals_to_the_driver,
    next_orders,
    open_post,
    serve,
)
from dispel4py.errors import RunError, ServiceError
from dispel4py.result import RunResult, RunStats

if TYPE_CHECKING:
    from d4py_fixed.mpi_post import Post  # imports MPI, which starts it


def follow_all() -> int:
    """Carry out all orders of the first process.

    Returns:
        The exit status that it asks for.
    """
    leave_signals_to_the_driver()
    try:
        post = open_post(None, may_exit=True)
    except ServiceError:  # the first process meets the same, and says so
        return ServiceError.exit_status
    status = serve(post)
    end_post(post)
    return status


def follow_one() -> RunResult:
    """Carry out one run of the first process.

    A script goes on from here as it does there.  So a run that failed, failed here as well; but
    only once the first process has gone on, as mpiexec kills all when one of them ends badly.

    Raises:
        RunError: the run failed.
    """
    post = _lasting_post()
    orders = next_orders(post)
    if orders is None:
        raise RunError("the first MPI process has ended, so there is nothing to run here")
    if carry_out(post, orders):
        return RunResult({}, [], RunStats("mpi", post.size))
    following = next_orders(post)
    if following is not None:
        post.orders.appendleft(following)
    raise RunError("the run failed; the first MPI process says why")


@functools.cache
def _lasting_post() -> Post:
    post = open_post(None, may_exit=False)
    atexit.register(end_post, post)
    return post
