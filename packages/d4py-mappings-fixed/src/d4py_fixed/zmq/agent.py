"""A host's side of a run that was started elsewhere: joins it, and runs the ranks that it gets."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from time import monotonic

from d4py_fixed.local.launch import run_rank
from d4py_fixed.zmq.addresses import (
    address_of,
    host_and_port,
    listen_at_host,
    way_to,
)
from d4py_fixed.zmq.control_messages import (
    HOST,
    Failed,
    Join,
    Left,
    StartRanks,
    Stop,
    Word,
    from_parts,
    to_parts,
    versions,
)
from d4py_fixed.zmq.coordinator import rank_arguments
from d4py_fixed.zmq.curve_keys import CurveKeys, keys_of_guest
from d4py_fixed.zmq.transport import ConnectionLostError, ZmqTransport
from dispel4py.errors import D4pyError, RunError, ServiceError, WorkerLostError
from dispel4py.logs import get_logger
from dispel4py.processes.pool import WorkerPool
from dispel4py.processes.start_methods import Start
from dispel4py.result import RunOptions

logger = get_logger("zmq_multi")

#: How the transport here calls the driver.
_DRIVER = 0
_TICK_SECONDS = 0.05
_ANSWER_SECONDS = 10.0


def join(options: RunOptions) -> None:
    """Take part in a run, to its end.

    Raises:
        RunError: it failed, here or elsewhere, or there is no such run.
    """
    extra = options.extra
    host, port = host_and_port(extra["connect"], "--connect")
    start = Start.of(extra)
    keys = keys_of_guest(extra.get("key_file"))
    own, driver = way_to(host, port, extra["wait"])
    with ExitStack() as stack:
        listener = stack.enter_context(listen_at_host(own))
        offers = [
            stack.enter_context(listen_at_host(own)) for _ in range(options.processes or _cores())
        ]
        guest = Agent(listener, offers, driver, keys, start)
        stack.callback(guest.close)
        guest.run(min(_ANSWER_SECONDS, extra["wait"]))


class Agent:
    """A host in a run.

    Args:
        listener: where it is spoken to.
        offers: where its ranks will be.
        driver: the driver's address.
        keys: the run's keys.
        start: how ranks are started.
    """

    def __init__(
        self,
        listener: socket.socket,
        offers: list[socket.socket],
        driver: str,
        keys: CurveKeys,
        start: Start,
    ) -> None:
        self._name = socket.gethostname()
        self._address = address_of(listener)
        self._offers = offers
        self._driver = driver
        self._keys = keys
        self._how = start
        self._transport = ZmqTransport(HOST, listener, {}, keys, patience=0.0)
        self._transport.connect(_DRIVER, driver, heartbeat=True)
        self._pool: WorkerPool | None = None
        self._orders: StartRanks = StartRanks([])

    def run(self, seconds: float) -> None:
        """Join, run what there is to run, and leave.

        Args:
            seconds: how long to wait for the driver's answer.

        Raises:
            RunError: the run failed.
        """
        addresses = tuple(map(address_of, self._offers))
        self._say(Join(self._name, self._address, addresses, versions()))
        answer = self._answer(seconds)
        if answer is None:
            raise ServiceError(
                f"no answer from {self._driver}: either that is no dispel4py with this key, or it"
                f" cannot reach {self._address}"
            )
        if isinstance(answer, Stop):
            logger.info("%s", answer.reason)
            return
        logger.info("joined the run at %s", self._driver)
        try:
            self._run_ranks()
        except ConnectionLostError:
            raise ServiceError(f"lost the driver at {self._driver}") from None
        except _StoppedError:
            raise
        except D4pyError as error:
            self._say(Failed(self._address, error))
            raise
        except KeyboardInterrupt:
            self._say(Failed(self._address, RunError(f"host {self._name} was interrupted")))
            raise
        self._say(Left(self._address))

    def close(self) -> None:
        """Stop what still runs."""
        if self._pool is not None:
            self._pool.stop()
        self._transport.close()

    def _run_ranks(self) -> None:
        """Run what the driver orders, until all has ended."""
        while self._pool is None:
            word = self._hear(_TICK_SECONDS)
            if isinstance(word, StartRanks):
                self._start(word)
        ended = False
        while not ended:
            self._hear(_TICK_SECONDS)
            ended = self._pool.join(0.0)
            self._check()
        self._pool.wait_for_descendants()

    def _start(self, orders: StartRanks) -> None:
        self._orders = orders
        arguments = [
            rank_arguments(place, self._offers[place.offer], self._keys) for place in orders.ranks
        ]
        self._pool = WorkerPool(run_rank, arguments, self._how)
        for offer in self._offers:
            offer.close()
        ranks = ", ".join(str(place.orders.rank) for place in orders.ranks)
        logger.info("ranks that run here: %s", ranks or "none")

    def _check(self) -> None:
        """Raise what went wrong in a rank."""
        assert self._pool is not None
        try:
            self._pool.raise_on_failure()
        except WorkerLostError as error:
            rank = self._orders.ranks[error.rank].orders.rank
            raise type(error)(rank, error.pid, f"{error.cause}, on {self._name}") from None

    def _answer(self, seconds: float) -> Word | None:
        """The driver's first word; None if there is none."""
        until = monotonic() + seconds
        word = None
        while word is None and monotonic() < until:
            try:
                word = self._hear(_TICK_SECONDS)
            except ConnectionLostError:  # so it is refused
                return None
        return word

    def _hear(self, seconds: float) -> Word | None:
        arrived = self._transport.receive(seconds)
        if arrived is None:
            return None
        word = from_parts(arrived[1])
        if isinstance(word, Stop) and word.is_failure:
            raise _StoppedError(word.reason)
        return word

    def _say(self, word: Word) -> None:
        self._transport.send(_DRIVER, to_parts(word))


class _StoppedError(RunError):
    """The driver has said to stop."""


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # those that this process may use
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
