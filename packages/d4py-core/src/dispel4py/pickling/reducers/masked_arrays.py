"""Masked arrays: data and mask stay out of the pickle, where NumPy itself copies both into it.

They are apart from other arrays, since a program that has none need not import `numpy.ma`, which
takes 10 ms.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def reducers(ma: Any) -> dict[type, Callable[[Any], Any]]:
    """Return the reducer of masked arrays, by type."""
    return {ma.MaskedArray: _reduce}


def _reduce(array: Any) -> Any:
    """Reduce a masked array: to its data and its mask, both arrays."""
    numpy = import_module("numpy")
    if array.baseclass is not numpy.ndarray:
        return array.__reduce_ex__(5)
    mask = None if array.mask is numpy.ma.nomask else array.mask
    return _make, (array.data, mask, array._fill_value, array.hardmask)


def _make(data: Any, mask: Any, fill_value: Any, hard_mask: bool) -> Any:
    ma = import_module("numpy.ma")
    mask = ma.nomask if mask is None else mask
    return ma.MaskedArray(data, mask, fill_value=fill_value, hard_mask=hard_mask)
