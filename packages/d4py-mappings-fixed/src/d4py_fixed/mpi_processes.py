"""The ways in which ranks come about; a `World` starts them by one of these.

- `Launched`: we start an mpiexec, which starts them all.
- `OwnRank`: an mpiexec has started us as the first rank, and the others as well.  We start a
  process that takes our place among them, so that the driver outlives a PE that crashes.
- `OwnThread`: the same where MPI already runs in this process, so that none can take its place.
"""

from __future__ import annotations

import atexit
import functools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress

from d4py_fixed.mpi_launch import forget_the_launcher, launch_environment, rank_command
from d4py_fixed.mpi_rank import open_post, serve
from d4py_fixed.mpi_world import World
from dispel4py.processes import cause_of


class Launched:
    """The ranks of an mpiexec of ours.

    Args:
        mpiexec: the command, with the user's own arguments.
        size: how many ranks to start.
        path: socket of the driver.
    """

    def __init__(self, mpiexec: Sequence[str], size: int, path: str) -> None:
        self._name = os.path.basename(mpiexec[0])
        self._process = subprocess.Popen(
            [*mpiexec, "-n", str(size), *rank_command(path)],
            env=launch_environment(os.environ, os.geteuid()),
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is ours alone: we end them in good order
        )

    def is_over(self) -> bool:
        return self._process.poll() is not None

    def cause(self) -> str:
        return f"{self._name} ended with exit status {self._process.returncode}"

    def send_signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)


class OwnRank:
    """The process that takes the place of this one among the ranks.

    Args:
        path: socket of the driver.
    """

    def __init__(self, path: str) -> None:
        # What the launcher has opened for its process must reach the one that becomes the rank.
        self._process = subprocess.Popen(
            rank_command(path), stdin=subprocess.DEVNULL, close_fds=False
        )
        forget_the_launcher()

    def is_over(self) -> bool:
        return self._process.poll() is not None

    def cause(self) -> str:
        return cause_of(self._process.returncode)

    def send_signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)


class OwnThread:
    """The first rank as a thread of this process; it cannot be ended from outside.

    Args:
        path: socket of the driver.
    """

    def __init__(self, path: str) -> None:
        self._thread = threading.Thread(
            target=self._serve, args=(path,), name="d4py-mpi-rank", daemon=True
        )
        self._thread.start()

    def is_over(self) -> bool:
        return not self._thread.is_alive()

    def cause(self) -> str:
        return "its thread ended"

    def send_signal(self, number: signal.Signals) -> None:
        pass

    def _serve(self, path: str) -> None:
        post = open_post(path, may_exit=False)
        serve(post)
        post.close()


@functools.cache
def own_world() -> World:
    """The world that an mpiexec has started this process in; it lasts as long as the process."""
    mpi = sys.modules.get("mpi4py.MPI")
    world = World(OwnRank if mpi is None or not mpi.Is_initialized() else OwnThread)
    # Not before all has been said: mpiexec kills this process when another one ends badly.
    atexit.register(_end, world)
    return world


def _end(world: World) -> None:
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    world.close()
