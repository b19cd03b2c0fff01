"""PEs that fail, or end their process, at one item or in preprocess or postprocess.

They live in a module because worker processes have to be able to import them.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

from dispel4py import IterativePE, ProducerPE


class Failing:
    """What these PEs have in common.

    Args:
        at: the item, ``"preprocess"`` or ``"postprocess"``.
        how: what happens there; see `fail`.
    """

    def __init__(self, at: object, how: str = "raise") -> None:
        super().__init__()
        self.at, self.how, self.counter = at, how, 0

    def _preprocess(self) -> None:
        if self.at == "preprocess":
            self.fail()

    def _process(self, data: Any) -> Any:
        if data == self.at:
            self.fail()
        return data

    def _postprocess(self) -> None:
        if self.at == "postprocess":
            self.fail()

    def fail(self) -> None:
        """Fail in the way that was chosen."""
        match self.how:
            case "raise":
                raise ValueError("the sensor is broken")
            case "sys.exit":
                sys.exit("enough")
            case "KeyboardInterrupt":
                raise KeyboardInterrupt("no key was pressed")
            case "os._exit(0)":
                os._exit(0)
            case "os._exit(3)":
                os._exit(3)
            case "kill -9":
                os.kill(os.getpid(), signal.SIGKILL)
            case "a thread":
                import _thread

                _thread.start_new_thread(os._exit, (7,))
                time.sleep(60)
            case _:
                raise AssertionError(f"unknown way to fail: {self.how!r}")


class Fails(Failing, IterativePE):
    """Sends what it gets, but for one item."""


class FailingNumbers(Failing, ProducerPE):
    """Sends 1, 2, 3, …, but for one of them."""

    def _process(self, inputs: Any) -> Any:
        self.counter += 1
        return super()._process(self.counter)
