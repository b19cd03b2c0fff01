"""What the driver of a run and the hosts that join it say to each other, beside the frames.

A host listens once for itself and once for each rank that it offers to run::

    host → driver   Join        here I am, and this I offer
    driver → host   Welcome     wait until there are enough, or Stop: you are not needed
    driver → host   StartRanks      start these ranks
    host → driver   Failed      one of them failed, or Left: all have ended
    driver → host   Stop        stop them all
"""

from __future__ import annotations

import pickle
import platform
from importlib.metadata import version
from typing import NamedTuple

from d4py_fixed.engine.transport import MessageParts
from d4py_fixed.local.launch import RankSpec
from dispel4py.errors import D4pyError

#: The rank that hosts send as.
HOST = (1 << 32) - 1


class Join(NamedTuple):
    """A host offers to run ranks.

    Attributes:
        name: the host's name.
        address: where it listens; tells it from others.
        offers: where the ranks would listen.
        versions: see `versions`.
    """

    name: str
    address: str
    offers: tuple[str, ...]
    versions: str


class Welcome(NamedTuple):
    """The driver has heard."""


class RankPlace(NamedTuple):
    """A rank for a host.

    Attributes:
        offer: where it listens, as a position in `Join.offers`.
        orders: what it is started with.
        addresses: where those listen that it has something to say to.
    """

    offer: int
    orders: RankSpec
    addresses: dict[int, str]


class StartRanks(NamedTuple):
    """The ranks that a host is to start."""

    ranks: list[RankPlace]


class Failed(NamedTuple):
    """A rank of this host failed, or the host itself."""

    address: str
    error: D4pyError


class Left(NamedTuple):
    """All ranks of this host have ended."""

    address: str


class Stop(NamedTuple):
    """The run is over for this host."""

    reason: str
    is_failure: bool = True


Word = Join | Welcome | StartRanks | Failed | Left | Stop


def to_parts(word: Word) -> MessageParts:
    """A word as bytes."""
    return [pickle.dumps(word)]


def from_parts(parts: MessageParts) -> Word:
    """The word; only for what came over a connection that has shown the run's key."""
    word: Word = pickle.loads(parts[0])
    return word


def versions() -> str:
    """What has to be alike on all hosts, for they exchange pickles."""
    python = ".".join(platform.python_version_tuple()[:2])
    ours = [f"{name} {version(name)}" for name in ("d4py-core", "d4py-mappings-fixed")]
    return ", ".join([f"Python {python}", *ours])
