"""Errors of d4py's own code that the system causes: no more memory, threads or files."""

from __future__ import annotations

import errno
from collections.abc import Iterator

_WHAT_TO_RAISE = {
    errno.EDQUOT: "on disk space (quota)",
    errno.EFBIG: "on the size of files (ulimit -f)",
    errno.EMFILE: "on open files (ulimit -n)",
    errno.ENFILE: "on open files of the system",
    errno.ENOMEM: "on memory (ulimit -v)",
}
_MEMORY = _WHAT_TO_RAISE[errno.ENOMEM]


def shortage(error: BaseException) -> str | None:
    """Return what the system has refused, and what would help; None if an error is another one."""
    for cause in _with_contexts(error):
        limit = None
        if isinstance(cause, MemoryError):
            limit = _MEMORY
        elif isinstance(cause, OSError) and cause.errno is not None:
            limit = _WHAT_TO_RAISE.get(cause.errno)
        elif isinstance(cause, RuntimeError) and "can't start new thread" in str(cause):
            limit = f"on processes and threads (ulimit -u), or {_MEMORY}"
        if limit is not None:
            return (
                f"the system refuses more ({str(cause) or type(cause).__name__}); use fewer"
                f" processes (-n), or raise the limit {limit}"
            )
    return None


def _with_contexts(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception, and those that were being handled when it was raised."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
