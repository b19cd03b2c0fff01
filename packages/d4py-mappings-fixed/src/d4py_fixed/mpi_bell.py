"""Wakes ranks that wait: of MPI one can only ask again and again whether a message has come.

Whoever sends to a rank on the same machine also sends it an empty datagram over the loopback
interface, which is waited for without keeping a core busy.  That it rang means nothing else: a rank
that was woken looks at its post, and one that was not looks all the same after a while.
"""

from __future__ import annotations

import select
import socket
from contextlib import suppress

from mpi4py import MPI


class Bell:
    """The bell of one rank.

    Args:
        world: the communicator of all ranks; all of them must make their bell at once.
        line: whatever else wakes the rank when it can be read.
    """

    def __init__(self, world: MPI.Intracomm, line: HasFileno | None) -> None:
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.setblocking(False)
        self._datagrams.bind(("127.0.0.1", 0))
        here = world.Split_type(MPI.COMM_TYPE_SHARED)
        mine = world.Get_rank(), self._datagrams.getsockname()
        self._addresses: dict[int, tuple[str, int]] = dict(here.allgather(mine))
        here.Free()
        self._all_here = len(self._addresses) == world.Get_size()
        self._poll = select.poll()
        self._poll.register(self._datagrams, select.POLLIN)
        if line is not None:
            self._poll.register(line, select.POLLIN)

    @property
    def can_all_ring(self) -> bool:
        """All ranks are on this machine."""
        return self._all_here

    def ring(self, rank: int) -> None:
        """Wake a rank, if it is here."""
        address = self._addresses.get(rank)
        if address is not None:
            with suppress(OSError):  # so many that it has no room has been woken anyway
                self._datagrams.sendto(b"", address)

    def wait(self, seconds: float) -> None:
        """Wait until somebody rings."""
        if self._poll.poll(seconds * 1000):
            with suppress(OSError):
                while True:
                    self._datagrams.recv(1)

    def close(self) -> None:
        self._datagrams.close()
