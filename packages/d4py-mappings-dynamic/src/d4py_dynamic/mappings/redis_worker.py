"""A worker process of a run on Redis, on the driver's host or on another one."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

import redis

from d4py_dynamic.driver.limits import HEARTBEAT_SECONDS
from d4py_dynamic.store.protocols import Failed, Finishing, Gone
from d4py_dynamic.store.redis.address import Address
from d4py_dynamic.store.redis.client import connect, load_script
from d4py_dynamic.store.redis.errors import RunGoneError, service_errors
from d4py_dynamic.store.redis.keys import RunKeys
from d4py_dynamic.store.redis.task_store import RedisTaskStore
from d4py_dynamic.worker.spec import WorkerSpec
from dispel4py.errors import D4pyError, ServiceError
from dispel4py.processes.ending import end_worker_process, when_stuck
from dispel4py.processes.pool import WorkerContext, picklable_error


@dataclass(frozen=True)
class RedisWorkerSpec:
    """What a worker process is started with; picklable in any start method.

    Attributes:
        address: the server.
        keys: the run's keys.
        secret: the run's key.
        rank: number of this worker.
        spec: see `WorkerSpec`.
    """

    address: Address
    keys: RunKeys
    secret: bytes
    rank: int
    spec: WorkerSpec

    def store(self) -> RedisTaskStore:
        """This worker's side of the store."""
        return RedisTaskStore(self.address, self.keys, self.secret, self.rank)


def work(side: WorkerContext, orders: RedisWorkerSpec) -> None:
    """Main function of a worker process on the driver's host."""
    store = orders.store()
    side.on_orphaned(store.delete)
    Heartbeat(orders.address, orders.keys, orders.rank).start()
    try:
        orders.spec.serve(store, orders.rank)
    finally:
        store.close()


def work_as_guest(side: WorkerContext, orders: RedisWorkerSpec) -> None:
    """Main function of a worker process elsewhere: tells the driver of errors through the store."""
    store = orders.store()
    last_word = Gone(orders.rank, os.getpid(), "its parent was killed")

    def tell(threads: list[str]) -> None:
        side.finishing(threads)
        store.tell(Finishing(orders.rank, threads))

    def fail(error: BaseException) -> None:
        store.tell(Failed(picklable_error(error)))
        os._exit(1)

    when_stuck(fail)
    side.on_orphaned(lambda: store.tell(last_word))
    Heartbeat(orders.address, orders.keys, orders.rank).start()
    try:
        orders.spec.serve(store, orders.rank)
        # Here already, while it is a member, whom the driver waits for.
        end_worker_process(tell)
        store.tell(Gone(orders.rank, os.getpid(), "its work is done", has_left=True))
    except RunGoneError as error:
        if store.is_run_there():
            raise ServiceError(
                f"worker {orders.rank} was silent for so long that the run has given it up; others"
                " go on with its work"
            ) from error
    except ServiceError:
        raise  # this host cannot reach the server, which is no reason to end the run
    except Exception as error:
        store.tell(Failed(picklable_error(error)))
        raise
    finally:
        store.close()


class Heartbeat(threading.Thread):
    """Tells the store every now and then that somebody is there, whatever the user's code does.

    Args:
        address: the server.
        keys: the run's keys.
        who: a worker's number, or ``"driver"``.
        mark: the driver's mark.
    """

    def __init__(self, address: Address, keys: RunKeys, who: int | str, mark: str = "") -> None:
        super().__init__(name="d4py-signs-of-life", daemon=True)
        self._address = address
        self._keys = keys
        self._who = who
        self._mark = mark
        self._stopped = threading.Event()

    def run(self) -> None:
        """Go on until stopped, the run is over, the server is gone, or this worker was given up."""
        try:
            with service_errors(self._address), connect(self._address) as client:
                sign = client.register_script(load_script("heartbeat"))
                arguments = {"keys": [self._keys.prefix], "args": [self._who, self._mark]}
                while sign(**arguments) and not self._stopped.wait(HEARTBEAT_SECONDS):
                    pass
        except (D4pyError, redis.RedisError):
            pass  # the main thread meets the same, and says so

    def stop(self) -> None:
        """Give no sign any more."""
        self._stopped.set()
        self.join()
