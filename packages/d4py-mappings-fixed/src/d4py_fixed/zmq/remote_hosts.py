"""The other hosts of a run, as the coordinator sees them: which ranks each runs, and its state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic

from d4py_fixed.engine.placement import Placement
from d4py_fixed.engine.transport import MessageParts
from d4py_fixed.zmq.control_messages import (
    AGENT,
    ControlMessage,
    HostFailed,
    JoinAccepted,
    JoinRequest,
    RanksEnded,
    RankStart,
    StartRanks,
    Stop,
    from_parts,
    to_parts,
    versions,
)
from d4py_fixed.zmq.transport import ConnectionLostError, ZmqTransport
from dispel4py.errors import D4pyError, ServiceError
from dispel4py.logs import get_logger
from dispel4py.processes.workers.shutdown_watch import ShutdownWatch

logger = get_logger("zmq_multi")

#: Longest wait for a message between two checks, in seconds.
_CHECK_SECONDS = 0.1


@dataclass
class RemoteHost:
    """A host that has joined.

    Attributes:
        number: The rank number of its agent in the driver's transport.
        name: Its name.
        ranks: The ranks that it runs.
        has_ended: All its ranks have ended.
    """

    number: int
    name: str
    ranks: list[int] = field(default_factory=list)
    has_ended: bool = False


class RemoteHosts:
    """The other hosts of a run, and the driver's `Transport`, which handles control messages.

    Args:
        placement: the plan, and which rank runs what.
        transport: the driver's; not connected to other hosts yet.
        addresses: where the ranks of this host listen, by rank; those of others are added.
    """

    def __init__(
        self, placement: Placement, transport: ZmqTransport, addresses: dict[int, str]
    ) -> None:
        self._placement = placement
        self._transport = transport
        self.addresses = addresses
        self._hosts: dict[str, RemoteHost] = {}
        self._next_number = placement.ranks + 1
        self._error: D4pyError | None = None

    # `Transport`.

    def send(self, rank: int, parts: MessageParts) -> None:
        """See `Transport`.

        Raises:
            ServiceError: the connection to a host was lost while this call waited.
        """
        try:
            self._transport.send(rank, parts)
        except ConnectionLostError as error:
            raise self._named(error) from None

    def receive(self, seconds: float) -> tuple[int, MessageParts] | None:
        """See `Transport`.

        Raises:
            ServiceError: the connection to a host was lost.
        """
        until = monotonic() + seconds
        while True:
            try:
                arrived = self._transport.receive(max(0.0, until - monotonic()))
            except ConnectionLostError as error:
                raise self._named(error) from None
            if arrived is None or arrived[0] != AGENT:
                return arrived
            self._handle(from_parts(arrived[1]))

    def close(self) -> None:
        """See `Transport`."""
        self._transport.close()

    # Phases of a run.

    def gather(self, seconds: float) -> None:
        """Wait until every rank has a host.

        Raises:
            ServiceError: not enough hosts have joined in time.
        """
        until = monotonic() + seconds
        while missing := self._ranks_without_host():
            self.receive(_CHECK_SECONDS)
            self.raise_on_failure()
            if monotonic() >= until:
                joined = ", ".join(host.name for host in self._hosts.values()) or "none"
                raise ServiceError(
                    f"no host for {len(missing)} of {self._placement.ranks} processes after"
                    f" {seconds:g} s (--wait); hosts that have joined: {joined}"
                )

    def start(self, starts: Sequence[RankStart]) -> None:
        """Let all hosts start their ranks.

        Args:
            starts: those of all ranks, by rank.
        """
        for host in self._hosts.values():
            of_host = [starts[rank]._replace(offer=i) for i, rank in enumerate(host.ranks)]
            self._send(host, StartRanks(of_host))

    def raise_on_failure(self) -> None:
        """Raise the failure that a host has reported.

        Raises:
            D4pyError: the error of a rank, or of its host.
        """
        if isinstance(self._error, ConnectionLostError):
            raise self._named(self._error)
        if self._error is not None:
            raise self._error

    def expect_disconnects(self) -> None:
        """Tolerate lost connections to ranks, which are about to end; agents report failures."""
        for rank in range(self._placement.ranks):
            self._transport.expect_disconnect(rank)

    def handle_messages(self, seconds: float = 0.0) -> None:
        """Handle the control messages that have arrived; wait up to `seconds` for the first.

        Raises:
            D4pyError: see `raise_on_failure`, or a host was lost.
        """
        self.receive(seconds)
        self.raise_on_failure()

    def wait_until_ended(self) -> None:
        """Wait until the ranks of all hosts have ended; log which hosts a long wait is for.

        Raises:
            D4pyError: a rank failed on its host, or a host was lost.
        """
        watch = ShutdownWatch()
        while running := [host for host in self._hosts.values() if not host.has_ended]:
            self.handle_messages(_CHECK_SECONDS)
            watch.check((self._describe(host), ()) for host in running)
        self._ignore_disconnects()

    def stop(self, reason: str) -> None:
        """Let all hosts stop their ranks."""
        self._ignore_disconnects()
        for host in self._hosts.values():
            self._send(host, Stop(reason))

    def rejected_connections(self) -> int:
        """Return how many connections did not have the run's key."""
        joined = self._next_number - self._placement.ranks - 1
        # Before it joins, each host makes a connection that it closes at once; see `find_route`.
        return self._transport.rejected_connections() - joined

    def _ranks_without_host(self) -> list[int]:
        return [rank for rank in range(self._placement.ranks) if rank not in self.addresses]

    def _handle(self, message: ControlMessage) -> None:
        match message:
            case JoinRequest():
                self._handle_join(message)
            case HostFailed(_, error):
                self._error = self._error or error
            case RanksEnded(address):
                if address in self._hosts:
                    self._hosts[address].has_ended = True
                    self._transport.expect_disconnect(self._hosts[address].number)
            case _:
                raise AssertionError(f"the coordinator received {message!r}")

    def _handle_join(self, request: JoinRequest) -> None:
        host = RemoteHost(self._next_number, request.name)
        self._next_number += 1
        self._transport.connect(host.number, request.address, heartbeat=True)
        missing = self._ranks_without_host()
        if request.versions != versions():
            reason = f"it has {request.versions}; the driver has {versions()}"
            logger.warning("host %s cannot join: %s", host.name, reason)
            self._send(host, Stop(f"this host cannot join: {reason}"))
        elif not missing:
            self._send(host, Stop("the run has all the processes that it needs", is_failure=False))
        else:
            self._hosts[request.address] = host
            for rank, address in zip(missing, request.offers, strict=False):
                host.ranks.append(rank)
                self.addresses[rank] = address
                self._transport.connect(rank, address)
            self._send(host, JoinAccepted())
            logger.info("host %s runs ranks %s", host.name, ", ".join(map(str, host.ranks)))

    def _ignore_disconnects(self) -> None:
        self._transport.grace_seconds = self._transport.check = None

    def _send(self, host: RemoteHost, message: ControlMessage) -> None:
        self._transport.send(host.number, to_parts(message))

    def _named(self, error: ConnectionLostError) -> ServiceError:
        """Return the error with the name of the host, if one is at the other end."""
        for host in self._hosts.values():
            if error.rank == host.number or error.rank in host.ranks:
                return ServiceError(f"lost host {host.name}; it ran {self._describe_ranks(host)}")
        return error

    def _describe(self, host: RemoteHost) -> str:
        return f"host {host.name}, which ran {self._describe_ranks(host)}"

    def _describe_ranks(self, host: RemoteHost) -> str:
        return ", ".join(map(self._placement.describe, host.ranks))
