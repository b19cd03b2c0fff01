"""Files as the inputs of a workflow."""

from glob import glob
from typing import Any

from dispel4py import ProducerPE


class FindFiles(ProducerPE):
    """Sends the path of each file that matches a pattern, in the order of their names.

    The pattern of a call comes from the inputs of the run, so the same graph serves many folders:
    ``inputs={find: [{"pattern": "2024/**/*.csv"}, {"pattern": "2025/**/*.csv"}]}``.

    Args:
        pattern: pattern of the calls that bring none, as for `glob.glob`; ``**`` is any number
            of folders.
    """

    # Its calls are not declared independent: they take no time, and an ordered input further down,
    # as windows of time have, needs calls in their order.

    def __init__(self, pattern: str | None = None) -> None:
        super().__init__()
        self.pattern = pattern

    def _process(self, inputs: dict[str, Any]) -> None:
        pattern = inputs.get("pattern", self.pattern)
        if pattern is None:
            raise ValueError('no pattern: set it, or run with inputs=[{"pattern": "data/*.csv"}]')
        paths = sorted(glob(pattern, recursive=True))
        if not paths:  # a misspelt folder would be a run without results
            raise FileNotFoundError(f"no file matches {pattern!r}")
        for path in paths:
            self.write("output", path)
