"""Options of older versions of dispel4py that have no effect are accepted."""

import argparse
import importlib

import pytest


@pytest.mark.parametrize(
    "module",
    [
        *("new_dynamic", "new_dynamic_auto", "new_dynamic_redis", "new_dynamic_redis_auto"),
        *("new_hybrid_redis", "dynamic_redis"),
    ],
)
def test_consumer_timeout_is_accepted_by_every_mapping_that_had_it(module):
    parse_args = importlib.import_module(f"dispel4py.new.{module}").parse_args
    args = parse_args(["-n", "2", "-ct", "500"], argparse.Namespace())
    assert (args.num, args.consumer_timeout) == (2, 500)
