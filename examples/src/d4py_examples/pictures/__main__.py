"""Runs the workflows of `real`, and writes pictures of their graphs and of what they find."""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from d4py_examples.pictures import galaxies, grids, seismology, sensors, sentiment
from d4py_examples.real import galaxies as galaxies_workflow
from d4py_examples.real import grids as grids_workflow
from d4py_examples.real import seismology as seismology_workflow
from d4py_examples.real import sensors as sensors_workflow
from d4py_examples.real import sentiment as sentiment_workflow
from d4py_examples.real import vo_service
from dispel4py import WorkflowGraph, run
from dispel4py.drawing import write_image

#: Galaxies in the picture.
GALAXIES = 500


@contextmanager
def galaxies_run() -> Iterator[tuple[WorkflowGraph, Any]]:
    """Return the graph and the inputs of `galaxies`, with a service that runs meanwhile."""
    with vo_service.serve() as service, tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "galaxies.vot")
        vo_service.write_positions(path, GALAXIES)
        yield galaxies_workflow.build(service), {"Positions": [{"file": str(path)}]}


def main(argv: Sequence[str] | None = None) -> None:
    """Write the pictures into the folder that is named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m d4py_examples.pictures", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--mapping", default="simple", help="the mapping to run them on")
    parser.add_argument("-n", "--processes", type=int, help="number of processes")
    arguments = parser.parse_args(argv)
    arguments.folder.mkdir(parents=True, exist_ok=True)

    def write(name: str, draw: Any, graph: WorkflowGraph, inputs: Any = 1) -> None:
        outputs = run(graph, arguments.mapping, inputs, arguments.processes).outputs
        write_image(graph, arguments.folder / f"{name}-graph.svg")
        path = arguments.folder / f"{name}.png"
        # Without the version of Matplotlib in it, the same picture is the same file.
        draw(outputs).savefig(path, dpi=100, metadata={"Software": None})
        print(path)

    write("seismology", seismology.draw, seismology_workflow.graph)
    write("sentiment", sentiment.draw, sentiment_workflow.graph)
    write("sensors", sensors.draw, sensors_workflow.graph)
    write("grids", grids.draw, grids_workflow.graph)
    with galaxies_run() as (graph, inputs):
        write("galaxies", galaxies.draw, graph, inputs)


if __name__ == "__main__":
    main()
