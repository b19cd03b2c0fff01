"""The mapping ``multi`` by its old module path; see `dispel4py.new._legacy`."""

from functools import partial

from dispel4py.new import _legacy

process = partial(_legacy.process, "multi")
parse_args = partial(_legacy.parse_args, "multi")
