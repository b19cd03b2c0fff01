"""Autoscaling as an addition to a mapping with a task loop.

Workers that are not needed are paused: their processes stay, and resume within a millisecond.
This module is imported by mappings without autoscaling, too, so it imports what scales where that
is used.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar

from d4py_dynamic.mappings.base import DynamicMapping
from dispel4py.files.file_argument import file_argument
from dispel4py.result import RunStats

if TYPE_CHECKING:
    from d4py_dynamic.autoscaling.policies import Policy


class AutoscaledMapping(DynamicMapping):
    """A mapping that pauses workers that are not needed, and resumes them."""

    #: The strategy that a threshold is for if none is named, what the threshold is, and its option.
    old_strategy: ClassVar[tuple[str, str, str]]

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """See `dispel4py.registry.Mapping`."""
        from d4py_dynamic.autoscaling.policies import DEFAULT_STRATEGY, STRATEGIES

        super().add_arguments(parser)
        strategy, threshold, option = self.old_strategy
        group = parser.add_argument_group("autoscaling")
        group.add_argument(
            "--scaling",
            choices=[*STRATEGIES],
            help=f"what decides how many of the -n workers are active (default: {DEFAULT_STRATEGY},"
            f" or {strategy} if -thr is given)",
        )
        group.add_argument(
            "-thr",
            option,
            dest="threshold",
            type=float,
            metavar="NUMBER",
            help=f"threshold of the strategy: {threshold}",
        )
        group.add_argument(
            "--scaling-trace",
            type=file_argument,
            metavar="FILE",
            help="write active workers and backlog over time to FILE, as CSV",
        )

    def policy(self, most: int, extra: Mapping[str, Any]) -> Policy:
        """See `DynamicMapping`."""
        from d4py_dynamic.autoscaling.policies import DEFAULT_STRATEGY, make_policy

        threshold = extra.get("threshold")
        default = DEFAULT_STRATEGY if threshold is None else self.old_strategy[0]
        # A run without worker processes of its own scales the remote workers that join.
        return make_policy(extra.get("scaling") or default, max(1, most), threshold)

    def traced(self, extra: Mapping[str, Any], stats: RunStats) -> AbstractContextManager[None]:
        """See `DynamicMapping`."""
        from d4py_dynamic.autoscaling.trace import traced_to

        return traced_to(extra.get("scaling_trace"), stats)
