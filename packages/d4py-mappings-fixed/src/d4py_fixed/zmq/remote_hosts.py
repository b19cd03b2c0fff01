"""The driver's side of a run on several hosts: who joins, which ranks they get, how they fare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic

from d4py_fixed.engine.placement import Placement
from d4py_fixed.engine.transport import MessageParts
from d4py_fixed.zmq.control_messages import (
    HOST,
    Failed,
    Join,
    Left,
    RankPlace,
    StartRanks,
    Stop,
    Welcome,
    Word,
    from_parts,
    to_parts,
    versions,
)
from d4py_fixed.zmq.transport import ConnectionLostError, ZmqTransport
from dispel4py.errors import D4pyError, ServiceError
from dispel4py.logs import get_logger
from dispel4py.processes.shutdown_watch import ShutdownWatch

logger = get_logger("zmq_multi")

_TICK_SECONDS = 0.1


@dataclass
class RemoteHost:
    """A host that has joined.

    Attributes:
        number: the rank number that the driver knows it by.
        name: its name.
        ranks: what it runs.
        left: it has said that all its ranks have ended.
    """

    number: int
    name: str
    ranks: list[int] = field(default_factory=list)
    left: bool = False


class RemoteHosts:
    """The other hosts of a run, and a `Transport` that overhears what they say beside the frames.

    Args:
        placement: the plan and its place.
        transport: the driver's; knows nobody yet.
        addresses: where ranks of this host listen, by rank; those of others are added.
    """

    def __init__(
        self, placement: Placement, transport: ZmqTransport, addresses: dict[int, str]
    ) -> None:
        self._placement = placement
        self._transport = transport
        self.addresses = addresses
        self._guests: dict[str, RemoteHost] = {}
        self._next_number = placement.ranks + 1
        self._error: D4pyError | None = None

    # As a transport.

    def send(self, rank: int, parts: MessageParts) -> None:
        """See `Transport`.

        Raises:
            ServiceError: it waited, and the connection to a host was lost meanwhile.
        """
        try:
            self._transport.send(rank, parts)
        except ConnectionLostError as error:
            raise self._explained(error) from None

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
                raise self._explained(error) from None
            if arrived is None or arrived[0] != HOST:
                return arrived
            self._hear(from_parts(arrived[1]))

    def close(self) -> None:
        """See `Transport`."""
        self._transport.close()

    # As a company.

    def gather(self, seconds: float) -> None:
        """Wait until every rank has a host.

        Raises:
            ServiceError: not enough have come for so long.
        """
        until = monotonic() + seconds
        while self._lacking:
            self.receive(_TICK_SECONDS)
            self.check()
            if monotonic() >= until:
                came = ", ".join(guest.name for guest in self._guests.values()) or "nobody"
                raise ServiceError(
                    f"{len(self._lacking)} of {self._placement.ranks} processes are still without"
                    f" a host after {seconds:g} s (--wait); who came: {came}"
                )

    def start(self, places: Sequence[RankPlace]) -> None:
        """Let all hosts start their ranks.

        Args:
            places: of all ranks.
        """
        for guest in self._guests.values():
            own = [places[rank]._replace(offer=i) for i, rank in enumerate(guest.ranks)]
            self._say(guest, StartRanks(own))

    def check(self) -> None:
        """Raise what a host has reported.

        Raises:
            D4pyError: a rank's own error, or that of its host.
        """
        if isinstance(self._error, ConnectionLostError):
            raise self._explained(self._error)
        if self._error is not None:
            raise self._error

    def stop(self, reason: str) -> None:
        """Let all hosts stop their ranks."""
        self._look_away()
        for guest in self._guests.values():
            self._say(guest, Stop(reason))

    def attend(self, seconds: float = 0.0) -> None:
        """Hear what hosts say while their ranks end.

        Raises:
            D4pyError: see `check`; a host was lost.
        """
        self.receive(seconds)
        self.check()

    def let_ranks_go(self) -> None:
        """Take it for no error if ranks end from now on; their hosts say so if they fail."""
        for rank in range(self._placement.ranks):
            self._transport.let_go(rank)

    def see_off(self) -> None:
        """Wait until all have left, however long; say for which if it takes long.

        Raises:
            D4pyError: a rank failed on its host, or a host was lost.
        """
        warning = ShutdownWatch()
        while waiting := [guest for guest in self._guests.values() if not guest.left]:
            self.attend(_TICK_SECONDS)
            warning.check((self._describe(guest), ()) for guest in waiting)
        self._look_away()

    def _describe(self, guest: RemoteHost) -> str:
        ran = ", ".join(map(self._placement.describe, guest.ranks))
        return f"host {guest.name}, which ran {ran}"

    def strangers(self) -> int:
        """How many connections were refused."""
        joined = self._next_number - self._placement.ranks - 1
        return self._transport.strangers() - joined  # a host knocks once before it joins

    @property
    def _lacking(self) -> list[int]:
        """Ranks without a host."""
        return [rank for rank in range(self._placement.ranks) if rank not in self.addresses]

    def _hear(self, word: Word) -> None:
        match word:
            case Join():
                self._receive_guest(word)
            case Failed(_, error):
                self._error = self._error or error
            case Left(address):
                if address in self._guests:
                    self._guests[address].left = True
                    self._transport.let_go(self._guests[address].number)
            case _:
                raise AssertionError(f"the driver heard {word!r}")

    def _receive_guest(self, join: Join) -> None:
        guest = RemoteHost(self._next_number, join.name)
        self._next_number += 1
        self._transport.connect(guest.number, join.address, heartbeat=True)
        lacking = self._lacking
        if join.versions != versions():
            reason = f"it has {join.versions}, and the driver {versions()}"
            logger.warning("host %s cannot take part: %s", guest.name, reason)
            self._say(guest, Stop(f"this host cannot take part: {reason}"))
        elif not lacking:
            self._say(guest, Stop("the run has all the processes that it needs", is_failure=False))
        else:
            self._guests[join.address] = guest
            for rank, address in zip(lacking, join.offers, strict=False):
                guest.ranks.append(rank)
                self.addresses[rank] = address
                self._transport.connect(rank, address)
            self._say(guest, Welcome())
            logger.info("host %s runs ranks %s", guest.name, ", ".join(map(str, guest.ranks)))

    def _look_away(self) -> None:
        """Connections may break from now on."""
        self._transport.patience = self._transport.check = None

    def _say(self, guest: RemoteHost, word: Word) -> None:
        self._transport.send(guest.number, to_parts(word))

    def _explained(self, error: ConnectionLostError) -> ServiceError:
        for guest in self._guests.values():
            if error.rank == guest.number or error.rank in guest.ranks:
                ran = ", ".join(map(self._placement.describe, guest.ranks))
                return ServiceError(f"lost host {guest.name}; it ran {ran}")
        return error
