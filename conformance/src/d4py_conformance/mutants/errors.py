"""Mappings that deal wrongly with what PEs raise, or with items that cannot be carried."""

from __future__ import annotations

import pickle
import threading
from copy import deepcopy
from typing import Any

from d4py_conformance.mutants.sound import Sound
from dispel4py.engine.items.copying import Copier
from dispel4py.errors import ProcessingError


class MissesBaseExceptions(Sound):
    """Takes what is no `Exception` for an end of the program."""

    def failed(self, error: ProcessingError, item: Any) -> None:
        if error.__cause__ is not None and not isinstance(error.__cause__, Exception):
            raise error.__cause__
        super().failed(error, item)


class LosesTheCause(Sound):
    """Hands an error on as pickle carries it."""

    def failed(self, error: ProcessingError, item: Any) -> None:
        error.__cause__ = None
        super().failed(error, item)


class DiesAtSending(Sound):
    """Copies what can be copied, and pickles when it is too late to name the PE that wrote it."""

    def isolate(self) -> Copier:
        return deepcopy

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        super().send(pe, instance, input_name, pickle.loads(pickle.dumps(items)))


class ForgetsFailures(Sound):
    """Takes note of the first failure alone."""

    def failed(self, error: ProcessingError, item: Any) -> None:
        if not self.failures.counts:
            super().failed(error, item)


class SwallowsExceptions(Sound):
    """Goes on with the next item, without a report."""

    def failed(self, error: ProcessingError, item: Any) -> None:
        pass


class HangsAfterAnException(Sound):
    """Waits for an answer of the PE that raised."""

    def failed(self, error: ProcessingError, item: Any) -> None:
        threading.Event().wait()
