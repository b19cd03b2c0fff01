"""Worker processes of a run on Redis, on the driver's host and on other ones.

Both kinds serve tasks and send heartbeats.  A local worker reports errors to its parent, which is
the driver; a remote worker reports them to the driver through the store.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import NamedTuple

import redis

from d4py_dynamic.driver.limits import HEARTBEAT_SECONDS
from d4py_dynamic.store.protocols import WorkerExited, WorkerFailed, WorkerStopping
from d4py_dynamic.store.redis.connections.address import Address
from d4py_dynamic.store.redis.connections.client import broken_connections, connect
from d4py_dynamic.store.redis.connections.errors import RunGoneError, service_errors
from d4py_dynamic.store.redis.keys import RunKeys
from d4py_dynamic.store.redis.scripts import register_script
from d4py_dynamic.store.redis.task_store import RedisTaskStore
from d4py_dynamic.store.task_pickles import codec_with
from d4py_dynamic.worker.spec import WorkerSpec
from dispel4py.errors import D4pyError, ServiceError
from dispel4py.processes.workers.exiting import end_worker_process, set_abort_handler
from dispel4py.processes.workers.process import WorkerContext
from dispel4py.processes.workers.reports import picklable_error
from dispel4py.shared_memory.arena_file import ArenaFile


class RedisWorkerSpec(NamedTuple):
    """What a worker process is started with; picklable in any start method.

    Attributes:
        address: the server.
        keys: the run's keys.
        secret: the run's key.
        rank: number of the worker.
        worker: what every worker of the run is started with.
        heap: for large buffers of tasks, if all workers are on the driver's machine.
    """

    address: Address
    keys: RunKeys
    secret: bytes
    rank: int
    worker: WorkerSpec
    heap: ArenaFile | None = None

    def open_store(self) -> RedisTaskStore:
        """Return the worker's side of the store."""
        return RedisTaskStore(
            *(self.address, self.keys, self.secret, self.rank), codec=codec_with(self.heap)
        )

    def start_heartbeat(self) -> None:
        """Send heartbeats from now on, to the end of this process."""
        Heartbeat(self.address, self.keys, self.rank).start()

    def serve(self, store: RedisTaskStore) -> None:
        """Run the worker to the end of the run; see `WorkerSpec.serve`."""
        self.worker.serve(store, self.rank)


def worker_main(context: WorkerContext, spec: RedisWorkerSpec) -> None:
    """Run a worker process on the driver's host."""
    store = spec.open_store()
    context.on_orphaned(store.delete)
    spec.start_heartbeat()
    try:
        spec.serve(store)
    finally:
        store.close()


def remote_worker_main(context: WorkerContext, spec: RedisWorkerSpec) -> None:
    """Run a worker process on another host than the driver's."""
    store = spec.open_store()

    def report_threads(threads: list[str]) -> None:
        context.finishing(threads)
        store.send_event(WorkerStopping(spec.rank, threads))

    def fail(error: BaseException) -> None:
        store.send_event(WorkerFailed(picklable_error(error)))
        os._exit(1)

    set_abort_handler(fail)
    orphaned = WorkerExited(spec.rank, os.getpid(), "its parent was killed")
    context.on_orphaned(lambda: store.send_event(orphaned))
    spec.start_heartbeat()
    try:
        spec.serve(store)
        # Wait for threads of PEs while this worker is a member of the run: the driver waits for
        # members.
        end_worker_process(report_threads)
        store.send_event(WorkerExited(spec.rank, os.getpid(), "its work is done", drained=True))
    except RunGoneError as error:
        if store.is_run_there():
            raise ServiceError(
                f"worker {spec.rank} sent no heartbeat for so long that the run has replaced it;"
                " other workers continue its work"
            ) from error
    except ServiceError:
        raise  # this host cannot reach the server, which is no reason to end the run
    except Exception as error:
        store.send_event(WorkerFailed(picklable_error(error)))
        raise
    finally:
        store.close()


class Heartbeat(threading.Thread):
    """A thread that sends the store heartbeats of its process.

    Args:
        address: the server.
        keys: the run's keys.
        member: number of a worker, or ``"driver"``.
        driver_id: id of the driver if it is the driver.
    """

    def __init__(
        self, address: Address, keys: RunKeys, member: int | str, driver_id: str = ""
    ) -> None:
        super().__init__(name="d4py-heartbeat", daemon=True)
        self._address = address
        self._keys = keys
        self._member = member
        self._driver_id = driver_id
        self._broken: int | None = None
        self._stopped = threading.Event()

    def run(self) -> None:
        """Send heartbeats until stopped, or the store no longer has the run or the member."""
        try:
            with (
                service_errors(self._address),
                connect(self._address, key=self._keys.prefix) as client,
            ):
                send = register_script(client, "heartbeat")
                while send(keys=[self._keys.prefix], args=self._arguments(client)):
                    if self._stopped.wait(HEARTBEAT_SECONDS):
                        break
        except (D4pyError, redis.RedisError):
            pass  # the main thread meets the same error, and reports it

    def _arguments(self, client: redis.Redis) -> list[int | str]:
        """Return the arguments of `heartbeat.lua`, with the connection if it is a new one."""
        arguments: list[int | str] = [self._member, self._driver_id]
        broken = broken_connections(client)
        if broken != self._broken and not self._driver_id:
            self._broken = broken
            with suppress(redis.ResponseError):  # not every user may ask for it
                arguments.append(client.client_id())
        return arguments

    def stop(self) -> None:
        """Stop sending, and wait for the thread to end."""
        self._stopped.set()
        self.join()
