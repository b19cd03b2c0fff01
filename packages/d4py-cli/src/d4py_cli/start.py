"""The console script `dispel4py`: Ctrl-C ends it silently while the rest is still imported.

Importing this module imports almost nothing else of d4py.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

from d4py_cli.exit_statuses import INTERRUPTED
from d4py_cli.imported import pause_collection


def main() -> int:
    """Run the command with the arguments of this process, and return the exit status."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # `nohup` ignores it
        signal.signal(signal.SIGINT, _end_at_once)
    pause_collection()
    from d4py_cli.main import main

    return main()


def _end_at_once(number: int, frame: FrameType | None) -> None:
    """End this process, which has not begun its work, or has done it."""
    os._exit(INTERRUPTED)
