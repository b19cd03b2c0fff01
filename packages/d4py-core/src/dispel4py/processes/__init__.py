"""Processes of this machine: how they start, how they are watched, and how they end.

`workers.pool` is what mappings use: a pool of worker processes that always ends, with all that PEs
have started.
"""

from __future__ import annotations

import sys


def is_webassembly() -> bool:
    """Return whether Python runs in WebAssembly, where it starts neither processes nor threads."""
    return sys.platform in ("emscripten", "wasi")
