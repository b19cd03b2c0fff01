"""Mutants that end a run by idle time, or never."""

from __future__ import annotations

import subprocess
import sys
import time

from d4py_conformance.mutants.sound import Sound

#: How long nothing has to come for a run to be taken for over.
IDLE_SECONDS = 2.5


class EndsByIdleTime(Sound):
    """Takes the run for over when nothing has come for a while."""

    def end(self) -> None:
        time.sleep(IDLE_SECONDS)


class HangsAtTheEnd(Sound):
    """Waits for a worker that never ends."""

    def end(self) -> None:
        worker = subprocess.Popen([sys.executable, "-c", _HUNG_WORKER])
        worker.wait()


_HUNG_WORKER = """
import time

def wait_for_ever():
    while True:
        time.sleep(1)

wait_for_ever()
"""
