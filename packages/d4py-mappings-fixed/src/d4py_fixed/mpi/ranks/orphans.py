"""Ends a rank whose driver or parent has ended, even in the middle of a call of a PE."""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Callable
from time import sleep
from typing import NoReturn

from d4py_fixed.mpi.limits import MpiLimits
from dispel4py.processes.descendants import end_own_descendants


def exit_when_driver_ends(
    channel: socket.socket, is_running: Callable[[], bool], limits: MpiLimits
) -> None:
    """Start a thread that ends this process when the driver has ended.

    Args:
        channel: the control channel to the driver.
        is_running: returns whether a PE may be running; if none is, the main thread notices the
            end of the driver itself.
        limits: see `MpiLimits.orphan_seconds`.
    """

    def watch() -> None:
        poll = select.poll()
        poll.register(channel, getattr(select, "POLLRDHUP", select.POLLHUP))
        poll.poll()
        sleep(limits.orphan_seconds)
        if is_running():
            exit_with_descendants()

    threading.Thread(target=watch, name="d4py-driver-watch", daemon=True).start()


def exit_when_parent_ends(limits: MpiLimits) -> None:
    """Start a thread that ends this process when its parent closes its standard input."""
    parent = os.dup(0)
    empty_standard_input()

    def watch() -> None:
        os.read(parent, 1)
        sleep(limits.orphan_seconds)  # see `RankProcess.end`
        exit_with_descendants()

    threading.Thread(target=watch, name="d4py-parent-watch", daemon=True).start()


def empty_standard_input() -> None:
    """Make standard input empty: launchers leave one open that never ends."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    if null:
        os.close(null)


def exit_with_descendants() -> NoReturn:
    """End this process and all that PEs have started in it."""
    try:
        end_own_descendants()
    finally:
        os._exit(1)
