"""d4py beside itself of before, the same work by hand, and other libraries: whole programs.

``make bench ROWS=words`` measures the rows with that in their name.  Where an environment or a
library is missing, the row says so; with D4PY_BENCH_REQUIRE set it fails.
"""

import os
from functools import partial
from operator import attrgetter

import pytest

from d4py_conformance.bench.measure import by_turns, clock
from d4py_conformance.bench.rows import all_rows
from d4py_conformance.bench.runner import RowRunner


@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize("row", all_rows(), ids=attrgetter("name"))
def test_row(benchmark, capsys, row):
    benchmark.group = row.what
    runner = RowRunner(row, row.size)
    if os.environ.get("D4PY_BENCH_REQUIRE"):
        assert not runner.missing
    others = {name: partial(runner.run, name) for name in runner.present if name != "ours"}
    by_turns(benchmark, capsys, "s", partial(runner.run, "ours"), **others)
    benchmark.extra_info.update(runner.details())
    with capsys.disabled():
        for name, reason in runner.missing.items():
            print(f"  {name:24} missing: {reason}")
