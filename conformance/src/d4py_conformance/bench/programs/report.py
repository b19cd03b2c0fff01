"""What every program of the benchmarks ends with: one line of JSON with what it has measured.

The programs run in environments of different libraries, so they import this and each other from
their own folder, and nothing else of d4py's.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def arguments() -> tuple[str, int]:
    """Return what a program is called with: a mapping, transport or library, and a size."""
    return sys.argv[1], int(sys.argv[2])


def report(seconds: float, result: Any, **notes: float) -> None:
    """Print what was measured.

    Args:
        seconds: the figure.
        result: what the work has given; the same on all sides of a row.
        **notes: other figures, by name.
    """
    print(json.dumps({"seconds": seconds, "result": result, "notes": notes}), flush=True)
