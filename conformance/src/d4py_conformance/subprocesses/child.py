"""Runs one graph in a process of its own; `isolated_run` starts it.

The order comes in a file, the answer goes to another.  SIGTERM is taken as Ctrl-C, as by the
``dispel4py`` command.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import pickle
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any


def main(order_file: Path, answer_file: Path) -> int:
    """Carry out the order; gives the exit status."""
    # What is imported is no garbage, and looking for some takes a quarter of the time.
    gc.disable()
    from d4py_conformance.pes.common import DRIVER
    from dispel4py import run

    gc.freeze()
    gc.enable()
    signal.signal(signal.SIGTERM, _interrupt)
    os.environ[DRIVER] = str(os.getpid())
    order: dict[str, Any] = pickle.loads(order_file.read_bytes())
    _restore(*order["module"])
    mapping = pickle.loads(order["mapping"])
    answer: dict[str, Any] = {"outputs": {}, "instances": [], "errors": [], "message": ""}
    status = 0
    try:
        result = run(order["graph"], mapping, order["inputs"], **order["options"])
        answer["outputs"] = result.outputs
        answer["instances"] = [entry.pe_id for entry in result.stats.instances]
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # whatever a mapping may raise is the answer
        answer["errors"] = [kind.__name__ for kind in type(error).__mro__]
        answer["message"] = str(error)
        status = 1
    answer_file.write_bytes(pickle.dumps(answer))
    return status


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _restore(name: str, file: str) -> None:
    """Import the mapping's module, from its file if it has no name that can be imported."""
    try:
        importlib.import_module(name)
    except ImportError:
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
