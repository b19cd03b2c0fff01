"""Addresses of Redis servers: which settings a URL may have, and how it is shown.

A URL may contain a password, and a mistyped one may contain it anywhere.  So a message shows only
those parts of a URL that are certainly not part of a password.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from redis.connection import parse_url

from d4py_dynamic.store.redis.connections.arguments import DEFAULT_PORT
from dispel4py.errors import OptionError, name_list

#: Settings of a URL that are passed to the client library, as are those that begin with ``ssl_``.
_PASSED_ON = (
    *("db", "username", "password", "client_name", "protocol"),
    *("socket_timeout", "socket_connect_timeout", "socket_keepalive", "health_check_interval"),
)
#: Settings that the run itself decides: answers are bytes, and commands are sent again.
_SENTINEL_SETTINGS = "sentinel_username", "sentinel_password"
_IGNORED = (
    *("decode_responses", "encoding", "encoding_errors", "max_connections"),
    *("retry_on_timeout", "retry_on_error", "timeout", "lib_name", "lib_version"),
)
#: Version of Redis's protocol that every server knows.  redis-py's default depends on its version:
#: one that asks for 3 fails where a server lacks it, or warns at each connection.
_PROTOCOL = 2
#: Smallest timeout of an answer that a URL may set, in seconds: some reads wait for half of that.
LEAST_TIMEOUT = 1.0

#: Host and port of a server, or of a Sentinel.
Place = tuple[str, int]
_SENTINEL_PORT = 26379
#: Longest wait of one command on the server in seconds; shorter where the server may be replaced,
#: since a wait goes on at the old one.
_BLOCK_SECONDS, _SHORT_BLOCK_SECONDS = 10.0, 2.0

_HOST = r"(?:\[[0-9a-fA-F:.%]+\]|[^:@/?#,\[\]]+)(?::\d*)?"
_HOSTS = rf"{_HOST}(?:,{_HOST})*"
_LOGIN, _MORE = r"(?:[^/?#]*@)?", r"(?:\?[^#]*)?"
_URLS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?P<scheme>rediss?)://(?P<login>{_LOGIN})"
        rf"(?P<place>(?P<hosts>{_HOSTS})?(?P<database>/\d*)?)(?P<more>{_MORE})",
        rf"(?P<scheme>rediss?)\+sentinel://(?P<login>{_LOGIN})"
        rf"(?P<place>(?P<hosts>{_HOSTS})/(?P<primary>[\w.-]+)(?P<database>/\d+)?)(?P<more>{_MORE})",
        rf"(?P<scheme>unix)://(?P<login>{_LOGIN})(?P<place>/[^?#]*)(?P<more>{_MORE})",
    )
)
_BARE = re.compile(r"(?:\w+://)?[\w.-]+(?::\d+)?(?:/\d*)?")

_ADVICE = (
    "one looks like redis://USER:PASSWORD@HOST:PORT/DATABASE, or with Sentinels like"
    " redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/PRIMARY; in user and password, write %25"
    " for %, %23 for #, %2F for /, %3F for ? and %40 for @"
)
_KNOWN = *_PASSED_ON, *_IGNORED, *_SENTINEL_SETTINGS
_SETTINGS = name_list([*_PASSED_ON, "ssl_…"])
#: Beginnings of errors of the URL's parser that quote only the name of a setting.
_QUOTE_NOTHING = "Invalid value for", "Port out of range"


class Address(NamedTuple):
    """The address of a server, and what is known of it.

    Attributes:
        url: as `redis.from_url` takes it, or of Sentinels; it may name several nodes of a Redis
            Cluster, or several Sentinels.
        embedded: whether the server was started for this run.
        reconnect_seconds: how long to try to reach it again when it does not answer.
        largest: largest size in bytes of an item or state there; None if unknown.
        process: id of its process, if it is on this machine and cannot be replaced.
        nodes: the nodes if it is a Redis Cluster.
    """

    url: str
    embedded: bool = False
    reconnect_seconds: float = 0.0
    largest: int | None = None
    process: int | None = None
    nodes: tuple[Place, ...] = ()

    @property
    def sentinel(self) -> str | None:
        """The name that Sentinels have for the primary; None if the URL names no Sentinels."""
        return _parts(self.url).get("primary")

    @property
    def places(self) -> tuple[Place, ...]:
        """The hosts and ports that the URL names: of servers, or of Sentinels."""
        hosts = _parts(self.url).get("hosts") or "localhost"
        port = DEFAULT_PORT if self.sentinel is None else _SENTINEL_PORT
        return tuple(_place(text, port) for text in hosts.split(","))

    @property
    def may_be_replaced(self) -> bool:
        """Whether another server may take the place of the one that has a run."""
        return bool(self.nodes) or self.sentinel is not None

    @property
    def block_seconds(self) -> float:
        """Longest wait of one command on the server in seconds."""
        return _SHORT_BLOCK_SECONDS if self.may_be_replaced else _BLOCK_SECONDS

    def __str__(self) -> str:
        """Return the address without user, password and other settings."""
        return _shown(self.url)[0]

    def settings(self) -> dict[str, Any]:
        """Return the URL's settings, as keyword arguments of the client library's connections.

        Raises:
            OptionError: the URL cannot be read, or has a setting that cannot be used.
        """
        found = self._parsed()
        shown, _ = _shown(self.url)
        for name in (*_IGNORED, *_SENTINEL_SETTINGS):
            found.pop(name, None)
        if str(found.setdefault("protocol", _PROTOCOL)) not in ("2", "3"):
            raise OptionError(f"the address {shown} has a protocol other than 2 and 3")
        found["protocol"] = int(found["protocol"])  # older versions of redis-py leave it a text
        seconds = found.get("socket_timeout")
        if seconds is not None and not seconds >= LEAST_TIMEOUT:
            raise OptionError(
                f"the address {shown} has socket_timeout={seconds:g}; it must be at least"
                f" {LEAST_TIMEOUT:g} second, since reads wait for tasks"
            )
        return found

    def sentinel_settings(self) -> dict[str, Any]:
        """Return the same of connections to the Sentinels."""
        found = self._parsed()
        settings = {k: v for k, v in found.items() if k.startswith(("ssl_", "connection_class"))}
        settings["protocol"] = _PROTOCOL
        for name in ("username", "password"):
            if f"sentinel_{name}" in found:
                settings[name] = found[f"sentinel_{name}"]
        return settings

    def _parsed(self) -> dict[str, Any]:
        """Return all settings of the URL; see `settings`."""
        shown, is_clear = _shown(self.url)
        refusal = f"{shown!r} is not the address of a Redis server"
        if not is_clear:
            settings = f"; settings are {_SETTINGS}" if "?" in self.url else ""
            raise OptionError(f"{refusal}; {_ADVICE}{settings}")
        try:
            found: dict[str, Any] = parse_url(_one_server(self.url))  # type: ignore[no-untyped-call]
        except ValueError as error:
            cause = f" ({error})" if str(error).startswith(_QUOTE_NOTHING) else ""
            # Not `from error`: that error may quote the password.
            raise OptionError(f"{refusal}{cause}; {_ADVICE}") from None
        return found


def _parts(url: str) -> dict[str, str]:
    """Return the parts of a URL by their names in `_URLS`; none of one that is not understood."""
    for pattern in _URLS:
        if found := pattern.fullmatch(url):
            return {name: text for name, text in found.groupdict().items() if text is not None}
    return {}


def _place(text: str, default_port: int) -> Place:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, ""
    return host.strip("[]"), int(port or default_port)


def _one_server(url: str) -> str:
    """Return a URL as redis-py takes it: with the same settings, and one server."""
    parts = _parts(url)
    if "hosts" not in parts:
        return url
    host = parts["hosts"].partition(",")[0]
    return f"{parts['scheme']}://{parts['login']}{host}{parts.get('database', '')}{parts['more']}"


def _shown(url: str) -> tuple[str, bool]:
    """Return what may be shown of a URL, and whether all of it is understood."""
    parts = _parts(url)
    scheme, separator, _ = url.partition("://")
    if parts and _are_known(parts["more"]):
        return f"{scheme}://{parts['place']}", True
    if _BARE.fullmatch(url):
        return url, False
    return (f"{scheme}://…" if separator and scheme.isidentifier() else "…"), False


def _are_known(settings: str) -> bool:
    """Return whether what follows the ``?`` is settings, and no end of a password."""
    names = [part.partition("=") for part in settings.removeprefix("?").split("&") if part]
    return all(
        separator and (name in _KNOWN or name.startswith("ssl_")) for name, separator, _ in names
    )
