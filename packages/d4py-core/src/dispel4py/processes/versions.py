"""Versions that processes on several hosts have to share, since they exchange pickles."""

from __future__ import annotations

import platform
from importlib.metadata import version


def shared_versions(*packages: str) -> str:
    """Return the versions of Python, d4py-core and some packages, for comparison and messages."""
    python = ".".join(platform.python_version_tuple()[:2])
    versions = [f"{name} {version(name)}" for name in ("d4py-core", *packages)]
    return ", ".join([f"Python {python}", *versions])
