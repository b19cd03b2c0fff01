"""Intervals and limits of a worker."""

from __future__ import annotations

from typing import NamedTuple

from d4py_dynamic.store.limits import LONGEST_TAKE_SECONDS


class CheckpointLimits(NamedTuple):
    """How often an instance is saved; see `d4py_dynamic.worker.pinned_instance`.

    Attributes:
        work_per_cost: seconds of work per second of checkpoints.
        rest_per_cost: the same while the worker has nothing else to do.
        reported_seconds: checkpoints that took longer in all are reported at the end.
        commit_bytes: typical size in bytes of a commit that carries no state.
        held_leases: ended leases that may wait for a checkpoint.
        probation_seconds: how long an instance is on probation whose last owner was lost.
    """

    work_per_cost: float = 20.0
    rest_per_cost: float = 4.0
    reported_seconds: float = 1.0
    commit_bytes: int = 1 << 16
    held_leases: int = 64
    probation_seconds: float = 1.0


class WorkerLimits(NamedTuple):
    """Intervals and limits of a worker.

    Attributes:
        take_seconds: longest wait for a lease.
        log_seconds: the same while the worker has threads of PEs, whose log lines are sent then.
        load_seconds: time between two looks at the load of other workers during a lease.
        look_share: part of its time that a worker spends on looks at most; where looks are slow,
            there are fewer.
        look_stretch: by what `load_seconds` is multiplied at most for that.
        commit_seconds: longest time that output waits for a commit during a lease.
        work_per_commit: seconds of work per second of such commits while workers are idle.
        unrepeatable_seconds: the same for output that a repeated call cannot be kept from sending
            again, so that the run fails if the worker is lost between that commit and the next.
        outbox_bytes: size of an outbox that is committed without waiting for more.
        held_outbox_bytes: size of an outbox with which a worker hands back what waits in it,
            even if no worker is idle.
        quick_seconds: a PE whose calls take less time is called in the worker that has made a
            lone item for it.
        preempt_seconds: a batch whose call lasts longer than once or twice this is split.
        stock_seconds: for so long after workers were idle, what follows from a pinned instance is
            sent to the store.
        stock_tasks: no longer than until so many tasks are queued there.
        shortest_pause: first pause of a sender that waits for receivers, in seconds; each further
            one is twice as long.
        longest_pause: longest of these pauses, in seconds.
        checkpoints: how often instances are saved.
    """

    take_seconds: float = LONGEST_TAKE_SECONDS
    log_seconds: float = 0.5
    load_seconds: float = 0.02
    look_share: float = 0.01
    look_stretch: float = 10.0
    commit_seconds: float = 0.2
    work_per_commit: float = 10.0
    unrepeatable_seconds: float = 2.0
    outbox_bytes: int = 1 << 20
    held_outbox_bytes: int = 32 << 20
    quick_seconds: float = 0.0005
    preempt_seconds: float = 0.02
    stock_seconds: float = 0.05
    stock_tasks: int = 32
    shortest_pause: float = 0.001
    longest_pause: float = 0.02
    checkpoints: CheckpointLimits = CheckpointLimits()
