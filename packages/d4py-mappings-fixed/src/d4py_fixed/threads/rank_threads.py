"""`RankThreads`: the threads of a run, which are watched, and stopped as far as Python can."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Sequence
from time import monotonic

from d4py_fixed.threads.limits import ThreadLimits
from d4py_fixed.threads.transport import StoppedError
from dispel4py.processes.descendants import descendants_of_thread, end_processes
from dispel4py.processes.user_code_thread import UserCodeThread
from dispel4py.processes.workers.exiting import abort_handler_of_thread


class RankThreads:
    """Runs each rank on a thread.

    They do not keep a program from ending, for a call that cannot be ended must not; threads that
    PEs start do, as on other mappings.

    Args:
        tasks: what to run, by rank.
        describe: returns the names of a rank's instances, for messages.
        limits: how long to wait for what.
    """

    def __init__(
        self,
        tasks: Sequence[Callable[[], None]],
        describe: Callable[[int], str],
        limits: ThreadLimits = ThreadLimits(),
    ) -> None:
        self._describe = describe
        self._limits = limits
        self._errors: list[BaseException] = []
        self._threads = [
            UserCodeThread(target=self._run, args=(task,), name=f"d4py-rank-{rank}", daemon=True)
            for rank, task in enumerate(tasks)
        ]

    def start(self) -> None:
        """Start all threads."""
        for thread in self._threads:
            thread.start()

    def check(self) -> None:
        """Raise the first error of a thread, if there is one."""
        if self._errors:
            raise self._errors[0]

    def wait(self) -> None:
        """Wait until all threads have ended; raise the first error."""
        for thread in self._threads:
            while thread.is_alive():
                thread.join(self._limits.check_seconds)
                self.check()
        self.check()

    def stop(self) -> list[str]:
        """Wait for threads that were stopped, and interrupt the calls that go on.

        Python code in a call is interrupted by an exception, and what it waits for by ending the
        processes that the thread has started.  Other code that does not return goes on.

        Returns:
            A sentence for each thread that goes on.
        """
        if not self._join(self._limits.stop_seconds):
            threads = self._alive()
            ids = [thread.native_id or 0 for thread in threads]
            end_processes([one for each in ids for one in descendants_of_thread(each)])
            for thread in threads:
                _raise_in(thread)
            self._join(self._limits.interrupt_seconds)
        for thread in self._alive():
            thread.abandon()
        return [
            f"a call of {self._describe(rank)} goes on: Python can end no thread in the middle of"
            " code that is not Python's; it ends when it returns, or with the program"
            for rank, thread in enumerate(self._threads)
            if thread.is_alive()
        ]

    def _run(self, task: Callable[[], None]) -> None:
        try:
            with abort_handler_of_thread(self._errors.append):
                task()
        except StoppedError:
            pass
        except BaseException as error:  # `check` raises it where the run was called
            self._errors.append(error)

    def _alive(self) -> list[UserCodeThread]:
        return [thread for thread in self._threads if thread.is_alive()]

    def _join(self, seconds: float) -> bool:
        """Wait for all threads together; return whether they have ended."""
        until = monotonic() + seconds
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, until - monotonic()))
        return not self._alive()


def _raise_in(thread: threading.Thread) -> None:
    """Raise `StoppedError` in a thread, as soon as it runs Python code."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident or 0), ctypes.py_object(StoppedError)
    )
