"""The error for a workflow that cannot be imported: what it raised, where, and what to do.

A workflow that ends Python itself, as argparse does for a wrong argument, gets no traceback: it
has said what is wrong, and Python shows none for it either.
"""

from __future__ import annotations

import os
import traceback
from typing import TYPE_CHECKING

from dispel4py.errors import (
    UsageError,
    WorkflowLoadError,
    exit_code_of,
    format_user_traceback,
    text_of,
)
from dispel4py.exceptions.unwinding import reraise_foreign

if TYPE_CHECKING:
    from types import FrameType, TracebackType


def import_failure(target: str, error: BaseException, importer: str) -> WorkflowLoadError:
    """Return the error for an exception that was raised while a workflow was imported.

    Args:
        target: the file or module that was to be imported.
        error: what it raised; raised again if it is not the workflow's, such as Ctrl-C.
        importer: name of the module that imported it, whose frames are not shown.
    """
    reraise_foreign(error)
    frames = error.__traceback__
    while frames is not None and _imports(frames.tb_frame, importer):
        frames = frames.tb_next
    if isinstance(error, SystemExit):
        return WorkflowLoadError(f"cannot import {target}: {_exit_reason(target, error, frames)}")
    reason = traceback.format_exception_only(error)[-1].strip()
    if isinstance(error, ImportError) and "no known parent package" in str(error):
        reason += f"; {_relative_import_advice(target)}"
    if isinstance(error, ImportError) and (error.name or "").partition(".")[0] == "dispel4py":
        reason += f"; for what took its place: dispel4py check --migrate {target}"
    return WorkflowLoadError(
        f"cannot import {target}: {reason}",
        format_user_traceback(error.with_traceback(frames)),
    )


def _imports(frame: FrameType, importer: str) -> bool:
    """Return whether a frame is of the modules that import the workflow."""
    name = frame.f_globals.get("__name__")
    return name == importer or (isinstance(name, str) and name.partition(".")[0] == "importlib")


def _exit_reason(target: str, error: SystemExit, frames: TracebackType | None) -> str:
    place = "it"
    if frames is not None:
        file = os.path.basename(frames.tb_frame.f_code.co_filename)
        place = f"line {frames.tb_lineno} of {file}"
    status = exit_code_of(error)
    if isinstance(status, str):
        if text := status.strip():
            return f"{place} exited: {text}"
        status = 1
    advice = ""
    if status == UsageError.exit_status:  # as of argparse, which has said what is wrong
        advice = f"; arguments of its own come after --: dispel4py MAPPING {target} -- ARGUMENTS"
    shown = text_of(status, "status")
    return f"{place} exited with status {shown}, before there was a workflow{advice}"


def _relative_import_advice(target: str) -> str:
    """Return what to do about a relative import in a workflow's file."""
    folder, file = os.path.split(os.path.realpath(target))
    names = [file.removesuffix(".py")]
    while os.path.isfile(os.path.join(folder, "__init__.py")):
        folder, name = os.path.split(folder)
        names.insert(0, name)
    if len(names) > 1:
        return (
            "a file is loaded outside of its package: give the name of the module instead,"
            f" {'.'.join(names)}, and start in the folder {folder}"
        )
    return (
        "a workflow's file is in no package: write import name, or from name import …, for the"
        " file name.py beside it"
    )
