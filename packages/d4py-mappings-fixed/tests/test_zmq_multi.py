"""`zmq_multi` on one host, where it differs from `multi`."""

import argparse
import gc
import tempfile
from pathlib import Path

import pytest

pytest.importorskip("zmq")

from d4py_conformance.interrupts import interrupted_at_each_step
from d4py_fixed.local.launch import make_placement
from d4py_fixed.local.multi import MultiMapping
from d4py_fixed.zmq import mapping as zmq_mapping
from d4py_fixed.zmq.mapping import IpcTransportFactory, ZmqMultiMapping
from dispel4py import run
from dispel4py.errors import OptionError
from dispel4py.files import socket_directory
from dispel4py.result import RunOptions


@pytest.fixture
def graph(flows, chain):
    return chain(flows.Numbers(), flows.Relay(), flows.Relay())


def test_c4_sockets_are_in_a_folder_that_only_this_user_can_enter(graph):
    seen = []

    def look(*result):
        (folder,) = Path(tempfile.gettempdir()).glob("d4py-zmq-*")
        seen.append((folder.stat().st_mode & 0o777, len(list(folder.iterdir()))))

    run(graph, "zmq_multi", 1, on_result=look)
    assert seen == [(0o700, 4)]
    assert list(Path(tempfile.gettempdir()).glob("d4py-*")) == []


def test_c4_nothing_is_left_when_the_processes_cannot_be_started(graph):
    with pytest.raises(OptionError, match="the start method is 'telepathy'; it must be one of"):
        run(graph, "zmq_multi", 5, start_method="telepathy")
    assert list(Path(tempfile.gettempdir()).glob("d4py-*")) == []


@pytest.mark.filterwarnings("ignore:.*unclosed ")
def test_c4_nothing_is_left_wherever_an_interrupt_comes_as_sockets_are_made(graph):
    def make_sockets():
        factory = IpcTransportFactory(make_placement(graph, RunOptions(processes=4)))
        factory.close()

    interrupts = 0
    for where in interrupted_at_each_step(make_sockets, (zmq_mapping, socket_directory)):
        gc.collect()
        assert list(Path(tempfile.gettempdir()).glob("d4py-*")) == [], where
        interrupts += 1
    assert interrupts > 20


def test_options_for_several_hosts_need_an_address(graph):
    for options in ({"local": 2}, {"key_file": "key"}):
        with pytest.raises(OptionError, match="local and key_file are for several hosts"):
            run(graph, "zmq_multi", 5, **options)
    with pytest.raises(OptionError, match="connect takes no workflow"):
        run(graph, "zmq_multi", 5, connect="tcp://127.0.0.1:5555")
    with pytest.raises(OptionError, match="a WORKFLOW is missing"):
        ZmqMultiMapping().join_run(RunOptions())


def test_the_key_is_in_the_folder_where_the_command_was_typed(tmp_path, monkeypatch):
    """A workflow may change the folder when it is imported."""
    monkeypatch.chdir(tmp_path)
    parser = argparse.ArgumentParser()
    ZmqMultiMapping().add_arguments(parser)
    assert parser.parse_args(["--key-file", "run.key"]).key_file == str(tmp_path / "run.key")


def test_it_has_the_capabilities_of_multi():
    zmq_multi, multi = ZmqMultiMapping().capabilities, MultiMapping().capabilities
    assert set(multi.declared()) | {"multi_host"} == set(zmq_multi.declared())
