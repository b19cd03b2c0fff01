"""Addresses of Redis servers: which settings a URL may have, and how it is shown.

A URL may contain a password, and a mistyped one may contain it anywhere.  So a message shows only
those parts of a URL that are certainly not part of a password.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from redis.connection import parse_url

from dispel4py.errors import OptionError, name_list

#: Settings of a URL that are passed to the client library, as are those that begin with ``ssl_``.
_PASSED_ON = (
    *("db", "username", "password", "client_name", "protocol"),
    *("socket_timeout", "socket_connect_timeout", "socket_keepalive", "health_check_interval"),
)
#: Settings that the run itself decides: answers are bytes, and commands are sent again.
_IGNORED = (
    *("decode_responses", "encoding", "encoding_errors", "max_connections"),
    *("retry_on_timeout", "retry_on_error", "timeout", "lib_name", "lib_version"),
)
#: Smallest timeout of an answer that a URL may set, in seconds: some reads wait for half of that.
LEAST_TIMEOUT = 1.0

_HOST = r"\[[0-9a-fA-F:.%]+\]|[^:@/?#\[\]]+"
_PLACE = re.compile(
    rf"(?P<scheme>rediss?)://(?:[^/?#]*@)?(?P<place>(?:(?:{_HOST})(?::\d*)?)?(?:/\d*)?)"
    r"(?P<settings>\?[^#]*)?"
    r"|(?P<unix>unix)://(?:[^/?#]*@)?(?P<path>/[^?#]*)(?P<more>\?[^#]*)?"
)
_BARE = re.compile(r"(?:\w+://)?[\w.-]+(?::\d+)?(?:/\d*)?")

_ADVICE = (
    "one looks like redis://USER:PASSWORD@HOST:PORT/DATABASE; in user and password, write %25 for"
    " %, %23 for #, %2F for /, %3F for ? and %40 for @"
)
_SETTINGS = name_list([*_PASSED_ON, "ssl_…"])
#: Beginnings of errors of the URL's parser that quote only the name of a setting.
_QUOTE_NOTHING = "Invalid value for", "Port out of range"


class Address(NamedTuple):
    """The address of a server, and what is known of it.

    Attributes:
        url: as `redis.from_url` takes it.
        embedded: whether the server was started for this run.
        reconnect_seconds: how long to try to reach it again when it does not answer.
        largest: largest size in bytes of an item or state there; None if unknown.
        process: id of its process, if it is on this machine.
    """

    url: str
    embedded: bool = False
    reconnect_seconds: float = 0.0
    largest: int | None = None
    process: int | None = None

    def __str__(self) -> str:
        """Return the address without user, password and other settings."""
        return _shown(self.url)[0]

    def settings(self) -> dict[str, Any]:
        """Return the URL's settings, as keyword arguments of the client library's connections.

        Raises:
            OptionError: the URL cannot be read, or has a setting that cannot be used.
        """
        shown, is_clear = _shown(self.url)
        refusal = f"{shown!r} is not the address of a Redis server"
        if not is_clear:
            settings = f"; settings are {_SETTINGS}" if "?" in self.url else ""
            raise OptionError(f"{refusal}; {_ADVICE}{settings}")
        try:
            found: dict[str, Any] = parse_url(self.url)  # type: ignore[no-untyped-call]
        except ValueError as error:
            cause = f" ({error})" if str(error).startswith(_QUOTE_NOTHING) else ""
            # Not `from error`: that error may quote the password.
            raise OptionError(f"{refusal}{cause}; {_ADVICE}") from None
        for name in _IGNORED:
            found.pop(name, None)
        if "protocol" in found:
            if str(found["protocol"]) not in ("2", "3"):
                raise OptionError(f"the address {shown} has a protocol other than 2 and 3")
            found["protocol"] = int(found["protocol"])  # older versions of redis-py leave it a text
        seconds = found.get("socket_timeout")
        if seconds is not None and not seconds >= LEAST_TIMEOUT:
            raise OptionError(
                f"the address {shown} has socket_timeout={seconds:g}; it must be at least"
                f" {LEAST_TIMEOUT:g} second, since reads wait for tasks"
            )
        return found


def _shown(url: str) -> tuple[str, bool]:
    """Return what may be shown of a URL, and whether all of it is understood."""
    found = _PLACE.fullmatch(url)
    if found is not None and _are_known(found["settings"] or found["more"] or ""):
        scheme, place = found["scheme"] or found["unix"], found["place"] or found["path"] or ""
        return f"{scheme}://{place}", True
    if _BARE.fullmatch(url):
        return url, False
    scheme, separator, _ = url.partition("://")
    return (f"{scheme}://…" if separator and scheme.isidentifier() else "…"), False


def _are_known(settings: str) -> bool:
    """Return whether what follows the ``?`` is settings, and no end of a password."""
    names = [part.partition("=") for part in settings.removeprefix("?").split("&") if part]
    return all(
        separator and (name in _PASSED_ON or name in _IGNORED or name.startswith("ssl_"))
        for name, separator, _ in names
    )
