"""The ``dispel4py`` command by its old module path, and names that old code takes from here.

The command itself comes with the package d4py-cli and is found by its entry point, so that core
does not depend on it.
"""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, entry_points
from typing import NoReturn

from dispel4py.new.mappings import config

STATUS_ACTIVE = 10
STATUS_INACTIVE = 11
STATUS_TERMINATED = 12
STATUS = {
    STATUS_ACTIVE: "ACTIVE",
    STATUS_INACTIVE: "INACTIVE",
    STATUS_TERMINATED: "TERMINATED",
}


def mapping_name(target: str) -> str:
    """The name of a mapping that is given by its name or by its old module path.

    >>> mapping_name("dispel4py.new.multi_process"), mapping_name("multi")
    ('multi', 'multi')
    """
    return next((name for name, module in config.items() if module == target), target)


def main() -> NoReturn:
    """Run the ``dispel4py`` command with the arguments of this process, and exit as it does."""
    command = _find_command()
    if command is None:
        _refuse("the dispel4py command is not installed")
    try:
        run_command = command.load()
    except ImportError as error:
        _refuse(f"the dispel4py command cannot be imported ({error})")
    sys.exit(run_command())


def _find_command() -> EntryPoint | None:
    for entry in entry_points(group="console_scripts", name="dispel4py"):
        if not entry.module.startswith("dispel4py."):  # that would lead back to this module
            return entry
    return None


def _refuse(reason: str) -> NoReturn:
    print(f"dispel4py: {reason}; to get it: pip install d4py-cli", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
