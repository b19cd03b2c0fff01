"""Tracebacks as their reader needs them: the frames of the user's code, and none of d4py's."""

from __future__ import annotations

import linecache
import os
import re
import traceback

#: Folders of core with PEs that users run, so their frames are shown.
_WITH_PES = ("examples", "new")
#: Modules of core that call what users have written; a call that fails at once ends in them.
_CALLERS = (
    "base.py",
    "core.py",
    *(os.path.join("engine", name) for name in ("call_loop.py", "pe_writer.py", "runner.py")),
    os.path.join("files", "held_files.py"),
)
_OWN_FOLDER = os.path.dirname(os.path.dirname(__file__)) + os.sep
#: A frame in the text of a traceback, without its source line.
_BARE_FRAME = re.compile(r'^(\s*)File "(.+)", line (\d+), in .*\n(?!\1  )', re.MULTILINE)


def format_user_traceback(exception: BaseException, hides_links: type[BaseException]) -> str:
    """Return the traceback as Python prints it, without the frames that are d4py's own.

    Args:
        exception: the exception.
        hides_links: errors whose message says what their causes say; causes without any frame of
            the user are left out there.

    Returns:
        All frames where something failed in the midst of d4py; no frame, but type and message
        alone, where it is the call of the user's code that failed, or an error of d4py's own that
        no line of the user's has led to.
    """
    lines = traceback.TracebackException.from_exception(exception)
    try:
        has_frames = _leave_out_own(lines, exception, hides_links)
    except RecursionError:  # a chain of a thousand causes
        has_frames = True
    if has_frames:
        return "".join(lines.format())
    last = lines.stack[-1].filename.removeprefix(_OWN_FOLDER) if lines.stack else ""
    if isinstance(exception, hides_links) or last in ("", *_CALLERS):
        return "".join(lines.format_exception_only())
    return "".join(lines.format())


def with_source(text: str) -> str:
    """Return the text of a traceback with source lines that only this process knows.

    A worker that was not forked has no cells of a notebook.
    """

    def completed(frame: re.Match[str]) -> str:
        source = linecache.getline(frame[2], int(frame[3])).strip()
        return f"{frame[0]}{frame[1]}  {source}\n" if source else frame[0]

    return _BARE_FRAME.sub(completed, text)


def _leave_out_own(
    lines: traceback.TracebackException,
    exception: BaseException | None,
    hides_links: type[BaseException],
) -> bool:
    """Leave own frames out if there are others; whether there are, here or further down."""
    if exception is None:
        return False
    of_users = [frame for frame in lines.stack if not _is_own(frame)]
    if of_users:
        lines.stack = traceback.StackSummary.from_list(of_users)
    has_any = bool(of_users)
    for name in ("__cause__", "__context__"):
        link = getattr(lines, name)
        if link is None:
            continue
        if _leave_out_own(link, getattr(exception, name), hides_links):
            has_any = True
        elif isinstance(exception, hides_links):
            setattr(lines, name, None)
        else:
            _leave_out_all(link)
    if isinstance(exception, BaseExceptionGroup):
        for link, inner in zip(lines.exceptions or (), exception.exceptions, strict=False):
            has_any |= _leave_out_own(link, inner, hides_links)
    if has_any and not of_users:
        _leave_out_all(lines)
    return has_any


def _leave_out_all(lines: traceback.TracebackException) -> None:
    # With an empty one there is a headline all the same.
    lines.stack = None  # type: ignore[assignment]


def _is_own(frame: traceback.FrameSummary) -> bool:
    name = frame.filename
    if not name.startswith(_OWN_FOLDER):
        return False
    return name.removeprefix(_OWN_FOLDER).partition(os.sep)[0] not in _WITH_PES
