"""What `commit.lua` is asked to do: a `Commit` with its tasks, results and states sealed."""

from __future__ import annotations

from collections.abc import Sequence

from d4py_dynamic.store.entries import check_size, split_results, split_task
from d4py_dynamic.store.protocols import Results
from d4py_dynamic.store.redis.envelope import Envelope
from d4py_dynamic.store.redis.keys import RunKeys, delivery_name, pin_name
from d4py_dynamic.store.redis.scripts import ScriptRequest
from d4py_dynamic.store.task_pickles import TaskCodec, TaskPickle
from d4py_dynamic.store.tasks import Commit, Task, is_replica_end


class CommitRequests:
    """Makes the requests of one worker's commits.

    Args:
        keys: the run's keys.
        envelope: seals values.
        rank: number of the worker.
        largest: largest size in bytes of a sealed value; None if any.
        codec: pickles tasks.
    """

    def __init__(
        self, keys: RunKeys, envelope: Envelope, rank: int, largest: int | None, codec: TaskCodec
    ) -> None:
        self._keys = keys
        self._envelope = envelope
        self._rank = rank
        self._largest = largest
        self._codec = codec

    def pickled_tasks(self, commit: Commit) -> list[tuple[Task, TaskPickle]]:
        """Return a commit's tasks, each with its pickle; a task that is too large is split."""
        pickle, largest = self._codec.pickle, self._largest
        return [pair for task in commit.tasks for pair in split_task(task, pickle, largest)]

    def sealed_results(self, commit: Commit) -> list[bytes]:
        """Return a commit's results in bytes, in as many batches as needed."""
        if not commit.results and not commit.failures:
            return []
        results = Results(commit.results, commit.failures)
        out = self._keys.out
        seal = self._envelope.wrap
        return [*split_results(results, lambda part: seal(part, out), self._largest)]

    def make(
        self, commit: Commit, tasks: Sequence[tuple[Task, TaskPickle]], results: Sequence[bytes]
    ) -> ScriptRequest:
        """Return the request.

        Args:
            commit: the commit.
            tasks: its tasks; see `pickled_tasks`.
            results: its results; see `sealed_results`.

        Raises:
            ItemError: an orphaned replica is larger than the server takes.
        """
        request = ScriptRequest(rank=self._rank)
        request.set("leases", [_lease_row(lease.token) for lease in commit.leases])
        request.set("results", [request.value(result) for result in results])
        request.set(
            "counters",
            [(pe, calls, int(seconds * 1e6)) for pe, calls, seconds in commit.counters],
        )
        self._add_replicas(request, commit)
        self._add_progress(request, commit)
        self._add_tasks(request, tasks)  # last: nothing is refused once the heap has buffers
        return request

    def _add_tasks(self, request: ScriptRequest, tasks: Sequence[tuple[Task, TaskPickle]]) -> None:
        seal, pack = self._envelope.seal, self._codec.pack
        rows = [(self._keys.stream_of(task), task.pe, pickled) for task, pickled in tasks]
        request.add("tasks", ((to, pe, seal(pack(pickled), to)) for to, pe, pickled in rows))

    def _add_replicas(self, request: ScriptRequest, commit: Commit) -> None:
        for _, replica in commit.orphans:
            check_size(len(replica), self._largest)
        seal, place = self._envelope.seal, self._keys.named("orphans")
        request.set("replicas", commit.replicas)
        request.add("orphans", ((pe, seal(replica, place)) for pe, replica in commit.orphans))
        finished = [lease.task.pe for lease in commit.leases if is_replica_end(lease.task)]
        request.set("finished", finished)

    def _add_progress(self, request: ScriptRequest, commit: Commit) -> None:
        seal, place = self._envelope.seal, self._keys.named("states")
        request.add(
            "states",
            (
                (pin_name(pin), seal(state, place))
                for pin, state in commit.states
                if state is not None
            ),
        )
        wrap, place = self._envelope.wrap, self._keys.named("positions")
        request.add(
            "instance_positions",
            ((pin_name(pin), wrap(at, place)) for pin, at in commit.instance_positions),
        )
        request.add(
            "lease_positions",
            (
                (*_lease_row(lease.token)[:2], wrap(at, place))
                for lease, at in commit.lease_positions
            ),
        )
        request.set("progressed", [delivery_name(delivery) for delivery in commit.progressed])
        if commit.attempt is not None:
            delivery, in_call = commit.attempt
            request.set("attempt", f"{int(in_call)}{delivery_name(delivery)}")


def _lease_row(token: tuple[str, bytes, int | str]) -> tuple[str, str, int | str]:
    stream, entry_id, pe = token
    return stream, str(entry_id, "ascii"), pe
