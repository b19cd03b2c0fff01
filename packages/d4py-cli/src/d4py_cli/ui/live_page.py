"""`LivePage`: an observer that passes events to a process of its own, which serves the page.

That process draws, so the run pays for writing the events into a pipe and nothing else: no thread
of a web server competes with PEs, and a page that is slow or gone delays nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress

from d4py_cli.observing.record import Record
from d4py_cli.ui.address import open_address
from d4py_cli.ui.limits import PageLimits
from dispel4py.events import Event, to_json
from dispel4py.processes.marks import MARK_VARIABLE
from dispel4py.standard_streams.output import write_all

#: Passes the token to the process: unlike arguments, other users cannot see an environment.
TOKEN_VARIABLE = "D4PY_UI_TOKEN"


class LivePage(Record):
    """Serves the page of a run on the loopback interface, at an address with a token.

    Args:
        port: the port; 0 chooses a free one.
        limits: how long to wait at the end.

    Attributes:
        url: the address of the page.

    Raises:
        OptionError: the port cannot be used, or a library is missing.
    """

    def __init__(self, port: int = 0, limits: PageLimits = PageLimits()) -> None:
        super().__init__()
        self._limits = limits
        address = open_address(port, "--ui")
        self.url = address.url
        with address.listener as listener:
            environment = {k: v for k, v in os.environ.items() if k != MARK_VARIABLE}
            self._process = subprocess.Popen(
                [sys.executable, "-m", "d4py_cli.ui.server", str(listener.fileno())],
                bufsize=0,  # a write that waits must not hold a lock at the end
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=[listener.fileno()],
                env={**environment, TOKEN_VARIABLE: address.token},
                start_new_session=True,  # Ctrl-C is for the run
            )
        print(f"live page: {self.url}", file=sys.stderr, flush=True)

    def on_event(self, event: Event) -> None:
        """Pass an event on."""
        super().on_event(event)
        with suppress(OSError, ValueError):  # the process was killed: the run goes on without
            assert self._process.stdin is not None
            write_all(self._process.stdin.fileno(), f"{to_json(event)}\n".encode())

    def write(self) -> None:
        """Let the pages take the last update."""
        self._close(self._limits.end_seconds)

    def discard(self) -> None:
        """End the process."""
        self._close(0)

    def _close(self, seconds: float) -> None:
        with suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
