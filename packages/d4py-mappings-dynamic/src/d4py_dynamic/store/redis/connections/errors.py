"""Errors of a Redis server or its client library, as errors of d4py.

They name the server, the cause and a remedy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from d4py_dynamic.store.redis.connections.address import Address
from dispel4py.errors import ServiceError


class RunGoneError(ServiceError):
    """The run has ended for this worker, or its keys were deleted."""


@contextmanager
def service_errors(address: Address) -> Iterator[None]:
    """Turn redis-py's exceptions into `ServiceError`, with the address and a remedy."""
    try:
        yield
    except redis.AuthenticationError as error:
        raise ServiceError(
            f"the Redis server at {address} refused the user name or password ({error});"
            " give them in the URL: redis://USER:PASSWORD@HOST:PORT"
        ) from error
    except (redis.ConnectionError, redis.TimeoutError) as error:
        if "max number of clients" in str(error):
            raise ServiceError(
                f"the Redis server at {address} has no room for another connection ({error});"
                " raise its maxclients and its limit of open files (ulimit -n), or use fewer"
                " processes (-n)"
            ) from error
        raise ServiceError(
            f"the Redis server at {address} does not answer: {str(error).removesuffix('.')}"
            f"{_advice(error, address)}"
        ) from error
    except redis.RedisError as error:
        text = _cause(error)
        kind = RunGoneError if _is_over(text) else ServiceError
        raise kind(f"the Redis server at {address} {_explain(text, address)}") from error


def _advice(error: redis.RedisError, address: Address) -> str:
    """Return what would help where a server does not answer; it may be empty."""
    text, is_tls = str(error), address.url.startswith("rediss://")
    if "bytes at once" in text:  # the server was reached, and the text says what to do
        return ""
    if is_tls and re.search("Timeout connecting|WRONG_VERSION_NUMBER|record layer failure", text):
        return "; if it does not use TLS, its URL begins with redis://"
    if isinstance(error, redis.TimeoutError):
        return "; if it is only busy, or far away, give it more time: --reconnect SECONDS"
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return "; name the certificate of its authority: ?ssl_ca_certs=FILE"
    if re.search("Connection (closed|reset) by", text):
        if address.largest is not None:  # it has answered at the start of the run
            return "; look in its log for why it ended the connection (client-output-buffer-limit?)"
        if address.url.startswith("redis://"):
            return "; if it uses TLS, its URL begins with rediss://"
    if "Connection refused" in text:
        return "; start it, or check the host and the port"
    return ""


def _cause(error: redis.RedisError) -> str:
    """Return the server's message, without the prefix that the library adds in a pipeline."""
    return re.sub(r"^Command # \d+ \(.*\) of pipeline caused error: ", "", str(error), flags=re.S)


def forgotten(address: Address) -> str:
    """Return what is said of a server that lacks what it had confirmed, and what would help."""
    if address.may_be_replaced:
        return (
            "failed over, during the run, to a server that lacks what it had confirmed; a fail-over"
            " keeps it where min-replicas-to-write is 1, or where it waits for the replica (CLUSTER"
            " FAILOVER without FORCE, or SENTINEL FAILOVER … COORDINATED)"
        )
    return (
        "has forgotten what it had confirmed: it was restarted from an older state; a server that"
        " may be restarted during a run needs 'appendfsync always'"
    )


def or_forgotten(explanation: str, address: Address) -> str:
    """Return an explanation, and the other one that a server has which may be another by now."""
    return f"{explanation}, or {forgotten(address)}" if address.may_be_replaced else explanation


def _is_over(text: str) -> bool:
    codes = ("LOST", "GONE", "NOGROUP", "UNBLOCKED")
    return text.startswith(codes) or "no such key" in text.lower()


def _explain(text: str, address: Address) -> str:
    if "OOM" in text or "maxmemory" in text:
        return f"is out of memory ({text}); raise its maxmemory, or send smaller items"
    if text.startswith("LOST"):
        return or_forgotten(f"gave a task of this worker to another one ({text})", address)
    if text.startswith("BACK"):
        return f"{forgotten(address)} ({text})"
    if _is_over(text):
        return or_forgotten(
            f"has lost keys of this run: they were deleted or evicted ({text})", address
        )
    for pattern, explanation in _KINDS_OF_SERVER:
        if pattern.search(text):
            return f"{explanation} ({text})"
    return f"refused a command: {text}"


#: Servers that cannot be used for runs, by their replies to commands.
_KINDS_OF_SERVER = [
    (re.compile(pattern), explanation)
    for pattern, explanation in (
        (
            r"SELECT is not allowed in cluster mode|DB index is out of range",
            "has no database of that number; a Redis Cluster has number 0 only",
        ),
        (
            r"hash to the same slot|CROSSSLOT|^MOVED |CLUSTERDOWN|[Hh]ash slot not served",
            "is a node of a Redis Cluster that does not say, or not yet, which nodes serve the"
            " slots of all keys",
        ),
        (
            r"unknown command '?`?HELLO|^NOPROTO",
            "does not know protocol 3; leave protocol=3 out of its URL",
        ),
        (
            r"^READONLY|read only replica|MASTERDOWN|Link with MASTER is down",
            "is a read-only replica; name its primary",
        ),
        (
            r"(?i)unknown command '?`?(EVAL|EVALSHA|SCRIPT)\b"
            r"|no permissions to run the '?(eval|script)",
            "does not allow Lua scripts, which runs need (EVAL, EVALSHA, SCRIPT LOAD)",
        ),
        (
            r"(?i)no permissions to|NOPERM",
            "does not allow this user what runs need; these rules would do: ~d4py:* +@all"
            " -@dangerous",
        ),
        (
            r"(?i)unknown command '?`?(MULTI|EXEC|XADD|XGROUP|DEL|HSET)\b"
            r"|Unknown (redis )?command called from",
            "lacks commands that runs need, as a Sentinel does; name a Redis or Valkey server, or a"
            " Sentinel's address in the form redis+sentinel://HOST:PORT/PRIMARY",
        ),
        (
            r"string exceeds maximum allowed size|proto-max-bulk-len|invalid bulk length",
            "takes no value that large; raise its proto-max-bulk-len, or send smaller items",
        ),
    )
]
