"""Runs the workflows of `real`, and writes pictures of their graphs and of what they find.

Pictures of graphs need the program ``dot`` of Graphviz.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from dispel4py import WorkflowGraph, run
from dispel4py.drawing import write_image

NAMES = ("galaxies", "grids", "seismology", "sensors", "sentiment")
#: Galaxies in the picture.
GALAXIES = 500


@contextmanager
def workflow(name: str) -> Iterator[tuple[WorkflowGraph, Any]]:
    """Return the graph and the inputs of a workflow; what it needs runs meanwhile."""
    module = import_module(f"d4py_examples.real.{name}")
    if name != "galaxies":
        yield module.graph, 1
        return
    from d4py_examples.real import vo_service

    with vo_service.serve() as service, tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "galaxies.vot")
        vo_service.write_positions(path, GALAXIES)
        yield module.build(service), {"Positions": [{"file": str(path)}]}


def main(argv: Sequence[str] | None = None) -> None:
    """Write the pictures into the folder that is named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m d4py_examples.pictures", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--only", choices=NAMES, help="draw those of one workflow (all)")
    arguments = parser.parse_args(argv)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name in [arguments.only] if arguments.only else NAMES:
        with workflow(name) as (graph, inputs):
            outputs = run(graph, inputs=inputs).outputs
        write_image(graph, arguments.folder / f"{name}-graph.svg")
        figure = import_module(f"d4py_examples.pictures.{name}").draw(outputs)
        # Without the version of Matplotlib in it, the same picture is the same file.
        figure.savefig(arguments.folder / f"{name}.png", metadata={"Software": None})


if __name__ == "__main__":
    main()
