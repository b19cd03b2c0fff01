"""Wakes ranks that wait: of MPI one can only ask again and again whether a message has come.

Whoever sends to a rank on the same machine also sends it an empty datagram over the loopback
interface, which can be waited for without keeping a core busy.  That it rang means nothing else: a
rank that was woken asks MPI, and one that was not asks all the same after a while.
"""

from __future__ import annotations

import select
import socket
from contextlib import suppress
from time import sleep

from mpi4py import MPI

#: Seconds between two questions to MPI of a rank that waits: once it has waited for a while, where
#: everybody can ring for it and nothing is half done; and else, from the first to the longest.
_CALM_SECONDS, _FIRST_SECONDS, _LONGEST_SECONDS = 0.02, 50e-6, 1e-3


class WakeupSocket:
    """The bell of one rank.

    Args:
        world: the communicator of all ranks; all of them must make their bell at once.
        line: wakes the rank as well when there is something to read.
    """

    def __init__(self, world: MPI.Intracomm, line: socket.socket) -> None:
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.setblocking(False)
        self._datagrams.bind(("127.0.0.1", 0))
        here = world.Split_type(MPI.COMM_TYPE_SHARED)
        mine = world.Get_rank(), self._datagrams.getsockname()
        self._addresses: dict[int, tuple[str, int]] = dict(here.allgather(mine))
        here.Free()
        self._all_ring = len(self._addresses) == world.Get_size()
        self._pause = _FIRST_SECONDS
        self._poll = select.poll()
        self._poll.register(self._datagrams, select.POLLIN)
        self._poll.register(line, select.POLLIN)

    def ring(self, rank: int) -> None:
        """Wake a rank, if it is on this machine."""
        address = self._addresses.get(rank)
        if address is not None:
            with suppress(OSError):  # one that has no room for more rings is awake
                self._datagrams.sendto(b"", address)

    def stay_awake(self) -> None:
        """There was something to do: the next pauses are short."""
        self._pause = _FIRST_SECONDS

    def wait(self, seconds: float, *, is_calm: bool) -> None:
        """Wait until somebody rings, or it is time to ask MPI again.

        Args:
            seconds: how long at the most.
            is_calm: nothing is half sent or half received.
        """
        pause = self._pause
        self._pause = min(pause * 1.5, _LONGEST_SECONDS)
        if pause == _LONGEST_SECONDS and is_calm and self._all_ring:
            pause = _CALM_SECONDS
        pause = min(pause, seconds)
        if pause < _LONGEST_SECONDS:  # which is the shortest that poll() knows
            sleep(pause)
        elif self._poll.poll(pause * 1000):
            self.stay_awake()  # MPI may have to be asked twice before it gives a message away
            with suppress(OSError):
                while True:
                    self._datagrams.recv(1)

    def close(self) -> None:
        self._datagrams.close()
