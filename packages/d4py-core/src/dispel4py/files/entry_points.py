"""Entry points of installed distributions, found without `importlib.metadata`.

That module imports parsers of mail and of archives, and a search by it reads a file of every
distribution; both together take longer than a short run.  Here the same files are read until the
name is found, in the folders of `sys.path`; what is in an archive is not.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import reduce
from importlib import import_module
from typing import Any

_SUFFIXES = (".dist-info", ".egg-info")


def find_object_reference(group: str, name: str) -> str | None:
    """Return the object reference of an entry point, such as ``"package.module:Class"``.

    Source: the "Entry points specification" of the Python Packaging User Guide.

    Args:
        group: the group of entry points.
        name: the entry point's name.

    Returns:
        The reference in the first distribution on `sys.path` that has it; None if there is none.
    """
    for path in _metadata_folders():
        try:
            with open(os.path.join(path, "entry_points.txt"), encoding="utf-8") as file:
                text = file.read()
        except OSError:  # most distributions have no entry points
            continue
        if group in text and (found := _read_reference(text, group, name)):
            return found
    return None


def load_object(reference: str) -> Any:
    """Import the object of a reference.

    Raises:
        ImportError: the module cannot be imported.
        AttributeError: the module has no such object.
    """
    module, _, attributes = reference.partition(":")
    return reduce(getattr, filter(None, attributes.split(".")), import_module(module))


def _metadata_folders() -> Iterator[str]:
    """Yield the folder with the metadata of each distribution, the one that is imported first."""
    seen: set[str] = set()
    for folder in sys.path:
        try:
            files = os.listdir(folder or os.curdir)
        except OSError:  # no folder, or an archive
            continue
        found = {file: _distribution(file) for file in files if file.endswith(_SUFFIXES)}
        yield from (os.path.join(folder, f) for f, name in found.items() if name not in seen)
        seen.update(found.values())


def _distribution(file: str) -> str:
    """Return the normalized name of the distribution whose metadata a folder holds."""
    return os.path.splitext(file)[0].partition("-")[0].lower().replace(".", "_")


def _read_reference(text: str, group: str, name: str) -> str | None:
    section = ""
    for line in text.splitlines():
        key, is_entry, value = line.partition("=")
        if line.startswith("["):
            section = line.strip()[1:-1]
        elif is_entry and section == group and key.strip() == name:
            return value.partition("[")[0].strip()  # extras, which are obsolete, follow
    return None
