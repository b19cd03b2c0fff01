"""Keeps passwords out of what is written about a run: logs, pages, folders of runs, crates."""

from __future__ import annotations

import re

#: The password of a URL; without quotes it may have an @ of its own.
_IN_URL = re.compile(r"(://[^/@:\s]*:)[^/\s]*@")
_AS_SETTING = re.compile(r"([?&]\w*password=)[^&#\s]*")


def without_passwords(text: str) -> str:
    """Return a text in which the passwords of URLs are masked.

    >>> without_passwords("--redis-url=redis://me:sesame@db.example.org/0?sentinel_password=x&db=1")
    '--redis-url=redis://me:***@db.example.org/0?sentinel_password=***&db=1'
    >>> without_passwords("redis://db.example.org:6379/0 at 12:30, me@example.org")
    'redis://db.example.org:6379/0 at 12:30, me@example.org'
    """
    return _AS_SETTING.sub(r"\1***", _IN_URL.sub(r"\1***@", text))
