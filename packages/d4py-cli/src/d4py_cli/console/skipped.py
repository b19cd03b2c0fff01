"""Reports of skipped items: a summary, a file with all failures, and the exit status."""

from __future__ import annotations

import json
from types import TracebackType

from d4py_cli.files.lines import LinesFile
from dispel4py.engine.failures import pes_without_success
from dispel4py.errors import ProcessingError, RunError
from dispel4py.result import Failure, FailureCount, RunResult

#: Kinds of failures that the summary shows.
_MAX_KINDS = 20


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
            OutputClosedError: The reader of standard output has closed it.
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


def summary(counts: list[FailureCount], *, written_to_file: bool) -> list[str]:
    """Return the summary of skipped failures as lines; an empty list if there are none.

    Args:
        counts: Failures by kind.
        written_to_file: Each failure has been written to a file.
    """
    total = sum(count.failures for count in counts)
    if not total:
        return []
    lines = ["1 failure was skipped:" if total == 1 else f"{total} failures were skipped:"]
    for count in counts[:_MAX_KINDS]:
        first = "" if count.failures == 1 else "the first: "
        lines.append(
            f"  {count.failures} × {count.exception_type} in {count.pe_id}; {first}{count.first}"
        )
    if len(counts) > _MAX_KINDS:
        lines.append(f"  and {len(counts) - _MAX_KINDS} more kinds")
    if not written_to_file:
        lines.append("  --failures FILE writes each one there, with its item and traceback")
    return lines


def check_skipped(result: RunResult, *, fail_on_skipped: bool) -> None:
    """Raise an error if a finished run counts as failed because of what it skipped.

    Args:
        result: The result of the run.
        fail_on_skipped: Count it as failed if anything was skipped.

    Raises:
        RunError: The run counts as failed.
    """
    failed = pes_without_success(result)
    if failed:
        listed = ", ".join(f"{pe_id} ({n} of {n})" for pe_id, n in failed.items())
        raise RunError(f"the run counts as failed: every call failed in {listed}")
    total = sum(count.failures for count in result.failure_counts)
    if total and fail_on_skipped:
        what = "1 failure was" if total == 1 else f"{total} failures were"
        raise RunError(f"--fail-on-skipped: {what} skipped")
