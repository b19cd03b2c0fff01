"""The error for a result that the format of the output file cannot hold."""

from __future__ import annotations

from typing import Any

from dispel4py.errors import RunError

#: The file that holds any object that pickle takes.
ANYTHING = "choose a file that ends in .pkl"
#: What is found where Python recurses without end.
TOO_DEEP = "an object nested too deep, or within itself"


class NotHeldError(Exception):
    """A format cannot hold a value.

    Args:
        field: where the value is within the result, such as ``trace.data``; "" is all of it.
        found: its type, or what is wrong with it.
        advice: what to do, such as another ending.
    """

    def __init__(self, field: str, found: str, advice: str = ANYTHING) -> None:
        super().__init__(field, found, advice)
        self.field = field
        self.found = found
        self.advice = advice


def refusal(target: str, pe_id: str, output: str, form: str, error: NotHeldError) -> RunError:
    """Return the error that names target, PE, output, field and type, and what to do.

    Args:
        target: name of the file.
        pe_id: the PE that wrote the result.
        output: the output that it was written to.
        form: what the file holds, such as ``JSON``.
        error: what the format cannot hold.
    """
    where = f" in {error.field!r}" if error.field else ""
    return RunError(
        f"--output {target}: {pe_id} wrote to output {output!r} what {form} cannot hold:"
        f" {error.found}{where}; {error.advice}"
    )


def name_of_type(value: Any) -> str:
    """Return the name of a value's type, with its module unless that is built in."""
    kind = type(value)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def below(field: str, name: Any) -> str:
    """Return the place of an entry within a field."""
    return f"{field}.{name}" if field else str(name)
