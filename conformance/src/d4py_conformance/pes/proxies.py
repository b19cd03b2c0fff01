"""A PE that holds objects which cannot say what they are."""

from __future__ import annotations

import weakref
from typing import Any, NoReturn

from dispel4py import IterativePE


class _Unbound:
    """Stands for what is not there yet, as Flask's `current_app` does outside of a request."""

    def __getattribute__(self, name: str) -> NoReturn:
        raise RuntimeError("working outside of an application context")


class _Parent:
    """Something that a child refers to by a proxy."""


class HoldsProxies(IterativePE):
    """Sends what it gets."""

    in_class = _Unbound()

    def _preprocess(self) -> None:
        self.unbound = _Unbound()
        self.gone: Any = weakref.proxy(_Parent())
        self.inside = [_Unbound(), {"gone": self.gone}]

    def _process(self, data: Any) -> Any:
        return data


#: Global variables like those of a workflow that imports such objects.
current_app, gone = _Unbound(), weakref.proxy(_Parent())
