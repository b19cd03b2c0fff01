"""Results as JSON lines, each written at once."""

from __future__ import annotations

from typing import Any

from d4py_cli.files.lines import LinesFile
from d4py_cli.output.json_text import as_json
from d4py_cli.output.refusals import NotHeldError, refusal


class JsonLines(LinesFile):
    """Writes each result at once as a line ``{"pe": …, "output": …, "data": …}``.

    Args:
        target: name of a file; ``-`` is standard output.

    Raises:
        OptionError: the file cannot be written, or another run is writing to it.
    """

    def __init__(self, target: str) -> None:
        super().__init__(target, "--output", "results")
        self._target = target

    def write(self, pe_id: str, output: str, data: Any) -> None:
        """Write one result.

        Raises:
            OutputClosedError: The reader of standard output has closed it.
            RunError: JSON has no form for it, or it cannot be written.
        """
        try:
            line = as_json({"pe": pe_id, "output": output, "data": data})
        except NotHeldError as error:
            raise refusal(self._target, pe_id, output, "JSON", error) from error
        self.write_line(line)
