"""Limits and intervals of the engine."""

from __future__ import annotations

from typing import NamedTuple


class EngineLimits(NamedTuple):
    """Limits and intervals of the engine; they are part of a `Plan`, so all processes have them.

    Attributes:
        batch_items: most items in a batch.
        written_items: items that one call may write before they are sent.
        batch_seconds: a batch should keep a PE busy no longer, so that slow items move on one by
            one.
        batch_bytes: a batch should not be larger, so that large items are still in a CPU cache
            when the next PE reads them.
        max_batch_bytes: between two calls of a batch, larger output is sent at once.
        nested_calls: PEs that may be in the middle of a call at once while others run on what they
            wrote; few enough to leave each of them some forty frames of Python's stack.
        linger_seconds: output of a call is sent after this time even if the batch is small.
        thread_items: items written by threads of a PE that may wait to be sent before such a
            thread is blocked.
        early_items: items that may wait at an ordered input before roots are paused.
        early_bytes: the same in bytes.
        flush_idle_seconds: a flush thread without work ends after this time.
        flush_again_seconds: time between two flushes while output still waits to be sent.
        stuck_seconds: a call that does not return this long after the run has failed is stuck.
        read_ahead_items: inputs of a root that may be read before they are used.
        read_ahead_bytes: the same in bytes.
        kept_failures: failures that are kept with their item and traceback.
        kept_failure_bytes: the same in bytes.
        report_seconds: time between two reports of what instances have done, in observed runs.
        slow_calls: how many of the slowest calls of an instance are reported.
        slow_call_seconds: shorter calls, and batches of calls, are not among them.
    """

    batch_items: int = 4096
    written_items: int = 1024
    batch_seconds: float = 0.005
    batch_bytes: int = 4 << 20
    max_batch_bytes: int = 8 << 20
    nested_calls: int = 20
    linger_seconds: float = 0.01
    thread_items: int = 1024
    early_items: int = 8192
    early_bytes: int = 16 << 20
    flush_idle_seconds: float = 1.0
    flush_again_seconds: float = 0.05
    stuck_seconds: float = 1.0
    read_ahead_items: int = 1024
    read_ahead_bytes: int = 1 << 20
    kept_failures: int = 10_000
    kept_failure_bytes: int = 64 << 20
    report_seconds: float = 0.5
    slow_calls: int = 5
    slow_call_seconds: float = 0.01
