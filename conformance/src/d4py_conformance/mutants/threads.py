"""Mappings that break rule I5: threads of a PE may write and log while a call of it lasts."""

from __future__ import annotations

from collections.abc import Iterator
from threading import current_thread
from typing import Any, ClassVar

from d4py_conformance.mutants.sound import Sound


class HoldsThreadsBack(Sound):
    """Sends what threads write when the call ends, and not before."""

    executor_options: ClassVar[dict[str, Any]] = {"any_thread": False}


class DropsWhatThreadsWrite(Sound):
    """Takes what the thread that calls a PE writes, and nothing else."""

    def start(self, pe: int, instance: int) -> None:
        runner = self.executor.start(pe, instance)
        write, caller = runner.pe._run_writer, current_thread()

        def write_or_drop(name: str, data: Any) -> None:
            if current_thread() is caller and write is not None:
                write(name, data)

        runner.pe._run_writer = write_or_drop


class DropsLateWrites(Sound):
    """Forgets at each call what was written before it."""

    def call(self, root: int, items: Iterator[dict[str, Any]]) -> None:
        runner = self.executor.start(root, 0)

        def forgetting() -> Iterator[dict[str, Any]]:
            for item in items:
                for written in runner.written.values():
                    written.clear()
                yield item

        super().call(root, forgetting())
