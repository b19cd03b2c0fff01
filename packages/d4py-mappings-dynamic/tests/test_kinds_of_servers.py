"""Servers with few rights or commands, TLS or a time limit: a run works, or says what would do."""

import argparse
import random
import ssl

import pytest
import trustme
from dynamic_helpers.disturbed_runs import make_graph
from dynamic_helpers.replicated import Sentinel

from d4py_conformance.chaos.tcp_proxy import Proxy
from d4py_conformance.pes.common import Relay
from d4py_conformance.subprocesses.reserved_ports import ReservedPort
from d4py_conformance.suite import chain
from d4py_dynamic.store.redis.connections.arguments import add_server_arguments
from dispel4py import ProducerPE, run
from dispel4py.errors import OptionError, ServiceError

COUNT = 4


def assert_runs(url, graph=None):
    result = run(graph or make_graph(0), "hybrid_redis", COUNT, 2, redis_url=url)
    assert result.outputs["RunningSum3"]["output"] == [1, 3, 6, 10]


def refusal(url, graph=None):
    """Return the error of a run that the server does not allow."""
    with pytest.raises(ServiceError) as caught:
        run(graph or make_graph(0), "hybrid_redis", COUNT, 2, redis_url=url)
    return str(caught.value)


def without(*commands):
    """Return the options of a server that lacks some commands."""
    return [word for command in commands for word in ("--rename-command", command, "")]


class TestUsers:
    @pytest.fixture
    def url_of(self, server):
        """Makes a user with some rules; returns the URL with the user."""

        def url_of(*rules):
            with server.client() as client:
                client.execute_command("ACL", "SETUSER", "d4py", "on", ">s3cret", *rules)
            return server.url.replace("unix://", "unix://d4py:s3cret@")

        yield url_of
        with server.client() as client:
            client.execute_command("ACL", "DELUSER", "d4py")

    def test_the_rights_that_the_page_names_are_enough(self, url_of):
        assert_runs(url_of("~d4py:*", "+@all", "-@dangerous"))

    def test_a_user_without_scripts_is_reported(self, url_of):
        assert "does not allow Lua scripts" in refusal(url_of("~d4py:*", "+@all", "-@scripting"))

    @pytest.mark.parametrize("rules", [["~other:*", "+@all"], ["~d4py:*", "+@all", "-xreadgroup"]])
    def test_a_user_without_the_rights_that_runs_need_is_reported(self, url_of, rules):
        assert "~d4py:* +@all -@dangerous" in refusal(url_of(*rules))


class TestCommands:
    def test_a_server_without_any_command_of_an_administrator(self, start_server, caplog):
        server = start_server(*without("HELLO", "CONFIG", "INFO", "CLIENT", "CLUSTER", "KEYS"))
        caplog.clear()  # of what the client of the fixture has met
        assert_runs(server.url)
        assert not caplog.messages  # redis-py 8.2 warns of servers without HELLO

    @pytest.mark.parametrize(
        ("command", "advice"),
        [
            ("HELLO", "leave protocol=3 out of its URL"),
            ("EVALSHA", "does not allow Lua scripts"),
            ("XADD", "lacks commands that runs need"),
        ],
    )
    def test_what_a_server_lacks_is_named(self, start_server, command, advice):
        assert advice in refusal(f"{start_server(*without(command)).url}?protocol=3")

    def test_an_item_above_a_limit_that_the_server_does_not_tell_is_named_by_size(
        self, start_server
    ):
        server = start_server("--proto-max-bulk-len", "1mb", *without("CONFIG"))
        error = refusal(server.url, chain(Large(), Relay()))
        assert "It was to take 3,14" in error
        assert "if its proto-max-bulk-len or client-query-buffer-limit is smaller" in error


class Large(ProducerPE):
    def _process(self, inputs):
        return bytes(3 << 20)


def test_c5_a_server_that_ends_idle_connections(start_server):
    """Its `timeout` is a second, and items come more slowly."""
    assert_runs(start_server("--timeout", "1").url, make_graph(1.5))


@pytest.fixture
def port(start_server):
    """The port of a server."""
    with ReservedPort() as port:
        start_server("--port", str(port.number), "--bind", "127.0.0.1")
        yield port.number


def test_a_replica_is_reported(start_server, port):
    replica = start_server("--replicaof", "127.0.0.1", str(port))
    assert "is a read-only replica; name its primary" in refusal(replica.url)


@pytest.fixture(scope="module")
def authority():
    """An authority that signs certificates."""
    return trustme.CA()


class TestTls:
    """TLS ends in a proxy in front of the server: not every server program has it."""

    @pytest.fixture
    def place(self, port, authority):
        """Host and port of a server with TLS."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        proxy = Proxy(port, random.Random(0), context)
        yield f"127.0.0.1:{proxy.port}"
        proxy.close()

    def test_a_certificate_of_an_authority_of_the_users_own(self, place, authority, tmp_path):
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        assert_runs(f"rediss://{place}?ssl_ca_certs={tmp_path}/ca.pem")

    def test_a_file_in_a_typed_url_belongs_to_the_folder_where_it_was_typed(
        self, place, authority, tmp_path, monkeypatch
    ):
        """A workflow may change the current folder when it is imported."""
        monkeypatch.chdir(tmp_path)
        authority.cert_pem.write_to_path("ca.pem")
        (tmp_path / "one + 1 %").mkdir()
        parser = argparse.ArgumentParser()
        add_server_arguments(parser)
        given = ["--redis-url", f"rediss://{place}?db=0&ssl_ca_certs=ca.pem"]
        url = parser.parse_args(given).redis_url
        monkeypatch.chdir("one + 1 %")
        assert_runs(url)

    def test_a_file_that_is_not_there_is_named(self, place, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(OptionError, match=rf"ssl_ca_certs={tmp_path}/ca.pem, which does not"):
            run(make_graph(0), "hybrid_redis", redis_url=f"rediss://{place}?ssl_ca_certs=ca.pem")

    def test_a_certificate_of_an_unknown_authority_is_reported(self, place):
        assert "?ssl_ca_certs=FILE" in refusal(f"rediss://{place}")

    def test_a_server_that_uses_tls_is_reported(self, place):
        assert "if it uses TLS, its URL begins with rediss://" in refusal(f"redis://{place}")

    def test_a_server_that_does_not_use_tls_is_reported(self, port):
        message = refusal(f"rediss://127.0.0.1:{port}")
        assert "if it does not use TLS, its URL begins with redis://" in message


@pytest.fixture
def sentinel(need_server):
    made = Sentinel()
    yield made
    made.stop()


def test_a_sentinel_is_reported_with_the_name_of_the_server_that_it_watches(sentinel):
    error = refusal(sentinel.url)
    assert "is a Sentinel" in error
    assert error.endswith("redis+sentinel://HOST:PORT/d4py")
