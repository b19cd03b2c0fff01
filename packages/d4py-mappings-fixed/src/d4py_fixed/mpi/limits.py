"""Timeouts, intervals and sizes of an `mpi` run."""

from __future__ import annotations

from typing import NamedTuple


class MpiLimits(NamedTuple):
    """What bounds the start and the end of ranks, and how often either side does periodic work.

    Attributes:
        start_seconds: Longest wait for all ranks to connect, unless `--wait` says otherwise.
        start_notice_seconds: Time after which the ranks that are missing are logged.
        check_seconds: Time between two checks of the driver on ranks that start, run or end.
        exit_seconds: Time for mpiexec to end, and to print why, after a rank was lost.
        report_seconds: Time for the driver to report a lost rank before an mpiexec kills it.
        common_report_seconds: Time for the first rank of a machine to report what all ranks of that
            machine meet at their start; the others end silently.
        end_seconds: Time for an mpiexec to end that has no ranks and no output any more.
        signal_seconds: Time for ranks to end after SIGTERM, and again after SIGKILL.
        orphan_seconds: Time for a rank to return from a PE after the driver has ended.
        reaper_seconds: Time for all ranks to end after the driver was killed, before mpiexec is
            ended.
        output_idle_seconds: Time without output after which a pipe that a process of a PE holds
            open is not waited for.
        piece_bytes: Largest MPI message; MPI counts bytes by 32-bit numbers.
        joined_bytes: Parts of a frame of no more bytes than these, in all, are one message.
        shortest_pause_seconds: First pause between two probes of MPI by a rank that waits.
        longest_pause_seconds: Longest pause while a message may come without a notification.
        idle_pause_seconds: Longest pause where each sender sends a notification.
    """

    start_seconds: float = 300.0
    start_notice_seconds: float = 10.0
    check_seconds: float = 0.05
    exit_seconds: float = 1.0
    report_seconds: float = 0.5
    common_report_seconds: float = 5.0
    end_seconds: float = 5.0
    signal_seconds: float = 1.0
    orphan_seconds: float = 1.0
    reaper_seconds: float = 5.0
    output_idle_seconds: float = 0.5
    piece_bytes: int = 1 << 30
    joined_bytes: int = 1 << 18
    shortest_pause_seconds: float = 50e-6
    longest_pause_seconds: float = 1e-3
    idle_pause_seconds: float = 0.02
