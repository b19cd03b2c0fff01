"""Mappings by name: what is installed, what is near, what pip line would help."""

import subprocess
import sys
import textwrap

import pytest

from dispel4py import ProducerPE, WorkflowGraph, run
from dispel4py.engine.planning.capabilities import Capabilities
from dispel4py.errors import OptionError, UnknownMappingError
from dispel4py.mappings.simple import SimpleMapping
from dispel4py.registry import (
    Mapping,
    available,
    available_commands,
    distribution_of,
    load_command,
    load_mapping,
    mapping_options,
)

LOUD = """
    from dispel4py.mappings.simple import SimpleMapping

    class LoudMapping(SimpleMapping):
        name = "loud"

        def add_arguments(self, parser):
            parser.add_argument("--volume", type=int, default=5)
            parser.add_argument("-q", "--queue-threshold", dest="threshold", default=None)

        def run(self, graph, inputs, options):
            LoudMapping.options = options
            return super().run(graph, inputs, options)

    class Shout:
        example = "dispel4py shout"

    class Mumble:
        example = "dispel4py mumble"
        requires = ("sys", "loud_library_gone")
"""


@pytest.fixture
def loud(tmp_path, monkeypatch):
    """Another distribution that brings the mappings `loud` and `broken`."""
    (tmp_path / "loud_mapping.py").write_text(textwrap.dedent(LOUD))
    info = tmp_path / "loud_mapping-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: loud-mapping\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(
        "[dispel4py.mappings]\nloud = loud_mapping:LoudMapping\nbroken = loud_mapping_gone:Any\n"
        "[dispel4py.commands]\nshout = loud_mapping:Shout\nhush = loud_mapping_gone:Hush\n"
        "mumble = loud_mapping:Mumble\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("loud_mapping", None)


def graph() -> WorkflowGraph:
    made = WorkflowGraph()
    made.add(ProducerPE())
    return made


def refusal(name: str) -> str:
    with pytest.raises(UnknownMappingError) as raised:
        load_mapping(name)
    assert raised.value.exit_status == 2
    return str(raised.value)


def test_simple_is_always_there():
    assert "simple" in available()
    assert isinstance(load_mapping("simple"), SimpleMapping)
    assert distribution_of("simple").startswith("d4py-core ")


def test_simple_offers_what_a_mapping_offers():
    mapping = load_mapping("simple")

    assert isinstance(mapping, Mapping)
    assert mapping.capabilities.declared() == [
        "stateful",
        "group_by",
        "broadcast",
        "ordered",
        "lifecycle",
        "any_pickle",
        "bounded_memory",
    ]
    assert Capabilities().declared() == ["lifecycle", "any_pickle", "bounded_memory"]


def test_other_distributions_bring_mappings(loud):
    assert {"loud", "broken", "simple"} <= set(available())
    assert available() == sorted(available())
    assert distribution_of("loud") == "loud-mapping 1.2"
    assert load_mapping("loud").name == "loud"


def test_listing_imports_no_mapping(loud):
    available()
    distribution_of("loud")

    assert "loud_mapping" not in sys.modules


def test_importing_dispel4py_imports_no_mapping():
    code = "import dispel4py, sys; print('dispel4py.mappings.simple' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout == "False\n"


def test_own_options_reach_the_mapping_with_defaults_for_the_rest(loud):
    run(graph(), "loud", 0, processes=3, volume=11, on_error="skip")

    from loud_mapping import LoudMapping

    assert LoudMapping.options.extra == {"volume": 11, "threshold": None}
    assert LoudMapping.options.processes == 3
    assert LoudMapping.options.on_error == "skip"


def test_a_mapping_that_is_not_installed_can_be_run_as_an_object():
    class Quiet(SimpleMapping):
        name = "quiet"

        def add_arguments(self, parser):
            parser.add_argument("--volume", type=int, default=5)

        def run(self, graph, inputs, options):
            assert options.extra == {"volume": 0}
            return super().run(graph, inputs, options)

    graph = WorkflowGraph()
    graph.add(ProducerPE())

    result = run(graph, mapping=Quiet(), inputs=0, volume=0)

    assert result.outputs == {}


def test_option_that_a_mapping_does_not_have_is_refused_with_those_it_has(loud):
    with pytest.raises(OptionError) as raised:
        mapping_options(load_mapping("loud"), {"volumne": 5})

    assert str(raised.value) == (
        "mapping 'loud' has no option 'volumne' (its options: 'threshold' and 'volume')"
    )
    with pytest.raises(OptionError, match=r"'simple' has no option 'volume' \(its options: none\)"):
        run(graph(), "simple", 0, volume=5)


@pytest.mark.parametrize(
    ("option", "keyword"),
    [
        ("iterations", "inputs"),
        ("input", "inputs"),
        ("num", "processes"),
        ("numprocesses", "processes"),
    ],
)
def test_option_that_is_a_keyword_of_run_is_answered_with_it(option, keyword):
    with pytest.raises(OptionError, match=rf"no option '{option}' .*mean {keyword}= of run\(\)"):
        run(graph(), **{option: 3})


def test_unknown_mapping_is_answered_with_what_is_installed_and_the_nearest():
    message = refusal("simpel")

    assert message.startswith("no mapping 'simpel' is installed (installed: ")
    assert "'simple'" in message
    assert message.endswith("did you mean 'simple'?")


def test_mapping_of_ours_that_is_missing_is_answered_with_its_pip_line(monkeypatch):
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **kwargs: ())
    monkeypatch.setattr("dispel4py.registry.find_object_reference", lambda group, name: None)

    assert refusal("mpi").endswith("to get it: pip install 'd4py-mappings-fixed[mpi]'")
    assert refusal("redis").endswith("to get it: pip install 'd4py-hybrid'")
    assert refusal("hybrid_reddis").endswith(
        "did you mean 'hybrid_redis'? (pip install 'd4py-hybrid')"
    )


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("timed_simple", "use 'simple': every run counts"),
        ("timed_multi", "use 'multi': every run counts"),
        ("timed_mpi", "use 'mpi': every run counts"),
        ("spark", "use 'multi' on one machine, 'mpi', "),
        ("storm", "use 'multi' on one machine, 'mpi', "),
        ("zmq", "did you mean 'zmq_multi'?"),
        ("multiprocessing", "did you mean 'multi'?"),
    ],
)
def test_mapping_of_another_version_is_answered_with_what_to_use(name, advice):
    assert advice in refusal(name)


def test_mapping_that_is_like_none_is_answered_with_where_they_come_from():
    assert refusal("xyzzy").endswith("pip install d4py-cli")


def test_mapping_that_cannot_be_imported_is_answered_with_its_distribution(loud):
    message = refusal("broken")

    assert "is installed but cannot be imported (No module named 'loud_mapping_gone')" in message
    assert message.endswith("try: pip install 'loud-mapping'")


def test_other_distributions_bring_commands_which_listing_does_not_import(loud):
    assert {"shout", "hush"} <= set(available_commands())
    assert "loud_mapping" not in sys.modules
    assert load_command("shout").example == "dispel4py shout"
    assert load_command("whisper") is None


def test_command_that_cannot_be_imported_is_answered_with_its_distribution(loud):
    with pytest.raises(
        UnknownMappingError, match="the command 'hush' of loud-mapping cannot be"
    ) as raised:
        load_command("hush")
    assert str(raised.value).endswith("try: pip install 'loud-mapping'")


def test_command_that_requires_what_is_not_installed_is_answered_likewise(loud):
    with pytest.raises(UnknownMappingError, match="'mumble' of loud-mapping cannot be imported"):
        load_command("mumble")
