"""A warning where another distribution has a package `dispel4py` as well.

Uninstalling that one later would remove the files of this one, and `pip check` would be content.
"""

from __future__ import annotations

import os

import dispel4py

#: Distributions with a package `dispel4py`, as the folders of their metadata begin.
_OTHERS = ("stream_d4py-", "dispel4py-")


def other_owner(folder: str | None = None) -> str | None:
    """Return a warning if another owner of the package is installed; None if not.

    Args:
        folder: where packages are installed; None for the folder with `dispel4py`.
    """
    if folder is None:
        folder = os.path.dirname(os.path.dirname(os.path.abspath(dispel4py.__file__)))
    for name in os.listdir(folder):
        if name.startswith(_OTHERS):
            distribution, version = os.path.splitext(name)[0].split("-")[:2]
            distribution = distribution.replace("_", "-")
            return (
                f"warning: {distribution} {version} is installed too, and has a package 'dispel4py'"
                f" as well; remove it: pip uninstall {distribution}, then"
                " pip install --force-reinstall --no-deps d4py-core d4py-cli"
            )
    return None
