"""Evictions from an `InMemoryStore`: the steps of `redis/lua/evict_worker.lua`, in its order."""

from __future__ import annotations

from collections.abc import Iterable

from d4py_dynamic.store.memory.serialized import SerializedEviction, SerializedTask
from d4py_dynamic.store.memory.state import StoreState
from d4py_dynamic.store.tasks import InstanceId


def evict_worker(
    state: StoreState, rank: int, pins: Iterable[InstanceId], *, count_delivery: bool
) -> SerializedEviction:
    """Evict a worker; see `RunStore.evict`."""
    if not state.members.remove(rank):
        return SerializedEviction([], [], [])
    attempted, in_call = state.attempts.pop(rank, (None, True))
    _close_inbox(state, rank)
    counter = _DeliveryCounter(attempted, count_delivery)
    tasks = _return_shared_tasks(state, rank, counter)
    replicas = _remove_replicas(state, rank)
    at_work = _release_instances(state, rank, pins, counter)
    return SerializedEviction(tasks, replicas, at_work, not in_call)


def _close_inbox(state: StoreState, rank: int) -> None:
    for token, task in _leases_of(state, rank):
        if task.place == rank:
            del state.leases[token]
            state.end(task)
    for task in state.queues.pop(rank).waiting:
        state.end(task)


class _DeliveryCounter:
    """Counts a delivery that has ended with the loss of its worker.

    The first loss counts for everything that the worker had, and once more for its attempt.

    Args:
        attempted: a pinned instance or the token of a lease.
        count_delivery: see `RunStore.evict`.
    """

    def __init__(self, attempted: InstanceId | int | None, count_delivery: bool) -> None:
        self._attempted = attempted
        self._count_delivery = count_delivery

    def __call__(self, delivery: InstanceId | int, before: int) -> int:
        if not self._count_delivery:
            return before
        return max(before, 1) + (delivery == self._attempted)


def _return_shared_tasks(
    state: StoreState, rank: int, counter: _DeliveryCounter
) -> list[SerializedTask]:
    returned = []
    for token, task in _leases_of(state, rank):
        if task.place is None:
            del state.leases[token]
            again = task._replace(delivery_count=counter(token, task.delivery_count))
            returned.append(again)
            state.queues[None].end(task)
            state.add(again, is_new=False)
    return returned


def _remove_replicas(state: StoreState, rank: int) -> list[int]:
    replicas = sorted(pe for pe, owner in state.replicas if owner == rank)
    state.replicas.difference_update((pe, rank) for pe in replicas)
    return replicas


def _release_instances(
    state: StoreState, rank: int, pins: Iterable[InstanceId], counter: _DeliveryCounter
) -> list[tuple[InstanceId, int]]:
    for pin in pins:
        state.instances[pin].owner = None
    at_work = {task.place for _, task in _leases_of(state, rank) if isinstance(task.place, tuple)}
    for pin in at_work:
        instance = state.instances[pin]
        instance.delivery_count = counter(pin, instance.delivery_count)
    return [(pin, state.instances[pin].delivery_count) for pin in sorted(at_work)]


def _leases_of(state: StoreState, rank: int) -> list[tuple[int, SerializedTask]]:
    """Return a worker's leases, oldest first."""
    return sorted((token, task) for token, (owner, task) in state.leases.items() if owner == rank)
