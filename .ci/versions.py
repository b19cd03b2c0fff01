"""Writes the versions of the libraries in this checkout's environments into .ci/versions.txt.

The file holds constraints for pip, with which `make` sets the environments of `make test docs` up:
so a new release of a library fails no test of a change that has nothing to do with it.  To take the
newest ones, run `make clean`, then `make test docs NEWEST=1`, mend what fails, and `make versions`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = (".venv", *(f".hatch/{name}" for name in sys.argv[1:]))
FILE = ROOT / ".ci" / "versions.txt"
HEAD = """\
# Versions that `make test docs` has passed with; written by `make versions`, see .ci/versions.py.
# A newer Python may need newer ones.
"""
MARKER = "python_version < '3.15'"


def installed(environment: Path) -> list[str]:
    """Return the libraries of an environment, as lines NAME==VERSION."""
    command = [environment / "bin" / "python", "-m", "pip", "freeze", "--exclude-editable"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in lines if "==" in line]


def main() -> None:
    """Write the file; where environments have several versions of a library, none is named."""
    versions: dict[str, set[str]] = {}
    for name in ENVIRONMENTS:
        for line in installed(ROOT / name):
            library, _, version = line.partition("==")
            versions.setdefault(library.lower(), set()).add(version)
    lines = [
        f"{library}=={version.pop()}; {MARKER}\n"
        for library, version in sorted(versions.items())
        if len(version) == 1
    ]
    FILE.write_text(HEAD + "".join(lines))


if __name__ == "__main__":
    main()
