"""The loggers of d4py, whose messages are shown however the program has configured `logging`.

`logging.basicConfig(level=WARNING)`, a configuration that disables existing loggers, or handlers
of other loggers would hide what PEs log, and the warnings of a run.  So a message that no handler
accepts is printed on standard error.  Only a level set for ``dispel4py``, or for a logger below it,
hides messages.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import Any

#: Name of the parent of all loggers of d4py.
ROOT = "dispel4py"


def get_logger(name: str, always: int = logging.WARNING) -> logging.Logger:
    """Return the logger ``dispel4py.NAME``.

    Args:
        name: the last part of its name.
        always: the level from which messages are shown whatever the levels of other loggers.
    """
    logger = logging.getLogger(f"{ROOT}.{name}")
    if not isinstance(logger, _ShownLogger):
        logger.__class__ = _ShownLogger
        assert isinstance(logger, _ShownLogger)
    logger.always = always
    return logger


class _ShownLogger(logging.Logger):
    """A logger that shows messages from a level on."""

    always: int

    def isEnabledFor(self, level: int) -> bool:
        """Return whether a message of this level is shown."""
        own_level = self.level or logging.getLogger(ROOT).level
        if own_level:
            return level >= own_level
        return level >= self.always or super().isEnabledFor(level)

    def handle(self, record: logging.LogRecord) -> None:
        """Handle a message, even if the logger was disabled."""
        accepted: Any = self.filter(record)  # from Python 3.12 on, perhaps another record
        if accepted:
            self.callHandlers(accepted if isinstance(accepted, logging.LogRecord) else record)

    def callHandlers(self, record: logging.LogRecord) -> None:
        """Pass a message to all handlers, here and above; print it if none accepts it."""
        is_shown = False
        logger: logging.Logger | None = self
        while logger is not None:
            for handler in logger.handlers:
                if record.levelno >= handler.level:
                    taken = handler.handle(record)
                    # Handlers of other libraries may return None.
                    is_shown |= taken is not False and not isinstance(handler, logging.NullHandler)
            logger = logger.parent if logger.propagate else None
        if not is_shown and sys.stderr is not None:
            with suppress(OSError, ValueError):  # as handlers do: a message must not fail the run
                print(record.getMessage(), file=sys.stderr, flush=True)


#: What PEs declare for the provenance of a run; shown nowhere, but taken by what observes the run.
PROVENANCE_LOG = logging.getLogger(f"{ROOT}.provenance")
PROVENANCE_LOG.propagate = False
PROVENANCE_LOG.setLevel(logging.INFO)
#: Messages of runs and of their PEs.
RUN_LOG = get_logger("run", always=logging.INFO)
