"""What is said of the items that a run has skipped: a summary, a file of all, an exit status."""

from __future__ import annotations

import json
from types import TracebackType

from d4py_cli.lines import LinesFile
from dispel4py.engine.failures import pes_without_success
from dispel4py.errors import ProcessingError, RunError
from dispel4py.result import Failure, FailureCount, RunResult

#: Kinds of failures that the summary shows.
_MOST_SHOWN = 20


class FailureLines(LinesFile):
    """Writes each failure at once as a JSON object on a line.

    Args:
        target: name of a file; ``-`` is standard output.

    Raises:
        OptionError: the file cannot be written.
    """

    def __init__(self, target: str) -> None:
        super().__init__(target, "--failures", "failures")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if isinstance(error, ProcessingError):
            self.write(Failure(error))
        super().__exit__(kind, error, where)

    def write(self, failure: Failure) -> None:
        """Write one failure.

        Raises:
            OutputClosedError: nobody reads standard output any more.
            RunError: it cannot be written.
        """
        error = failure.error
        fields = {
            "pe": error.pe_id,
            "instance": error.instance,
            "phase": error.phase,
            "item": error.item,
            "type": error.exception_type,
            "message": error.reason.removeprefix(error.exception_type).removeprefix(": "),
            "traceback": error.user_traceback,
        }
        self.write_line(json.dumps(fields, ensure_ascii=False))


def summary(counts: list[FailureCount], *, all_are_written: bool) -> list[str]:
    """Return what is said of skipped failures, in lines; none if there are none.

    Args:
        counts: the failures.
        all_are_written: each of them is in a file.
    """
    total = sum(count.failures for count in counts)
    if not total:
        return []
    lines = ["1 failure was skipped:" if total == 1 else f"{total} failures were skipped:"]
    for count in counts[:_MOST_SHOWN]:
        first = "" if count.failures == 1 else "the first: "
        lines.append(
            f"  {count.failures} × {count.exception_type} in {count.pe_id}; {first}{count.first}"
        )
    if len(counts) > _MOST_SHOWN:
        lines.append(f"  and {len(counts) - _MOST_SHOWN} more kinds")
    if not all_are_written:
        lines.append("  --failures FILE writes each one there, with its item and traceback")
    return lines


def check_skipped(result: RunResult, *, fail_on_skipped: bool) -> None:
    """Raise an error if a run that is done has failed all the same.

    Args:
        result: the result.
        fail_on_skipped: it has if anything was skipped.

    Raises:
        RunError: it has.
    """
    failed = pes_without_success(result)
    if failed:
        listed = ", ".join(
            f"{pe_id} ({'its only call' if n == 1 else f'all of its {n} calls'})"
            for pe_id, n in failed.items()
        )
        raise RunError(f"no item got through {listed}, so this counts as a failed run")
    total = sum(count.failures for count in result.failure_counts)
    if total and fail_on_skipped:
        raise RunError(f"--fail-on-skipped: failures that were skipped: {total}")
