"""`ArrayNames`: the names of the arrays in a file, each of which one field of one output has.

Names of PEs, outputs and fields are joined, so two of them may make the same name: the field ``b``
of output ``a``, and an output ``a.b``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from d4py_cli.output.refusals import NotHeldError
from d4py_cli.output.scalars import check_text

#: Returns the name of an array, given PE, output and field.
NameOf = Callable[[str, str, str], str]

_RENAME = "rename the output or the field, or choose .jsonl, .csv or .pkl"


class ArrayNames:
    """Names that are taken.

    Args:
        name_of: makes a name.
        has_groups: a ``/`` in a name separates a group from what lies in it.
    """

    def __init__(self, name_of: NameOf, *, has_groups: bool = False) -> None:
        self.name_of = name_of
        self._has_groups = has_groups
        self._taken: dict[str, tuple[str, str, str]] = {}
        self._groups: dict[str, tuple[str, str]] = {}

    def take(self, pe_id: str, output: str, fields: Iterable[str]) -> None:
        """Take the names of all fields of an output.

        Raises:
            NotHeldError: a name cannot be one, or another array has it.
        """
        for field in fields:
            name = self.name_of(pe_id, output, field)
            check_text(name, field)
            if name in self._taken:
                raise _second(field, name, self._taken[name], (pe_id, output))
            self._taken[name] = pe_id, output, field
            if self._has_groups:
                self._take_groups(name, field, (pe_id, output))

    def _take_groups(self, name: str, field: str, of: tuple[str, str]) -> None:
        """Note the groups that an array lies in; none may have the name of an array.

        Raises:
            NotHeldError: one has, or a name leads elsewhere.
        """
        levels = name.split("/")
        if "." in levels:  # stands for the group itself
            raise NotHeldError(field, f"the name {name}", _RENAME)
        for depth in range(1, len(levels)):
            self._groups.setdefault("/".join(levels[:depth]), of)
        for group in self._groups.keys() & self._taken.keys():
            *owner, inner = self._taken[group]
            if tuple(owner) == of == self._groups[group]:
                raise NotHeldError(
                    inner, "a field that others lie in", "rename it, or choose .npz or .parquet"
                )
            raise NotHeldError(
                field, f"an array {group} beside others in a group of that name", _RENAME
            )


def _second(
    field: str, name: str, first: tuple[str, str, str], of: tuple[str, str]
) -> NotHeldError:
    """Return the error for a name that is taken."""
    pe_id, output, _ = first
    if (pe_id, output) == of:
        return NotHeldError(field, "a second field of this name", "rename the field")
    return NotHeldError(
        field, f"a second array {name}, after that of output {output!r} of {pe_id}", _RENAME
    )
