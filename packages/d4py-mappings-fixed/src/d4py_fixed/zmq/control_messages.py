"""Control messages between the coordinator of a run and the agents of other hosts.

They are sent over the same connections as frames.  An agent listens once for itself and once for
each rank that it offers to run::

    agent → coordinator    JoinRequest     with the addresses of its ranks
    coordinator → agent    JoinAccepted    or Stop, if the host is not needed
    coordinator → agent    StartRanks
    agent → coordinator    HostFailed      a rank or the agent failed; or RanksEnded
    coordinator → agent    Stop            ends all ranks of the host
"""

from __future__ import annotations

import pickle
from typing import NamedTuple

from d4py_fixed.engine.transport import MessageParts
from d4py_fixed.local.launch import RankSpec
from dispel4py.errors import D4pyError
from dispel4py.processes.versions import shared_versions

#: The rank that agents send as.
AGENT = (1 << 32) - 1


class JoinRequest(NamedTuple):
    """An offer to run ranks.

    Attributes:
        name: Name of the host.
        address: Where the agent listens; identifies the host.
        offers: Where the ranks would listen.
        versions: See `versions`.
    """

    name: str
    address: str
    offers: tuple[str, ...]
    versions: str


class JoinAccepted(NamedTuple):
    """The host will run ranks, once there are enough hosts."""


class RankStart(NamedTuple):
    """A rank to be started.

    Attributes:
        offer: Where it listens, as a position in `JoinRequest.offers`.
        spec: What it is started with.
        addresses: Where its peers listen.
    """

    offer: int
    spec: RankSpec
    addresses: dict[int, str]


class StartRanks(NamedTuple):
    """The ranks that a host has to start."""

    ranks: list[RankStart]


class HostFailed(NamedTuple):
    """A rank of the host failed, or its agent."""

    address: str
    error: D4pyError


class RanksEnded(NamedTuple):
    """All ranks of the host have ended."""

    address: str


class Stop(NamedTuple):
    """The end of the run for the host."""

    reason: str
    is_failure: bool = True


ControlMessage = JoinRequest | JoinAccepted | StartRanks | HostFailed | RanksEnded | Stop


def to_parts(message: ControlMessage) -> MessageParts:
    """Encode a message."""
    return [pickle.dumps(message)]


def from_parts(parts: MessageParts) -> ControlMessage:
    """Decode a message; only for one from a connection that has authenticated with the key."""
    message: ControlMessage = pickle.loads(parts[0])
    return message


def versions() -> str:
    """Return the versions that have to be the same on all hosts, which exchange pickles."""
    return shared_versions("d4py-mappings-fixed")
