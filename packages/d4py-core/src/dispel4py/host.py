"""The name of this host."""

from __future__ import annotations

import os


def host_name() -> str:
    """Return the name of this host, as `socket.gethostname` does; `socket` is slow to import."""
    return os.uname().nodename
