"""What d4py logs is shown, whatever the program has done to logging."""

import logging
import logging.config
import subprocess
import sys

import pytest

from dispel4py.logs import RUN_LOG, get_logger

#: What scripts do to logging.
SET_UPS = {
    "nothing": "",
    "warnings only": "logging.basicConfig(level=logging.WARNING)",
    "errors only": "logging.basicConfig(level=logging.ERROR)",
    "a handler that takes errors only": (
        "logging.basicConfig(level=logging.INFO); logging.root.handlers[0].setLevel(40)"
    ),
    "loggers disabled": "logging.config.dictConfig({'version': 1})",
    "all disabled": "logging.disable(logging.CRITICAL)",
    "a handler that does nothing": "logging.root.addHandler(logging.NullHandler())",
}
SCRIPT = """
import logging, logging.config
from dispel4py import ConsumerPE, GenericPE
from dispel4py.logs import get_logger
{set_up}
GenericPE().log("half way")
get_logger("supervisor").warning("careful")
"""


@pytest.mark.parametrize("name", SET_UPS)
def test_i4_logs_and_warnings_are_shown_once_whatever_was_set_up(name):
    script = SCRIPT.format(set_up=SET_UPS[name])
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30
    )
    first, second = done.stderr.splitlines()
    assert first.endswith("GenericPE (rank 0): half way")
    assert second.endswith("careful")


@pytest.fixture
def restored():
    """Leaves the loggers as they were."""
    loggers = [logging.getLogger(), logging.getLogger("dispel4py"), RUN_LOG]
    before = [(logger.level, [*logger.handlers], logger.disabled) for logger in loggers]
    yield
    for logger, (level, handlers, disabled) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.handlers[:] = handlers
        logger.disabled = disabled


@pytest.mark.usefixtures("restored")
class TestHandlers:
    def test_handlers_of_the_user_get_what_is_logged(self, tmp_path, capsys):
        handler = logging.FileHandler(tmp_path / "log")
        logging.root.handlers[:] = [handler]
        logging.root.setLevel(logging.WARNING)
        RUN_LOG.info("shown in the file")
        handler.close()
        assert (tmp_path / "log").read_text() == "shown in the file\n"
        assert capsys.readouterr().err == ""

    def test_a_level_of_our_own_loggers_hides_what_is_below(self, capsys):
        logging.root.handlers.clear()
        logging.getLogger("dispel4py").setLevel(logging.ERROR)
        RUN_LOG.info("hidden")
        get_logger("supervisor").warning("hidden")
        RUN_LOG.error("shown")
        assert capsys.readouterr().err == "shown\n"

    def test_what_is_no_warning_follows_the_levels_of_the_program(self, capsys):
        logging.root.handlers.clear()
        logging.root.setLevel(logging.WARNING)
        get_logger("supervisor").info("hidden")
        logging.root.setLevel(logging.INFO)
        get_logger("supervisor").info("shown")
        assert capsys.readouterr().err == "shown\n"

    def test_a_filter_that_rejects_a_message_does_not_hide_it(self, capsys):
        handler = logging.StreamHandler(sys.stdout)
        handler.addFilter(lambda record: False)
        logging.root.handlers[:] = [handler]
        RUN_LOG.info("shown")
        assert capsys.readouterr() == ("", "shown\n")
