"""The cluster of a run: one that is there already, or one of this machine for the run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from distributed import Client, LocalCluster

from dispel4py.mapping import ServiceError

#: Workers of a cluster that is started for a run.
DEFAULT_WORKERS = 4
_CONNECT_SECONDS = 5


@asynccontextmanager
async def connected(scheduler: str | None, workers: int | None) -> AsyncIterator[Client]:
    """Return a client in whose cluster there is at least one worker.

    Args:
        scheduler: address of the scheduler; None starts a cluster for the block.
        workers: number of workers of that cluster; None takes `DEFAULT_WORKERS`.

    Raises:
        ServiceError: no cluster can be started, there is no scheduler at the address, or it has no
            worker.
    """
    if scheduler is None:
        async with AsyncExitStack() as stack:
            local = LocalCluster(
                n_workers=workers or DEFAULT_WORKERS,
                threads_per_worker=1,
                asynchronous=True,
                dashboard_address=":0",
            )
            try:
                cluster = await stack.enter_async_context(local)
            except RuntimeError as error:
                raise ServiceError(
                    f"cannot start a Dask cluster on this machine: {error} A script must call run()"
                    " below: if __name__ == '__main__':"
                ) from None
            yield await stack.enter_async_context(
                Client(cluster, asynchronous=True, direct_to_workers=True)
            )
        return
    try:
        client = await Client(scheduler, asynchronous=True, timeout=_CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise ServiceError(f"no Dask scheduler at {scheduler}: {error}") from error
    async with client:
        try:
            await client.wait_for_workers(1, timeout=_CONNECT_SECONDS)
        except TimeoutError:
            raise ServiceError(
                f"the Dask scheduler at {scheduler} has no worker; start some with"
                f" 'dask worker {scheduler}'"
            ) from None
        yield client
