"""The specification that the driver of an MPI run sends to each rank.

A specification holds what to run, and how to make the process of the rank like the driver's.
"""

from __future__ import annotations

import os
import pickle
import traceback
from collections import Counter
from multiprocessing import spawn

from d4py_fixed.engine.frames import CODEC
from d4py_fixed.engine.placement import Placement, peers_of
from d4py_fixed.engine.transport import MessageParts
from d4py_fixed.local.launch import RankSpec
from dispel4py.engine.planning.plan_bundle import PlanBundle, make_bundle
from dispel4py.errors import D4pyError, GraphError, RunError
from dispel4py.processes.workers.start_methods import missing_main_script_hidden
from dispel4py.result import RunOptions


def pack_specs(placement: Placement, options: RunOptions) -> list[MessageParts]:
    """Return the specification for each rank, for `unpack_spec`.

    Large arrays of PEs are parts of their own, so that neither side copies them.
    """
    # Ranks import the main script, as spawned processes do.
    bundle = make_bundle(placement.plan, CODEC, "spawn", origin=options.origin)
    _check_rebuilt(placement, bundle)
    with missing_main_script_hidden():
        preparation = spawn.get_preparation_data("d4py-mpi")
    for name in ("authkey", "start_method"):  # for children only
        preparation.pop(name, None)
    peers = peers_of(placement)
    packed: list[MessageParts] = []
    for rank in range(placement.ranks):
        buffers: list[pickle.PickleBuffer] = []
        spec = pickle.dumps(
            RankSpec.of(placement, bundle, rank, options),
            protocol=5,
            buffer_callback=buffers.append,
        )
        exchanging = [peer for peer in peers[rank] if peer != placement.ranks]
        front = pickle.dumps((preparation, exchanging))
        packed.append([front, spec, *(buffer.raw() for buffer in buffers)])
    return packed


def _check_rebuilt(placement: Placement, bundle: PlanBundle) -> None:
    """Refuse several instances in one rank of a PE that each rank makes for itself.

    Raises:
        GraphError: there are such PEs.
    """
    remade = {pe for pe, packed in bundle.pes.items() if packed is None}
    problems = []
    for rank in range(placement.ranks):
        counts = Counter(pe for pe, _ in placement.instances_on(rank) if pe in remade)
        problems += [
            f"{placement.plan.pes[pe].id} cannot be pickled, so a process can have one instance of"
            f" it, and here one is to have {count}; start more processes (-n), or make in"
            " preprocess() what it holds"
            for pe, count in counts.items()
            if count > 1
        ]
    if problems:
        raise GraphError(list(dict.fromkeys(problems)))


def unpack_spec(parts: MessageParts) -> tuple[RankSpec, list[int]]:
    """Make this process like the driver's, and return what to run.

    Returns:
        The specification, and the ranks with which this one exchanges frames.

    Raises:
        RunError: the main script cannot be imported.
    """
    front, spec, *buffers = parts
    preparation, peers = pickle.loads(front)
    if not os.path.isdir(preparation.get("dir", "")):  # on another machine
        preparation.pop("dir", None)
    try:
        spawn.prepare(preparation)
    except D4pyError:
        raise
    except BaseException as error:
        text = "".join(traceback.format_exception(error))
        raise RunError(
            "an MPI rank cannot import the main script, which has to call run() under: if"
            f" __name__ == '__main__':\n{text}"
        ) from error
    return pickle.loads(spec, buffers=buffers), peers
