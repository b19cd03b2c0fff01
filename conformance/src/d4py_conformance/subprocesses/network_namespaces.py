"""Helps tests of runs on several hosts: network namespaces, and commands with all that they start.

A network namespace has addresses of its own, so to the commands in it the other one is another
host.  Making one takes root and `ip`, which is in Debian's package iproute2.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from d4py_conformance.subprocesses.programs import Command
from d4py_conformance.waiting import LIMIT

#: The addresses of the two hosts; RFC 5737 reserves them for documentation.
ADDRESSES = "192.0.2.1", "192.0.2.2"
#: What their ends of the cable are called.
CABLE = "cable"


@contextmanager
def two_namespaces() -> Iterator[list[str]]:
    """Yield the names of two network namespaces with an Ethernet cable between them.

    Where they cannot be made the test is skipped; where only `ip` is missing, it fails in CI.
    """
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-n", "true"], check=False).returncode:
        pytest.skip("this user may not make network namespaces here")
    if shutil.which("ip") is None:
        missing = "there is no `ip` (Debian package iproute2)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    names = [f"d4py-{os.getpid()}-{end}" for end in "ab"]
    try:
        for name in names:
            ip("netns", "add", name)
        here, there = [["name", CABLE, "netns", name] for name in names]
        ip("link", "add", *here, "type", "veth", "peer", *there)
        for name, address in zip(names, ADDRESSES, strict=True):
            ip("-n", name, "address", "add", f"{address}/24", "dev", CABLE)
            for device in ("lo", CABLE):
                ip("-n", name, "link", "set", device, "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def slow_down(names: list[str]) -> None:
    """Make the cable between two namespaces slow, and have it lose packets, in both directions.

    Where the kernel has no netem, its queues are short and slow, and drop what has no room.
    """
    netem = ["netem", "delay", "20ms", "10ms", "loss", "3%"]
    bucket = ["tbf", "rate", "4mbit", "burst", "4kb", "limit", "16kb"]
    for name in names:
        command = [*in_namespace(name), "tc", "qdisc", "add", "dev", CABLE, "root"]
        if subprocess.run([*command, *netem], check=False, capture_output=True).returncode:
            subprocess.run([*command, *bucket], check=True, capture_output=True)


@contextmanager
def silent_cable(names: list[str]) -> Iterator[None]:
    """Let nothing pass between two namespaces during the block, without either noticing.

    Each sends its packets to a hardware address that no device has.
    """
    ends = [(name, other) for name, other in zip(names, reversed(ADDRESSES), strict=True)]
    for name, other in ends:
        at = ["to", other, "lladdr", "02:00:00:00:00:01", "nud", "permanent", "dev", CABLE]
        ip("-n", name, "neighbour", "replace", *at)
    yield
    for name, other in ends:
        ip("-n", name, "neighbour", "delete", other, "dev", CABLE)


def in_namespace(name: str) -> list[str]:
    """Return what a command begins with that is to run in a namespace."""
    return ["ip", "netns", "exec", name]


def ip(*arguments: str) -> None:
    """Call `ip`."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True, timeout=30)


def ended(process: Command, status: int) -> tuple[str, str]:
    """Wait for the end of a command; its output.

    Its status is checked, and that nothing of it is left.
    """
    try:
        out, err = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"it still runs after {LIMIT:g} s") from None
    assert process.returncode == status, err
    process.wait_until_gone()
    return out, err
