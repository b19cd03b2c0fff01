"""Wakes ranks that wait for messages: MPI has no call that waits without keeping a core busy.

A rank that sends to a rank on the same machine also sends it an empty datagram through the loopback
interface, which `poll` can wait for.  The datagram is a hint only: a rank that gets one probes MPI,
and a rank that gets none does so after a pause.  Measured in docs/decisions/033.
"""

from __future__ import annotations

import select
import socket
from contextlib import suppress
from time import sleep

from mpi4py import MPI

from d4py_fixed.mpi.limits import MpiLimits


class WakeupSocket:
    """Receives the notifications for one rank, and sends those for others.

    Args:
        world: the communicator of all ranks.
        machine: that of the ranks of this machine, which create their sockets at the same time.
        channel: the control channel; a message on it ends a wait as well.
        limits: the pauses between two probes.
    """

    def __init__(
        self,
        world: MPI.Intracomm,
        machine: MPI.Intracomm,
        channel: socket.socket,
        limits: MpiLimits = MpiLimits(),
    ) -> None:
        self._shortest = limits.shortest_pause_seconds
        self._longest = limits.longest_pause_seconds
        self._idle = limits.idle_pause_seconds
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.setblocking(False)
        self._datagrams.bind(("127.0.0.1", 0))
        address = world.Get_rank(), self._datagrams.getsockname()
        self._addresses: dict[int, tuple[str, int]] = dict(machine.allgather(address))
        self._all_notify = len(self._addresses) == world.Get_size()
        self._pause = self._shortest
        self._poll = select.poll()
        self._poll.register(self._datagrams, select.POLLIN)
        self._poll.register(channel, select.POLLIN)

    def notify(self, rank: int) -> None:
        """Wake a rank, if it is on this machine."""
        address = self._addresses.get(rank)
        if address is not None:
            with suppress(OSError):  # a rank with a full buffer has been notified already
                self._datagrams.sendto(b"", address)

    def shorten_pauses(self) -> None:
        """Begin again with the shortest pause, since a message has arrived."""
        self._pause = self._shortest

    def wait(self, seconds: float, *, in_transfer: bool) -> None:
        """Wait for a notification or a message of the driver, or until MPI is to be probed.

        Args:
            seconds: the longest time to wait.
            in_transfer: a message is partly sent or received, of whose end nothing notifies.
        """
        pause = self._pause
        self._pause = min(pause * 1.5, self._longest)
        if pause == self._longest and self._all_notify and not in_transfer:
            pause = self._idle
        pause = min(pause, seconds)
        if pause < self._longest:  # shorter than the millisecond that poll() can wait
            sleep(pause)
        elif self._poll.poll(pause * 1000):
            self.shorten_pauses()  # MPICH may have to be probed twice for one message
            with suppress(OSError):
                while True:
                    self._datagrams.recv(1)

    def close(self) -> None:
        """Close the socket."""
        self._datagrams.close()
