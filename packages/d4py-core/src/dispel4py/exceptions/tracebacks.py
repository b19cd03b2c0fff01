"""Tracebacks with the frames of the user's code and without those of d4py."""

from __future__ import annotations

import linecache
import os
import re
import sys
import traceback
from collections.abc import Iterable
from types import TracebackType
from typing import Any

#: Folders of core with PEs that users run, so their frames are shown.
_WITH_PES = ("examples", "new")
_CALLING = ("batch_calls.py", "call_loop.py", "pe_writer.py", "runner.py")
#: Modules of core that call the user's code; the traceback of a call that fails at once ends there.
_CALLERS = (
    "base.py",
    "core.py",
    *(os.path.join("engine", "calls", name) for name in _CALLING),
    os.path.join("files", "reachable_files.py"),
)
#: Modules of core that call what a run was given: `on_result`, `on_failure`, `on_progress`.
_CALLING_BACK = (
    "result.py",
    os.path.join("engine", "failures.py"),
    os.path.join("checks", "undeclared_state.py"),
)
_OWN_FOLDER = os.path.dirname(os.path.dirname(__file__)) + os.sep
#: The headline of a frame in the text of a traceback.
_FRAME = re.compile(r'^(\s*)File "(.+)", (line \d+, in .*)$', re.MULTILINE)
#: A frame in the text of a traceback, without its source line.
_BARE_FRAME = re.compile(r'^(\s*)File "(.+)", line (\d+), in .*\n(?!\1  )', re.MULTILINE)


def format_user_traceback(exception: BaseException, hides_links: type[BaseException]) -> str:
    """Return the traceback as Python prints it, without the frames that are d4py's own.

    Args:
        exception: the exception.
        hides_links: errors whose message repeats that of their causes; causes without any frame
            of the user's code are left out.

    Returns:
        The frames of the user's code.  Without any: type and message alone if the call of the
        user's code failed, or if d4py raised an error on purpose; else all frames.
    """
    lines = traceback.TracebackException.from_exception(exception)
    try:
        has_frames = _remove_own_frames(lines, exception, hides_links)
    except RecursionError:  # a chain of a thousand causes
        has_frames = True
    if has_frames:
        return _with_cells("".join(lines.format()))
    last = lines.stack[-1].filename.removeprefix(_OWN_FOLDER) if lines.stack else ""
    if isinstance(exception, hides_links) or last in ("", *_CALLERS):
        return "".join(lines.format_exception_only())
    return "".join(lines.format())


def from_users_frame(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback from its first frame of the user's code on; all of it if there is none."""
    found = trace
    while found is not None and _is_own(found.tb_frame.f_code.co_filename):
        found = found.tb_next
    return found or trace


def from_called_frame(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback from the first frame of the user's code that d4py has called on.

    Unlike those of `from_users_frame`, frames of libraries that d4py uses are none of these.

    Returns:
        None if there is no such frame.
    """
    caller = ""
    while trace is not None:
        filename = trace.tb_frame.f_code.co_filename
        if caller in (*_CALLERS, *_CALLING_BACK) and not _is_own(filename):
            return trace
        caller = filename.removeprefix(_OWN_FOLDER)
        trace = trace.tb_next
    return None


def with_source(text: str) -> str:
    """Return the text of a traceback with what only this process has: source lines, names of cells.

    A worker that was not forked does not have the cells of a notebook.
    """

    def completed(frame: re.Match[str]) -> str:
        source = linecache.getline(frame[2], int(frame[3])).strip()
        return f"{frame[0]}{frame[1]}  {source}\n" if source else frame[0]

    return _with_cells(_BARE_FRAME.sub(completed, text))


def _with_cells(text: str) -> str:
    """Return the text of a traceback with the cells of a notebook named as IPython names them."""
    shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    name_of = getattr(getattr(shell, "compile", None), "format_code_name", lambda filename: None)

    def named(frame: re.Match[str]) -> str:
        name = name_of(frame[2])
        return frame[0] if name is None else f"{frame[1]}{' '.join(name)}, {frame[3]}"

    return _FRAME.sub(named, text)


def _remove_own_frames(
    lines: traceback.TracebackException,
    exception: BaseException | None,
    hides_links: type[BaseException],
) -> bool:
    """Remove frames of d4py if there are others; return whether there are, here or in causes."""
    if exception is None:
        return False
    of_users = [frame for frame in lines.stack if not _is_own(frame.filename)]
    if of_users:
        lines.stack = traceback.StackSummary.from_list(of_users)
    has_any = bool(of_users)
    for name in ("__cause__", "__context__"):
        link = getattr(lines, name)
        if link is None:
            continue
        if _remove_own_frames(link, getattr(exception, name), hides_links):
            has_any = True
        else:
            _hide_link(lines, name, is_repeated=isinstance(exception, hides_links))
    for link, inner in _group_members(lines, exception):
        has_any |= _remove_own_frames(link, inner, hides_links)
    if has_any and not of_users:
        _remove_all_frames(lines)
    return has_any


def _hide_link(lines: traceback.TracebackException, name: str, *, is_repeated: bool) -> None:
    """Hide a cause without frames of the user's code; if its message is repeated, leave it out."""
    if is_repeated:
        setattr(lines, name, None)
    else:
        _remove_all_frames(getattr(lines, name))


def _group_members(
    lines: traceback.TracebackException, exception: BaseException
) -> Iterable[tuple[traceback.TracebackException, BaseException]]:
    """Return the exceptions of an exception group, each with its lines."""
    if not isinstance(exception, BaseExceptionGroup):
        return ()
    return zip(lines.exceptions or (), exception.exceptions, strict=False)


def _remove_all_frames(lines: traceback.TracebackException) -> None:
    # An empty summary would still print a headline.
    lines.stack = None  # type: ignore[assignment]


def _is_own(filename: str) -> bool:
    if not filename.startswith(_OWN_FOLDER):
        return False
    return filename.removeprefix(_OWN_FOLDER).partition(os.sep)[0] not in _WITH_PES
