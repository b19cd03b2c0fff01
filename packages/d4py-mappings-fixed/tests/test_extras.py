"""ZeroMQ and MPI are extras: each mapping works without the other one."""

import subprocess
import sys


def test_import_loads_no_transport_library():
    code = "import sys, d4py_fixed; print(sorted({'mpi4py', 'zmq'} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
