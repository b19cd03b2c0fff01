"""Checks of PEs that override `_process_batch`: before a run, and of what a call returns."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from numbers import Integral, Real
from typing import Any

from dispel4py.base import ConsumerPE, IterativePE, ProducerPE
from dispel4py.core import GenericPE, overrides_batch
from dispel4py.errors import shorten

#: Classes whose `process` calls `_process` with plain data.
PLAIN: tuple[type[GenericPE], ...] = (IterativePE, ProducerPE, ConsumerPE)


def batch_problems(pe: GenericPE, pe_id: str) -> Iterator[str]:
    """Yield one sentence for each reason why a PE cannot be called with batches.

    Args:
        pe: the PE.
        pe_id: its id in the run.
    """
    if not overrides_batch(pe):
        return
    size: Any = pe.batch_size
    seconds: Any = pe.batch_seconds
    if not _is_a(Integral, size) or size < 1:
        yield f"{pe_id} has batch_size = {size!r}; it must be a whole number of at least 1"
    if not _is_a(Real, seconds) or not 0 <= seconds < inf:
        yield f"{pe_id} has batch_seconds = {seconds!r}; it must be a number of at least 0"
    if pe.seeks is True:
        yield (
            f"{pe_id} has both _process_batch() and seeks = True, which is about single calls;"
            " remove one of them"
        )
    if isinstance(pe, PLAIN) and _overrides_process(pe):
        yield (
            f"{pe_id} has both process() and _process_batch(), and a run would call only the"
            " second; write _process() in place of process()"
        )


def _is_a(kind: type, value: Any) -> bool:
    """Return whether a value is a number of a kind; True and False are none."""
    return isinstance(value, kind) and not isinstance(value, bool)


def _overrides_process(pe: GenericPE) -> bool:
    if "process" in vars(pe):
        return True
    return all(type(pe).process is not kind.process for kind in PLAIN)


def results_error(results: Any, count: int) -> Exception | None:
    """Return the error for what `_process_batch` has returned; None if it is all right.

    Args:
        results: what it has returned, other than None.
        count: number of items that it was called with.
    """
    if not (isinstance(results, list | tuple) or _is_series(results)):
        return TypeError(
            f"_process_batch() returned {shorten(results)} of type {type(results).__name__}; it can"
            " return a list, tuple or NumPy array with one element for each item, or None"
        )
    if len(results) != count:
        return ValueError(
            f"_process_batch() was called with a batch of {count} and returned {len(results)}; it"
            " must return one element for each item, and None for an item that sends nothing"
        )
    return None


def _is_series(results: Any) -> bool:
    """Return whether an object is a NumPy array with a first dimension; NumPy is not imported."""
    kinds = {f"{kind.__module__}.{kind.__name__}" for kind in type(results).__mro__}
    return "numpy.ndarray" in kinds and results.ndim > 0


def invalid_element_error(result: Any) -> TypeError:
    """Return the error for an element that is no dict, of a PE whose `process` returns dicts."""
    return TypeError(
        f"_process_batch() returned a list with the element {shorten(result)}; an element can be a"
        " dict of output name and data, or None"
    )
