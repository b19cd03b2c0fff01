"""Options of mappings in messages: the command spells them ``--redis-url``, Python ``redis_url``.

Messages are written in the words of the command; `dispel4py.run` changes those that it raises.
"""

from __future__ import annotations

import re
from contextlib import suppress

from dispel4py.errors import D4pyError
from dispel4py.registry import Mapping, load_mapping, mapping_options

#: An option, and the space in front of a value: a placeholder, or something quoted.
_OPTION = re.compile(r"(?<![^\s(])--([a-z][a-z-]*[a-z])( (?=[A-Z]{2}|['\"]))?")
#: What may hold a command to be copied, which stays as it is.
_CLAUSE = re.compile(r"[^;\n]+")
_COMMAND = "dispel4py "


def spelled_for_python(text: str, mapping: str | Mapping) -> str:
    """Return a message with a mapping's options as keywords of `run`.

    Args:
        text: the message.
        mapping: the mapping, or its name.
    """
    names: set[str] = set()
    with suppress(D4pyError):  # there is no such mapping
        chosen = load_mapping(mapping) if isinstance(mapping, str) else mapping
        names.update(mapping_options(chosen, {}))

    def spelled(option: re.Match[str]) -> str:
        name = option[1].replace("-", "_")
        if name not in names:
            return option[0]
        return f"{name}=" if option[2] else name

    def clause(found: re.Match[str]) -> str:
        return found[0] if _COMMAND in found[0] else _OPTION.sub(spelled, found[0])

    return _CLAUSE.sub(clause, text)
