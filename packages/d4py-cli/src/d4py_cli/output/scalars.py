"""What formats have in common: the plain value of a scalar or array, and the errors for others.

Only types that are known are taken, and no classes derived from them: a unit, a mask or an index
would be gone.
"""

from __future__ import annotations

import datetime
import os
import sys
import uuid
from typing import Any

from d4py_cli.output.refusals import NotHeldError, name_of_type


def is_missing(value: Any) -> bool:
    """Return whether a value stands for a missing one: None, and NA and NaT of pandas."""
    if value is None:
        return True
    pandas = sys.modules.get("pandas")
    return pandas is not None and (value is pandas.NA or value is pandas.NaT)


def plain_scalar(value: Any, field: str) -> Any:
    """Return a scalar of NumPy or pandas, or a path, as the same value of a built-in type.

    An array without dimensions is a scalar, too.

    Others are returned as they are.

    Raises:
        NotHeldError: the built-in type is less exact.
    """
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    numpy = sys.modules.get("numpy")
    if is_plain_array(value) and not value.ndim:
        value = value[()]
    if numpy is not None and isinstance(value, numpy.generic):
        return _of_numpy(value, field, numpy)
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(value, pandas.Timestamp):
        if value.nanosecond:
            raise NotHeldError(field, f"nanoseconds ({value})")
        return value.to_pydatetime()
    return value


def _of_numpy(value: Any, field: str, numpy: Any) -> Any:
    if isinstance(value, numpy.datetime64):
        if numpy.isnat(value):
            return None
        if value.dtype == value.astype("datetime64[us]").dtype or (
            value.astype("datetime64[us]") == value
        ):
            return value.astype("datetime64[us]").item()
        raise NotHeldError(field, f"a time that microseconds cannot express ({value})")
    if isinstance(value, numpy.timedelta64):
        return _duration(value, field, numpy)
    plain = value.item()
    if isinstance(plain, numpy.generic):  # numbers longer than those of Python
        raise NotHeldError(field, name_of_type(value))
    return plain


def _duration(value: Any, field: str, numpy: Any) -> datetime.timedelta | None:
    """Return a duration; those of nanoseconds or years would become numbers without a unit.

    Raises:
        NotHeldError: microseconds cannot express it.
    """
    if numpy.isnat(value):
        return None
    unit = numpy.datetime_data(value.dtype)[0]
    if unit not in ("generic", "Y", "M"):  # whose lengths are not known
        short = value.astype("timedelta64[us]")
        if short == value and isinstance(plain := short.item(), datetime.timedelta):
            return plain
    raise NotHeldError(field, f"a duration that microseconds cannot express ({value!r})")


def is_plain_array(value: Any) -> bool:
    """Return whether a value is an array of NumPy itself, without mask, unit or named fields."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(value) is numpy.ndarray and value.dtype.names is None


def check_text(text: str, field: str) -> None:
    """Refuse text that is no Unicode, or that libraries in C would cut off.

    Raises:
        NotHeldError: it has a lone surrogate or a zero byte.
    """
    if "\0" in text or (not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text)):
        raise NotHeldError(field, f"the text {text!r}", "choose .jsonl or .pkl")


def is_time(value: Any) -> bool:
    """Return whether a value is a date, a time of day, or both."""
    return isinstance(value, datetime.date | datetime.time)
