"""The rows of ``make bench`` whose sides are whole programs: d4py, d4py of before, a limit, peers.

A side is a program in `programs`, started in an environment of its own.  The limit is the same work
by hand, on the plain transport or in a plain loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

#: Environments: d4py as it is here, d4py of before, and other libraries.
HERE, BEFORE, PEERS = "here", "before", "peers"

_PYTHON = ("{bin}/python",)
_MPIEXEC = ("{bin}/mpiexec", "--oversubscribe", "-n")


@dataclass(frozen=True)
class Side:
    """A program.

    Attributes:
        command: its command; ``{bin}`` stands for the folder of the environment's programs,
            ``{programs}`` for those of the benchmarks, ``{size}`` for the size of the work.
        environment: see the constants.
        library: a module that it imports; without it this side is missing.
    """

    command: tuple[str, ...]
    environment: str = HERE
    library: str = "dispel4py"


@dataclass(frozen=True)
class Row:
    """Programs that do the same.

    Attributes:
        name: of the row.
        what: what is measured.
        size: of the work.
        tiny: a size that shows within seconds that all programs run.
        sides: name of a side → its program; that of d4py as it is here is called ``ours``.
        whole: the figure is the time of the whole command, not what the program reports.
    """

    name: str
    what: str
    size: int
    tiny: int
    sides: dict[str, Side] = field(default_factory=dict)
    whole: bool = False


def all_rows() -> list[Row]:
    """Return all rows."""
    return [*_words(), *_arrays(), *_lone(), *_nested(), *_stages(), *_commands()]


def _program(name: str, way: str, environment: str = HERE, library: str = "dispel4py") -> Side:
    command = (*_PYTHON, "{programs}/" + name, way, "{size}")
    return Side(command, environment, library)


def _ranks(name: str, ranks: int) -> Side:
    return Side((*_MPIEXEC, str(ranks), *_PYTHON, "{programs}/" + name, "mpi", "{size}"))


def _both(program: str, mapping: str) -> dict[str, Side]:
    """Return d4py as it is here and of before."""
    return {
        "ours": _program(program, mapping),
        "before": _program(program, mapping, BEFORE),
    }


def _peers(program: str, *libraries: str) -> dict[str, Side]:
    return {
        library: _program(program.format(library), library, PEERS, modules)
        for library in libraries
        for modules in [{"dask": "distributed"}.get(library, library)]
    }


def _words() -> Iterator[Row]:
    limits = {
        "simple": _program("words_plain.py", "loop"),
        "multi": _program("words_plain.py", "pipes"),
        "hybrid_redis": _program("words_plain.py", "redis"),
        "mpi": _ranks("words_mpi.py", 4),
    }
    peers = _peers("words_{}.py", "bytewax", "ray")
    for mapping, limit in limits.items():
        sides = {**_both("words_d4py.py", mapping), "by_hand": limit, **peers}
        yield Row(f"words-{mapping}", "1,000,000 words counted by key", 1_000_000, 3_000, sides)


def _arrays() -> Iterator[Row]:
    by_hand = {"queues": _program("arrays_plain.py", "queues")}
    by_hand |= _peers("arrays_{}.py", "ray", "dask", "pypeln")
    for mapping in ("multi", "mpi", "dyn_multi", "dyn_redis", "hybrid_redis"):
        limit = _program("arrays_plain.py", "shared_memory")
        sides = {**_both("arrays_d4py.py", mapping), "by_hand": limit}
        if mapping == "mpi":
            sides["mpi4py"] = _ranks("arrays_mpi.py", 4)
        sides |= by_hand
        yield Row(f"arrays-{mapping}", "600 arrays of 1 MiB over three hops", 600, 6, sides)
    sides = {
        "ours": _program("arrays_d4py.py", "threads"),
        "by_hand": _program("arrays_plain.py", "threads"),
        "multi": _program("arrays_d4py.py", "multi"),
    }
    yield Row("arrays-threads", "600 arrays of 1 MiB over three hops", 600, 6, sides)


def _lone() -> Iterator[Row]:
    for mapping in ("multi", "mpi", "dyn_multi", "dyn_redis", "hybrid_redis"):
        limit = _program("lone_plain.py", "redis" if mapping.endswith("redis") else "pipes")
        sides = {**_both("lone_d4py.py", mapping), "by_hand": limit}
        yield Row(f"lone-{mapping}", "a lone item through two PEs", 40, 3, sides)


def _nested() -> Iterator[Row]:
    for mapping, way in (("simple", "loop"), ("multi", "pipes")):
        sides = {**_both("nested_d4py.py", mapping), "by_hand": _program("nested_plain.py", way)}
        yield Row(f"nested-{mapping}", "50,000 nested items over two hops", 50_000, 100, sides)


def _stages() -> Iterator[Row]:
    sides = _both("stages_d4py.py", "simple")
    sides["map"] = _program("stages_plain.py", "map")
    sides["generators"] = _program("stages_plain.py", "generators")
    sides |= _peers("stages_{}.py", "bytewax")
    yield Row("stages-simple", "1,000,000 numbers through five stages", 1_000_000, 1_000, sides)


def _commands() -> Iterator[Row]:
    """Whole commands; the size of the work is a number of processes."""

    def command(mapping: str, *arguments: str) -> dict[str, Side]:
        words = ("{bin}/dispel4py", mapping, *arguments, "-n", "{size}")
        return {"ours": Side(words), "before": Side(words, BEFORE)}

    transports = {"mpi": "mpi", "dyn_redis": "redis", "hybrid_redis": "redis"}
    for mapping in (
        "simple",
        "multi",
        "zmq_multi",
        "mpi",
        "dyn_multi",
        "dyn_redis",
        "hybrid_redis",
    ):
        transport = transports.get(mapping, "fork")
        limit = _program("command_plain.py", transport)
        if transport == "mpi":
            limit = Side((*_MPIEXEC, "{size}", *limit.command))
        one = command(mapping, "{programs}/command_d4py.py", "-i", "1")
        yield Row(
            f"command-{mapping}",
            "one item, whole command",
            3,
            3,
            {**one, "by_hand": limit},
            whole=True,
        )
    main_job = command("hybrid_redis", "split_merge.py", "-i", "100")
    main_job["by_hand"] = _program("command_plain.py", "redis")
    yield Row("main-job", "the main job, whole command", 10, 10, main_job, whole=True)
