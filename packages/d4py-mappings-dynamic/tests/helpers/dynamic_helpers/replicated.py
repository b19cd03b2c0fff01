"""Redis servers that replace each other: a cluster, and a primary that Sentinels watch."""

import os
import shutil
import subprocess
import tempfile
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import redis

from d4py_conformance.subprocesses.reserved_ports import ReservedPort
from d4py_conformance.waiting import LIMIT, wait_until
from dynamic_helpers.servers import server_program

HOST = "127.0.0.1"


def reserve_ports(count, stack):
    """Return ports of this host, in the range that has cluster ports too, until a stack is left."""
    ports = []
    first = 21000 + os.getpid() * 50 % 10000  # other tests look for ports at the same time
    for number in range(first, first + 1000):
        with suppress(OSError):
            for port in (number, number + 10000):
                stack.enter_context(ReservedPort(port))
            ports.append(number)
        if len(ports) == count:
            return ports
    raise AssertionError("no free ports")


class Node:
    """A server of the group; it may be killed.

    Args:
        folder: for its files.
        port: its port.
        options: of the server program.
    """

    def __init__(self, folder, port, *options):
        self.port = port
        self.client = redis.Redis(host=HOST, port=port, socket_timeout=LIMIT)
        place = folder / str(port)
        place.mkdir()
        command = [server_program(), *options, "--port", str(port), "--bind", HOST]
        command += ["--dir", str(place)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )

    def answers(self):
        assert self._process.poll() is None, "the server ended"
        try:
            return self.client.ping()
        except redis.ConnectionError:
            return False

    def is_replica_in_sync(self):
        found = self.client.info("replication")
        return found["role"] == "slave" and found["master_link_status"] == "up"

    def kill(self):
        self._process.kill()
        self._process.wait()

    def stop(self):
        self.kill()
        self.client.close()


class Group:
    """Servers in a temporary folder."""

    def __init__(self, *options):
        self.folder = Path(tempfile.mkdtemp(prefix="d4py-test-"))
        self.nodes = []
        self._reserved = ExitStack()
        try:
            self._begin(*options)
        except BaseException:
            self.stop()
            raise

    def ports(self, count):
        """Return ports that are the group's own until it is stopped."""
        return reserve_ports(count, self._reserved)

    def start(self, port, *options):
        node = Node(self.folder, port, *options)
        self.nodes.append(node)
        wait_until(node.answers, "the server's start")
        return node

    def stop(self):
        for node in self.nodes:
            node.stop()
        self._reserved.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Cluster(Group):
    """A Redis Cluster of three primaries with a replica each, on this host."""

    SLOTS = 16384

    def _begin(self):
        options = ["--cluster-enabled", "yes", "--save", "--cluster-node-timeout", "1000"]
        options += ["--appendonly", "no", "--repl-diskless-sync-delay", "0"]
        options.insert(options.index("--save") + 1, "")
        for port in self.ports(6):
            self.start(port, *options)
        first, *others = self.nodes
        for node in others:
            first.client.execute_command("CLUSTER MEET", HOST, node.port)
        self.primaries, self.replicas = self.nodes[:3], self.nodes[3:]
        bounds = [self.SLOTS * number // 3 for number in range(4)]
        for node, begin, end in zip(self.primaries, bounds, bounds[1:], strict=False):
            node.client.execute_command("CLUSTER ADDSLOTS", *range(begin, end))
        names = [str(node.client.execute_command("CLUSTER MYID"), "ascii") for node in self.nodes]
        for node, name in zip(self.replicas, names, strict=False):
            wait_until(lambda node=node, name=name: _replicates(node, name), "a replica's start")
        for node in self.nodes:
            wait_until(lambda node=node: self._is_whole(node), "the cluster's start")
        self.url = f"redis://{HOST}:{first.port}"

    def _is_whole(self, node):
        found = node.client.execute_command("CLUSTER INFO")
        shards = node.client.execute_command("CLUSTER SLOTS")
        return found["cluster_state"] == "ok" and [len(nodes) for _, _, *nodes in shards] == [
            2,
            2,
            2,
        ]

    def keys(self):
        """Return all keys of runs, of all primaries."""
        found = []
        for node in self.nodes:
            if node.answers() and node.client.info("replication")["role"] == "master":
                found += node.client.keys("d4py:*")
        return found

    def node_with_runs(self):
        """Return the number of the primary that has the keys of a run."""
        for number, node in enumerate(self.primaries):
            if node.client.keys("d4py:{*"):
                return number
        return None


def _replicates(node, name):
    try:
        node.client.execute_command("CLUSTER REPLICATE", name)
    except redis.ResponseError:  # it has not heard of that node yet
        return False
    wait_until(node.is_replica_in_sync, "the replica's first copy")
    return True


class Watched(Group):
    """A primary with a replica, and three Sentinels that watch it, on this host."""

    NAME = "d4py"

    def _begin(self, *options):
        first, second, *others = self.ports(5)
        options = ["--save", "", "--repl-diskless-sync-delay", "0", *options]
        self.primary = self.start(first, *options)
        self.replica = self.start(second, *options, "--replicaof", HOST, str(first))
        wait_until(self.replica.is_replica_in_sync, "the replica's first copy")
        self.sentinels = [self._sentinel(port) for port in others]
        for node in self.sentinels:
            wait_until(lambda node=node: self._knows_all(node), "the Sentinels' start")
        places = ",".join(f"{HOST}:{port}" for port in others)
        self.url = f"redis+sentinel://{places}/{self.NAME}"

    def _sentinel(self, port):
        path = self.folder / f"{port}.conf"
        path.write_text(
            f"sentinel monitor {self.NAME} {HOST} {self.primary.port} 2\n"
            f"sentinel down-after-milliseconds {self.NAME} 1000\n"
            f"sentinel failover-timeout {self.NAME} 5000\n"
        )
        return self.start(port, str(path), "--sentinel")

    def _knows_all(self, node):
        found = node.client.sentinel_master(self.NAME)
        return found["num-other-sentinels"] == 2 and found["num-slaves"] == 1

    def fail_over(self, *how):
        """Return a function that begins a fail-over."""
        client = self.sentinels[0].client
        return partial(client.execute_command, "SENTINEL FAILOVER", self.NAME, *how)

    def keys(self):
        """Return all keys of runs of the primary."""
        for node in (self.replica, self.primary):
            if node.answers() and node.client.info("replication")["role"] == "master":
                return node.client.keys("d4py:*")
        return None


class Sentinel(Group):
    """A Sentinel; the server that it watches does not run."""

    def _begin(self):
        port, watched = self.ports(2)
        path = self.folder / "sentinel.conf"
        path.write_text(f"sentinel monitor {Watched.NAME} {HOST} {watched} 1\n")
        self.start(port, str(path), "--sentinel")
        self.url = f"redis://{HOST}:{port}"
