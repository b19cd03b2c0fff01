"""What would make a run faster, from the time that each PE took.

A pipeline is as fast as its slowest stage: a PE whose calls take *s* seconds in all, on *n*
instances, keeps the run for at least *s* / *n*.
"""

from __future__ import annotations

import math

from d4py_cli.report.summary import PETotals, RunSummary

#: Share of time from which on an instance, or all workers together, count as busy.
_BUSY = 0.7
#: Seconds of a call below which carrying an item costs more than processing it.
_SHORT_CALL = 2e-4
#: Calls from which on an average means something.
_MANY_CALLS = 1000
#: Seconds that a run takes at least, for advice to mean something.
_SHORT_RUN = 1.0


def advise(summary: RunSummary) -> list[str]:
    """Return what limited the speed of a run, and what to do about it, as sentences."""
    pes = [pe for pe in summary.totals().values() if pe.calls or pe.seconds]
    if summary.started is None or not pes or summary.seconds <= 0:
        return []
    if summary.seconds < _SHORT_RUN:
        return ["The run was too short to say what would make it faster."]
    slowest = max(pes, key=_least_seconds)
    busy = min(1.0, _least_seconds(slowest) / summary.seconds)
    found = []
    if busy >= _BUSY and not _is_shared(slowest):
        found.append(_about_bottleneck(slowest, pes, busy, summary.seconds))
    elif any(map(_is_shared, pes)):
        found.append(_about_workers(summary, pes))
    else:
        found.append(
            f"No PE was busy all the time: {slowest.pe.id} was the busiest, with"
            f" {busy:.0%} of the time in calls for each instance. The rest is starting, waiting"
            " for items and carrying them."
        )
    found += _about_short_calls(pes)
    return found


def _is_shared(total: PETotals) -> bool:
    """Return whether any worker may call a PE."""
    return total.pe.instances == 0


def _instances(total: PETotals) -> int:
    return max(1, len(total.workers) if _is_shared(total) else total.pe.instances)


def _least_seconds(total: PETotals) -> float:
    """Return how long a run must take because of a PE."""
    return total.seconds / _instances(total)


def _about_bottleneck(slowest: PETotals, pes: list[PETotals], busy: float, seconds: float) -> str:
    name, instances = slowest.pe.id, _instances(slowest)
    which = "its instance was" if instances == 1 else f"each of its {instances} instances was"
    text = f"{name} is the bottleneck: {which} in calls {busy:.0%} of the time"
    others = [pe for pe in pes if pe is not slowest]
    if not others:
        return f"{text}, and there is no other PE that could run beside it."
    second = max(others, key=_least_seconds)
    text += f"; the next is {second.pe.id} with {min(1.0, _least_seconds(second) / seconds):.0%}."
    if slowest.pe.is_root:
        return f"{text} It is a root, which has one instance: move work to a PE after it."
    # As many instances as bring it level with the next PE.
    level = _least_seconds(second)
    wanted = math.ceil(slowest.seconds / level - 1e-9) if level > 0 else 2 * instances
    wanted = min(max(wanted, instances + 1), 2 * instances + 6)
    rest = seconds - _least_seconds(slowest)
    expected = max(slowest.seconds / wanted, level) + rest
    more = wanted - instances
    return (
        f"{text} With numprocesses = {wanted}, and so {more} more process"
        f"{'' if more == 1 else 'es'} (-n), the run would take about {expected:.3g} s in place of"
        f" {seconds:.3g} s, given a core for each. A PE that keeps state needs a grouping for that."
    )


def _about_workers(summary: RunSummary, pes: list[PETotals]) -> str:
    in_calls = sum(pe.seconds for pe in pes)
    workers = max(1, len(summary.workers))
    share = min(1.0, in_calls / (workers * summary.seconds))
    most = max(pes, key=lambda pe: pe.seconds)
    text = (
        f"The {workers} workers were in calls {share:.0%} of the time, most of it for"
        f" {most.pe.id} ({most.seconds / in_calls if in_calls else 0:.0%})."
    )
    if share >= _BUSY:
        return f"{text} More processes (-n) make the run faster, given a core for each."
    enough = max(1, math.ceil(in_calls / summary.seconds / _BUSY))
    if enough < workers:
        text += f" -n {enough} would have been enough."
    return text


def _about_short_calls(pes: list[PETotals]) -> list[str]:
    short = [pe for pe in pes if pe.calls >= _MANY_CALLS and pe.seconds / pe.calls < _SHORT_CALL]
    if not short:
        return []
    names = ", ".join(f"{pe.pe.id} ({pe.seconds / pe.calls * 1e6:.3g} µs)" for pe in short[:5])
    return [
        f"Calls are short: {names}. A PE that takes many items in a call, by _process_batch() or"
        " as arrays, does more in the same time."
    ]
