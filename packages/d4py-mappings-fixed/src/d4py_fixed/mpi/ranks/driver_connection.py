"""Connects a rank to the driver.

The first rank finds the driver by an environment variable, and sends the address to the others.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from d4py_fixed.mpi.control_channel import DRIVER, ControlChannels, receive_from_driver
from d4py_fixed.mpi.launching.launcher import VARIABLE
from d4py_fixed.mpi.launching.listener import Hello, adopt_streams_of_driver, connect
from dispel4py.errors import ServiceError


class DriverConnection:
    """The control channel of a rank; all ranks of a world have to connect at the same time.

    Args:
        world: the communicator of all ranks.
        host: the name of this machine.
        adopts_streams: if the driver is on the same machine, its standard output and error become
            those of this process.

    Attributes:
        channels: the control channel to the driver.
        socket: its socket.

    Raises:
        ServiceError: the driver has ended, or cannot be reached.
    """

    channels: ControlChannels
    socket: socket.socket

    def __init__(self, world: Any, host: str, *, adopts_streams: bool) -> None:
        hosts: list[str] = world.allgather(host)
        is_remote = len(set(hosts)) > 1
        self._hello = Hello(world.Get_rank(), world.Get_size(), os.getpid(), is_remote)
        if self._hello.rank == 0:
            port, key = _driver_address()
            address = "127.0.0.1", port
            self._connect(address, key, port if adopts_streams else None)
            if is_remote:
                address = hosts[0], self._receive_remote_port()
            world.bcast((address, port, key))
        else:
            address, port, key = world.bcast(None)
            is_near = host == hosts[0]
            self._connect(address, key, port if adopts_streams and is_near else None)

    def _connect(self, address: tuple[str, int], key: bytes, streams_port: int | None) -> None:
        rank = self._hello.rank
        if streams_port is not None:  # first: the driver accepts until all ranks have connected
            adopt_streams_of_driver(streams_port, key, self._hello)
        try:
            self.socket = connect(address, key, self._hello)
        except OSError as error:
            raise ServiceError(
                f"MPI rank {rank} cannot reach the driver at {address[0]}:{address[1]}: {error}"
            ) from error
        self.channels = ControlChannels(rank, key)
        self.channels.connect(DRIVER, self.socket)

    def _receive_remote_port(self) -> int:
        """Wait for the port at which the driver listens for ranks on other machines."""
        message = receive_from_driver(self.channels, self.socket)
        if message is None:
            raise ServiceError("the driver has ended")
        return int.from_bytes(message.parts[0], "big")


def _driver_address() -> tuple[int, bytes]:
    """Return the port of the driver and the run's key."""
    message = os.environ.pop(VARIABLE, "")
    if not message:
        raise ServiceError(
            "the first MPI rank is not on the machine of the command; start the command itself by"
            " mpiexec: mpiexec … dispel4py mpi WORKFLOW"
        )
    port, key = message.split(":")
    return int(port), bytes.fromhex(key)
