"""`timed_simple`, `timed_multi` and `timed_mpi`: names of dispel4py for a mapping that takes times.

Every mapping does, so these run the mapping of their second word and write the files that they
wrote: the graph as JSON and as a picture, and CSV files of the times of PEs and instances.
Percentiles are left empty, for times are summed up where they are taken.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from d4py_cli.files.lines import naming, print_message
from d4py_cli.observing.record import Record
from dispel4py.drawing import DotMissingError, write_image
from dispel4py.errors import OptionError
from dispel4py.events import Event, InstanceReport, SlowCall
from dispel4py.workflow_graph import WorkflowGraph

_PE_TITLES = (
    *("pe_id", "rank_count", "ranks", "total_count", "total_secs", "avg_secs"),
    *("min_secs", "p50_secs", "p95_secs", "max_secs"),
)
_INSTANCE_TITLES = (
    *("pe_id", "rank", "instance_id", "total_count", "total_secs", "avg_secs"),
    *("min_secs", "p50_secs", "p95_secs", "max_secs"),
)


def add_timed_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of these mappings."""
    group = parser.add_argument_group("times")
    group.add_argument(
        "--timing-dir", metavar="DIR", default="timings", help="folder of the files (%(default)s)"
    )
    group.add_argument(
        "--timing-prefix",
        metavar="WORD",
        default="monitor",
        help="begins their names (%(default)s)",
    )
    group.add_argument("--run-id", metavar="WORD", help="ends their names (default: date and time)")


class TimedFiles(Record):
    """An observer that writes the times of a run when it is over.

    Args:
        options: options of the run, with those of `add_timed_arguments`.
        graph: what is run.

    Raises:
        OptionError: the folder cannot be made.
    """

    def __init__(self, options: argparse.Namespace, graph: WorkflowGraph) -> None:
        super().__init__()
        self._options, self._graph = options, graph
        self._folder = Path(options.timing_dir)
        self._run_id = options.run_id or datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
        self._last: dict[tuple[str, int], InstanceReport] = {}
        self._longest: dict[tuple[str, int], float] = {}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OptionError(
                f"cannot make {self._folder} (--timing-dir): {error.strerror}"
            ) from error

    def on_event(self, event: Event) -> None:
        """Take an event of the run."""
        super().on_event(event)
        if isinstance(event, InstanceReport):
            self._last[event.pe, event.worker] = event
        elif isinstance(event, SlowCall) and event.calls == 1:
            key = event.pe, event.worker
            self._longest[key] = max(event.seconds, self._longest.get(key, 0.0))

    def discard(self) -> None:
        """Remove the folder, unless it has files of other runs."""
        with suppress(OSError):
            self._folder.rmdir()

    def write(self) -> None:
        """Write the graph and the tables."""
        assert self.started is not None
        shape = {
            "run_id": self._run_id,
            "nodes": sorted(pe.id for pe in self.started.pes),
            "edges": [
                {
                    "from": edge.source,
                    "to": edge.destination,
                    "from_connection": edge.output,
                    "to_connection": edge.input,
                }
                for edge in self.started.edges
            ],
        }
        with naming(path := self._path("shape", "json")):
            path.write_text(json.dumps(shape, indent=2), encoding="utf-8")
        instances = sorted(self._last)
        self._write_table(
            "instances",
            _INSTANCE_TITLES,
            ([pe, rank, f"{pe}@{rank}", *self._times([(pe, rank)])] for pe, rank in instances),
        )
        ranks: dict[str, list[int]] = {}
        for pe, rank in instances:
            ranks.setdefault(pe, []).append(rank)
        self._write_table(
            "summary",
            _PE_TITLES,
            (
                [pe, len(of), ";".join(map(str, of)), *self._times([(pe, rank) for rank in of])]
                for pe, of in ranks.items()
            ),
        )
        image = self._path("abstract_graph", "png")
        with naming(image), suppress(DotMissingError):  # an image needs graphviz
            write_image(self._graph, image)
        print_message(
            f"the times are in {self._folder}/*_run{self._run_id}.*; every mapping takes them, and"
            " --report FILE writes a page of them"
        )

    def _times(self, instances: list[tuple[str, int]]) -> list[Any]:
        """Return what both tables say of the times of some instances."""
        count = sum(self._last[one].calls for one in instances)
        seconds = sum(self._last[one].seconds for one in instances)
        longest = max((self._longest[one] for one in instances if one in self._longest), default="")
        return [count, seconds, seconds / count if count else 0.0, "", "", "", longest]

    def _write_table(self, name: str, titles: Iterable[str], rows: Iterable[list[Any]]) -> None:
        path = self._path(name, "csv")
        with naming(path), path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(titles)
            writer.writerows(rows)

    def _path(self, name: str, ending: str) -> Path:
        return self._folder / f"{self._options.timing_prefix}_{name}_run{self._run_id}.{ending}"
