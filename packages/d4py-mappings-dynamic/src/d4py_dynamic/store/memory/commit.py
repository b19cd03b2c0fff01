"""Commits to an `InMemoryStore`: the steps of `redis/lua/commit.lua`, in its order.

All steps run under the store's lock, so a commit is atomic once its leases were checked.
"""

from __future__ import annotations

from d4py_dynamic.store.memory.serialized import SerializedCommit
from d4py_dynamic.store.memory.state import StoreState
from d4py_dynamic.store.tasks import ResumePoint
from dispel4py.errors import ServiceError


def apply_commit(state: StoreState, rank: int, commit: SerializedCommit) -> None:
    """Apply a worker's commit.

    Raises:
        ServiceError: a lease is no longer this worker's; nothing has changed.
    """
    _check_leases(state, rank, commit)
    _add_results(state, commit)
    _add_followers(state, commit)
    _add_usage(state, rank, commit)
    _record_replicas(state, rank, commit)
    _record_states(state, rank, commit)
    _record_positions(state, commit)
    _reset_delivery_counts(state, commit)
    _record_attempt(state, rank, commit)
    _end_leases(state, commit)


def _check_leases(state: StoreState, rank: int, commit: SerializedCommit) -> None:
    for token in [*commit.leases, *(token for token, _ in commit.lease_positions)]:
        if state.leases.get(token, (None,))[0] != rank:
            raise ServiceError("a task of this worker was given to another one")


def _add_results(state: StoreState, commit: SerializedCommit) -> None:
    if commit.results is not None:
        state.result_batches += 1
        state.emit(commit.results)


def _add_followers(state: StoreState, commit: SerializedCommit) -> None:
    for task in commit.tasks:
        state.add(task)


def _add_usage(state: StoreState, rank: int, commit: SerializedCommit) -> None:
    for pe, calls, seconds in commit.counters:
        state.calls[pe, rank] += calls
        state.busy[pe, rank] += int(seconds * 1e6)
        state.call_seconds[pe] = seconds / calls


def _record_replicas(state: StoreState, rank: int, commit: SerializedCommit) -> None:
    state.replicas.update((pe, rank) for pe in commit.replicas)
    for pe, replica in commit.orphans:
        state.orphans.setdefault(pe, []).append(replica)
        state.replicas.discard((pe, rank))
    state.replicas.difference_update((pe, rank) for pe in commit.finished)


def _record_states(state: StoreState, rank: int, commit: SerializedCommit) -> None:
    for pin, pickled in commit.states:
        instance = state.instances[pin]
        instance.owner, instance.state = rank, pickled
        if pickled is None:
            instance.position = ResumePoint(0, None)


def _record_positions(state: StoreState, commit: SerializedCommit) -> None:
    for pin, position in commit.instance_positions:
        state.instances[pin].position = position
    for token, position in commit.lease_positions:
        state.update_lease(token, position=position)


def _reset_delivery_counts(state: StoreState, commit: SerializedCommit) -> None:
    for delivery in commit.progressed:
        if isinstance(delivery, int):
            state.update_lease(delivery, delivery_count=0)
        else:
            state.instances[delivery].delivery_count = 0


def _record_attempt(state: StoreState, rank: int, commit: SerializedCommit) -> None:
    if commit.attempt is None:
        state.attempts.pop(rank, None)
    else:
        state.attempts[rank] = commit.attempt


def _end_leases(state: StoreState, commit: SerializedCommit) -> None:
    for token in commit.leases:
        _, task = state.leases.pop(token)
        state.queues[task.place].end(task)
        state.end(task)
