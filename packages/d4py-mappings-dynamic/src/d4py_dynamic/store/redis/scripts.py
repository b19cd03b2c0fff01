"""Lua scripts of the Redis store: what changes several keys in one step.

The scripts are in `lua/`.  They derive all keys from the run's prefix and declare only that.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Sequence
from typing import Any

import redis

_ENCODER = json.JSONEncoder(separators=(",", ":"), check_circular=False)


def _read_scripts() -> dict[str, str]:
    """Return name → source of the files in `lua/`."""
    sources = {}
    with os.scandir(os.path.join(os.path.dirname(__file__), "lua")) as files:
        for file in files:
            if not file.name.endswith(".lua"):  # an editor's
                continue
            with open(file, encoding="utf-8") as lines:
                sources[file.name.removesuffix(".lua")] = lines.read()
    return sources


#: Read here, before any worker is forked, and not in each worker.
_SOURCES = _read_scripts()


def load_script(name: str) -> str:
    """Return the source of a file in `lua/`."""
    return _SOURCES[name]


def register_script(client: redis.Redis, name: str) -> Any:
    """Return a script that has the same effect when it is called twice."""
    return client.register_script(load_script("common") + load_script(name))


class ScriptRequest:
    """What a script is asked to do: a JSON object, and values that it refers to by number.

    Values are arguments of their own because JSON has no bytes, and because each of them may be as
    large as the server takes.

    Args:
        fields: fields of the object; None, an empty string and an empty list are left out.
    """

    def __init__(self, **fields: Any) -> None:
        self._fields: dict[str, Any] = {}
        self._values: list[bytes] = []
        for name, value in fields.items():
            self.set(name, value)

    def set(self, name: str, value: Any) -> None:
        """Set a field, unless it is None, an empty string or an empty list."""
        if value is not None and value not in ("", []):
            self._fields[name] = value

    def add(self, name: str, rows: Iterable[Sequence[Any]]) -> None:
        """Set a list of rows of which each ends with a value in bytes."""
        self.set(name, [[*row, self.value(data)] for *row, data in rows])

    def value(self, data: bytes) -> int:
        """Add a value; return its number."""
        self._values.append(data)
        return len(self._values)

    def arguments(self) -> list[Any]:
        """Return the arguments of the script."""
        return [_ENCODER.encode(self._fields), *self._values]


class IdempotentScripts:
    """Calls scripts so that each call has its effect once, however often it is sent.

    The server stores the number and the answer of each caller's last call (`idempotent.lua`): the
    duplicate suppression of Birrell and Nelson, *Implementing remote procedure calls*, 1984.

    Args:
        client: a client.
        prefix: prefix of the run's keys.
        caller: name of the caller, unique within the run.
    """

    def __init__(self, client: redis.Redis, prefix: str, caller: str) -> None:
        self._client = client
        self._prefix = prefix
        self._caller = caller
        self._number = 0
        self._scripts: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._verify = register_script(client, "verify")

    def __call__(self, name: str, request: ScriptRequest) -> Any:
        """Call a script; return its answer.

        Raises:
            redis.RedisError: the call had no effect, or that is not known.
        """
        with self._lock:
            script = self._scripts.get(name)
            if script is None:
                source = map(load_script, ("common", "idempotent", name))
                script = self._scripts[name] = self._client.register_script("".join(source))
            self._number += 1
            arguments = self._caller, self._number, *request.arguments()
            try:
                return script(keys=[self._prefix], args=arguments)
            except redis.ResponseError:
                self._number -= 1  # the call was refused
                raise

    def verify(self) -> None:
        """Check that the server has all calls that it has answered.

        Raises:
            redis.RedisError: it has not.
        """
        with self._lock:
            self._verify(keys=[self._prefix], args=[self._caller, self._number])
