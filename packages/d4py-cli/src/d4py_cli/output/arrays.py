"""Results as arrays, for the formats that hold arrays by name: one array per field of an output.

The first dimension of each array is the result; so all values of a field have one shape and type.
A result that is no mapping or dataclass is the field "" of its output.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from d4py_cli.output.array_names import ArrayNames
from d4py_cli.output.fields import leaves, named_fields
from d4py_cli.output.refusals import NotHeldError, name_of_type
from d4py_cli.output.scalars import check_text, is_missing, is_plain_array, plain_scalar

_RAGGED = "choose .pkl, or pad the arrays to one shape"


class Arrays:
    """Checks results, and stacks them.

    Args:
        kinds: kinds of types that the format takes; see `numpy.dtype.kind`.
        advice: what to do about other kinds.
        names: the names of arrays in the file.
    """

    def __init__(self, kinds: str, advice: str, names: ArrayNames) -> None:
        self._kinds = kinds
        self._advice = advice
        self._names = names
        self._fields: dict[tuple[str, str], dict[str, _Field]] = {}

    def accept(self, pe_id: str, output: str, data: Any) -> dict[str, Any]:
        """Return the arrays of a result by field.

        Raises:
            NotHeldError: it has no form as arrays, or another than those before.
        """
        values: dict[str, Any] = {}
        for name, value in leaves(data, _fields):
            if name in values:
                raise NotHeldError(name, "a second field of this name", "rename the field")
            values[name] = self._as_array(value, name)
        fields = self._fields.get((pe_id, output))
        if fields is None:
            self._names.take(pe_id, output, values)
            fields = self._fields[pe_id, output] = {name: _Field() for name in values}
        if fields.keys() != values.keys():
            changed = ", ".join(sorted(map(repr, fields.keys() ^ values.keys())))
            raise NotHeldError(
                "", f"fields that not all results have ({changed})", "choose .jsonl, .csv or .pkl"
            )
        for name, value in values.items():
            fields[name].add(value, name)
        return values

    def stacked(
        self, records: Iterator[tuple[str, str, dict[str, Any]]]
    ) -> Iterator[tuple[str, Any]]:
        """Yield the name and the array of each field of all results that were accepted."""
        collected: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for pe_id, output, values in records:
            collected.setdefault((pe_id, output), []).append(values)
        for (pe_id, output), results in collected.items():
            for name, field in self._fields[pe_id, output].items():
                arrays = [values[name].astype(field.dtype, copy=False) for values in results]
                yield self._names.name_of(pe_id, output, name), np.stack(arrays)

    def _as_array(self, value: Any, field: str) -> Any:
        if is_missing(value):
            raise NotHeldError(field, "None", "choose .jsonl, .csv or .parquet")
        if not is_plain_array(value) and not isinstance(value, np.generic):
            value = _array_of(plain_scalar(value, field), field)
        array = np.asarray(value)
        if array.dtype.kind not in self._kinds:
            raise NotHeldError(field, f"{name_of_type(value)} of type {array.dtype}", self._advice)
        if array.dtype.kind == "U":
            for text in array.flat:
                check_text(text, field)
        return array


class _Field:
    """The shape and the type of a field, and the range of its whole numbers.

    Attributes:
        dtype: a type that holds all values; None before the first.
    """

    def __init__(self) -> None:
        self.dtype: Any = None
        self._shape: tuple[int, ...] = ()
        self._low = self._high = 0

    def add(self, array: Any, name: str) -> None:
        """Take the array of one more result.

        Raises:
            NotHeldError: it does not fit those before.
        """
        if self.dtype is None:
            self.dtype, self._shape = array.dtype, array.shape
        if array.shape != self._shape:
            raise NotHeldError(
                name, f"an array of shape {array.shape} after one of shape {self._shape}", _RAGGED
            )
        if array.dtype.kind in "iu" and array.size:
            self._low = min(self._low, int(array.min()))
            self._high = max(self._high, int(array.max()))
        common = self._common(array.dtype)
        if common is None:
            raise NotHeldError(
                name, f"values of type {array.dtype} after {self.dtype}", "choose .jsonl or .pkl"
            )
        self.dtype = common

    def _common(self, dtype: Any) -> Any:
        kinds = {dtype.kind, self.dtype.kind}
        if dtype == self.dtype:
            return dtype
        if "M" in kinds:
            return None  # a date is no time at midnight
        if len(kinds) > 1 and not kinds <= set("iufc"):
            return None  # numbers beside text, truth values or times
        common = np.result_type(dtype, self.dtype)
        if kinds <= set("iu") and self._low >= 0:
            return common if common.kind in "iu" else np.dtype(np.uint64)
        if common.kind in "fc" and kinds & set("iu") and max(-self._low, self._high) > 2**53:
            return None
        return common


def _array_of(value: Any, field: str) -> Any:
    """Return an array of numbers, texts or times in lists.

    Raises:
        NotHeldError: they have no type, or no shape, in common.
    """
    if isinstance(value, list | tuple):
        _check_alike(value, field)
    elif type(value) is datetime.date or _is_naive_time(value):
        value = np.datetime64(value)
    elif type(value) in (str, bytes):
        _check_end(value, field)
    elif type(value) not in (bool, int, float, complex):
        raise NotHeldError(field, name_of_type(value))
    try:
        return np.array(value)
    except (ValueError, OverflowError, TypeError) as error:
        raise NotHeldError(field, f"a {name_of_type(value)} ({error})") from error


def _check_alike(value: Any, field: str) -> None:
    """Refuse what NumPy would turn into one type by changing values."""
    arrays = [_array_of(plain_scalar(entry, field), field) for entry in value]
    check = _Field()
    for array in arrays:
        check.add(array, field)


def _is_naive_time(value: Any) -> bool:
    return type(value) is datetime.datetime and value.tzinfo is None


def _check_end(value: str | bytes, field: str) -> None:
    """Refuse what an array of texts would cut off."""
    if value.endswith("\0" if isinstance(value, str) else b"\0"):  # type: ignore[arg-type]
        raise NotHeldError(field, f"a {name_of_type(value)} that ends with a zero byte")


def _fields(value: Any, field: str) -> Iterable[tuple[str, Any]] | None:
    """Return the fields of a value; a slash would be a group of its own in HDF5."""
    fields = named_fields(value, field)
    if fields is None:
        return None
    found = [*fields]
    for name, _ in found:
        if "/" in name:
            raise NotHeldError(field, f"the key {name!r}", "choose .pkl, or use other names")
    return found
