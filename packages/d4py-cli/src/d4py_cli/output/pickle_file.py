"""Results as a pickle of ``{pe: {output: [data, …]}}``, what `RunResult.outputs` is."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from typing import Any

from d4py_cli.output.refusals import NotHeldError, name_of_type
from dispel4py.errors import describe_exception


class PickleFile:
    """The format; see `FileFormat`."""

    name = "a pickle"

    def accept(self, pe_id: str, output: str, data: Any) -> Iterable[bytes]:
        """Return a result as it is now: a PE of `simple` may change it later."""
        try:
            return [pickle.dumps(data, protocol=5)]
        except Exception as error:  # a class of the user's may raise anything
            found = f"{name_of_type(data)} ({describe_exception(error)})"
            raise NotHeldError("", found, "write plain data instead") from error

    def write(self, path: str, records: Iterator[tuple[str, str, bytes]]) -> None:
        """Write the results that were accepted."""
        outputs: dict[str, dict[str, list[Any]]] = {}
        for pe_id, output, pickled in records:
            outputs.setdefault(pe_id, {}).setdefault(output, []).append(pickle.loads(pickled))
        with open(path, "wb") as file:
            pickle.dump(outputs, file, protocol=5)


def make_format() -> PickleFile:
    """Return the format of a new file."""
    return PickleFile()
