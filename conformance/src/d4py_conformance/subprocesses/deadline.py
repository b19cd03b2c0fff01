"""What happens to a test that hangs: stacks of all its processes, then an end to it.

Everything is done in a signal handler and not on a thread: mappings may ask how many threads there
are before they fork.  py-spy, where it is installed, reads the stacks of other processes.
"""

from __future__ import annotations

import faulthandler
import shutil
import signal
import subprocess
import sysconfig
import traceback
from contextlib import suppress
from types import FrameType

import psutil
import pytest

from dispel4py.processes.native_threads import fork_safe_threads

#: Seconds between two attempts to stop a test that goes on.
AGAIN_SECONDS = 10.0
#: Attempts before the whole test process is ended, with the stacks of its threads.
ATTEMPTS = 3
_PY_SPY_SECONDS = 10.0


class Deadline:
    """Fails the test that runs when its time is over, even if that hangs while it cleans up.

    Args:
        seconds: how long the test may take.
        stderr: file descriptor of the standard error that pytest itself writes to.
    """

    def __init__(self, seconds: float, stderr: int) -> None:
        self._seconds = seconds
        self._before = {process.pid for process in _children()}
        signal.signal(signal.SIGALRM, self._expire)
        signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_SECONDS)
        # A library may never come back to Python, and then no handler of ours is called.
        with fork_safe_threads():
            faulthandler.dump_traceback_later(
                seconds + ATTEMPTS * AGAIN_SECONDS, exit=True, file=stderr
            )

    def cancel(self) -> None:
        """Stop the deadline: the test is over."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        faulthandler.cancel_dump_traceback_later()

    def _expire(self, number: int, frame: FrameType | None) -> None:
        __tracebackhide__ = True
        text = [f"Timeout: the test has taken longer than {self._seconds:g} s and counts as hung."]
        text += ["", "--- this process", "".join(traceback.format_stack(frame))]
        hung = [process for process in _children() if process.pid not in self._before]
        for process in hung:
            text += [stacks(process)]
        for process in hung:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        pytest.fail("\n".join(text), pytrace=False)


def _children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def stacks(process: psutil.Process) -> str:
    """Return the stacks of a process, as text."""
    try:
        with process.oneshot():
            command = " ".join(process.cmdline())[:200]
            title = f"--- process {process.pid}, {process.status()}: {command}"
    except psutil.NoSuchProcess:
        return f"--- process {process.pid} has ended"
    scripts = sysconfig.get_path("scripts")
    py_spy = shutil.which("py-spy", path=scripts) or shutil.which("py-spy")
    if py_spy is None:
        return f"{title}\n(for its stack: pip install 'd4py-conformance[stacks]')"
    try:
        dump = subprocess.run(
            [py_spy, "dump", "--pid", str(process.pid)],
            capture_output=True,
            text=True,
            timeout=_PY_SPY_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{title}\n(py-spy found no stack within {_PY_SPY_SECONDS:g} s)"
    # It may be no Python process, or the system may not let us look.
    return f"{title}\n{dump.stdout or dump.stderr}"
