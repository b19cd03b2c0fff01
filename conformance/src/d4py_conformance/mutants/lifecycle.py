"""Mutants that leave out a phase of an instance."""

from __future__ import annotations

from copy import deepcopy

from d4py_conformance.mutants.sound import Sound


class SkipsPreprocess(Sound):
    """Begins without calling preprocess."""

    def start(self, pe: int, instance: int) -> None:
        self.executor.start(pe, instance, restored=deepcopy(self.plan.pes[pe].pe))


class SkipsPostprocess(Sound):
    """Ends without calling postprocess."""

    def finish(self, pe: int, instance: int) -> None:
        pass


class LeavesFilesOpen(Sound):
    """Ends without letting go of the instances."""

    def finish(self, pe: int, instance: int) -> None:
        self.executor.finish(pe, instance, close=False)
