"""The agent of a host: joins a run that was started on another host, and runs ranks of it."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from time import monotonic

from d4py_fixed.local.launch import run_rank
from d4py_fixed.zmq.addresses import address_of, find_route, listen_at_host, parse_address
from d4py_fixed.zmq.control_messages import (
    AGENT,
    ControlMessage,
    HostFailed,
    JoinRequest,
    RanksEnded,
    StartRanks,
    Stop,
    from_parts,
    to_parts,
    versions,
)
from d4py_fixed.zmq.coordinator import rank_arguments
from d4py_fixed.zmq.curve_keys import CurveKeys, agent_keys
from d4py_fixed.zmq.transport import ConnectionLostError, ZmqTransport
from dispel4py.errors import D4pyError, RunError, ServiceError, WorkerLostError
from dispel4py.logs import get_logger
from dispel4py.processes.cores import usable_cores
from dispel4py.processes.workers.pool import WorkerPool
from dispel4py.processes.workers.start_methods import Start
from dispel4py.result import RunOptions

logger = get_logger("zmq_multi")

#: The rank of the driver in the transport of an agent.
_DRIVER = 0
#: Longest wait for a message between two checks, and for the answer to a request, in seconds.
_CHECK_SECONDS, _ANSWER_SECONDS = 0.05, 10.0


def join(options: RunOptions) -> None:
    """Join a run and stay in it until it ends.

    Raises:
        RunError: the run failed, on this host or elsewhere, or there is no such run.
    """
    extra = options.extra
    host, port = parse_address(extra["connect"], "--connect")
    start = Start.of(extra)
    keys = agent_keys(extra.get("key_file"))
    this_host, driver = find_route(host, port, extra["wait"])
    with ExitStack() as stack:
        listener = stack.enter_context(listen_at_host(this_host))
        offers = [
            stack.enter_context(listen_at_host(this_host))
            for _ in range(options.processes or usable_cores())
        ]
        agent = Agent(listener, offers, driver, keys, start)
        stack.callback(agent.close)
        agent.run(min(_ANSWER_SECONDS, extra["wait"]))


class Agent:
    """The agent of this host in a run.

    Args:
        listener: where the agent listens.
        offers: where its ranks will listen.
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
        self._start_method = start
        self._transport = ZmqTransport(AGENT, listener, {}, keys, grace_seconds=0.0)
        self._transport.connect(_DRIVER, driver, heartbeat=True)
        self._pool: WorkerPool | None = None
        self._assigned = StartRanks([])

    def run(self, seconds: float) -> None:
        """Join the run, run the ranks that are assigned, and leave.

        Args:
            seconds: how long to wait for the coordinator's answer.

        Raises:
            RunError: the run failed.
        """
        offers = tuple(map(address_of, self._offers))
        self._send(JoinRequest(self._name, self._address, offers, versions()))
        answer = self._wait_for_answer(seconds)
        if answer is None:
            raise ServiceError(
                f"no answer from {self._driver}: it does not run dispel4py with this key, or cannot"
                f" connect to {self._address}"
            )
        if isinstance(answer, Stop):
            logger.info("%s", answer.reason)
            return
        logger.info("joined the run at %s", self._driver)
        try:
            self._run_ranks()
        except ConnectionLostError:
            raise ServiceError(f"lost the connection to the driver at {self._driver}") from None
        except _StoppedError:
            raise
        except D4pyError as error:
            self._send(HostFailed(self._address, error))
            raise
        except KeyboardInterrupt:
            interrupted = RunError(f"host {self._name} was interrupted")
            self._send(HostFailed(self._address, interrupted))
            raise
        self._send(RanksEnded(self._address))

    def close(self) -> None:
        """Stop the ranks that still run."""
        if self._pool is not None:
            self._pool.stop()
        self._transport.close()

    def _run_ranks(self) -> None:
        """Run the ranks that are assigned until all have ended."""
        while self._pool is None:
            message = self._receive(_CHECK_SECONDS)
            if isinstance(message, StartRanks):
                self._start(message)
        has_ended = False
        while not has_ended:
            self._receive(_CHECK_SECONDS)
            has_ended = self._pool.join(0.0)
            self._raise_on_failure()
        self._pool.wait_for_descendants()

    def _start(self, assigned: StartRanks) -> None:
        self._assigned = assigned
        arguments = [
            rank_arguments(start, self._offers[start.offer], self._keys) for start in assigned.ranks
        ]
        self._pool = WorkerPool(run_rank, arguments, self._start_method)
        for offer in self._offers:
            offer.close()
        ranks = ", ".join(str(start.spec.rank) for start in assigned.ranks)
        logger.info("ranks on this host: %s", ranks or "none")

    def _raise_on_failure(self) -> None:
        """Raise the failure of a rank, with its number in the run."""
        assert self._pool is not None
        try:
            self._pool.raise_on_failure()
        except WorkerLostError as error:
            rank = self._assigned.ranks[error.rank].spec.rank
            raise type(error)(rank, error.pid, f"{error.cause}, on {self._name}") from None

    def _wait_for_answer(self, seconds: float) -> ControlMessage | None:
        """Return the coordinator's first message; None if none arrives in time."""
        until = monotonic() + seconds
        message = None
        while message is None and monotonic() < until:
            try:
                message = self._receive(_CHECK_SECONDS)
            except ConnectionLostError:  # the connection was rejected
                return None
        return message

    def _receive(self, seconds: float) -> ControlMessage | None:
        arrived = self._transport.receive(seconds)
        if arrived is None:
            return None
        message = from_parts(arrived[1])
        if isinstance(message, Stop) and message.is_failure:
            raise _StoppedError(message.reason)
        return message

    def _send(self, message: ControlMessage) -> None:
        self._transport.send(_DRIVER, to_parts(message))


class _StoppedError(RunError):
    """The coordinator has stopped the run."""
