"""The loggers of d4py: what they log is shown, whatever the program has done to `logging`.

`logging.basicConfig(level=WARNING)`, a configuration that disables existing loggers, or handlers
for other things would all hide what a PE logs, and warnings that a run has to give.  What no
handler takes is printed on standard error.  Only a level that was set for ``dispel4py``, or for one
of the loggers below it, hides anything: that is on purpose.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import Any

#: Above all loggers of d4py.
ROOT = "dispel4py"


def get_logger(name: str, always: int = logging.WARNING) -> logging.Logger:
    """Return the logger ``dispel4py.NAME``.

    Args:
        name: the last part of its name.
        always: from which level on it shows messages whatever the levels of other loggers.
    """
    logger = logging.getLogger(f"{ROOT}.{name}")
    if not isinstance(logger, _ShownLogger):
        logger.__class__ = _ShownLogger
        assert isinstance(logger, _ShownLogger)
    logger.always = always
    return logger


class _ShownLogger(logging.Logger):
    """A logger whose messages are shown from a level on."""

    always: int

    def isEnabledFor(self, level: int) -> bool:
        """Return whether a message of this level is shown."""
        own_level = self.level or logging.getLogger(ROOT).level
        if own_level:
            return level >= own_level
        return level >= self.always or super().isEnabledFor(level)

    def handle(self, record: logging.LogRecord) -> None:
        """Hand a message on, though the logger may have been disabled."""
        accepted: Any = self.filter(record)  # from Python 3.12 on, perhaps another record
        if accepted:
            self.callHandlers(accepted if isinstance(accepted, logging.LogRecord) else record)

    def callHandlers(self, record: logging.LogRecord) -> None:
        """Give a message to all handlers, here and above; print it if none takes it."""
        is_shown = False
        logger: logging.Logger | None = self
        while logger is not None:
            for handler in logger.handlers:
                if record.levelno >= handler.level:
                    taken = handler.handle(record)
                    # Handlers of others may return nothing.
                    is_shown |= taken is not False and not isinstance(handler, logging.NullHandler)
            logger = logger.parent if logger.propagate else None
        if not is_shown and sys.stderr is not None:
            with suppress(OSError, ValueError):  # as handlers do: no message is worth a run
                print(record.getMessage(), file=sys.stderr, flush=True)


#: What a run says, and what its PEs log.
RUN_LOG = get_logger("run", always=logging.INFO)
