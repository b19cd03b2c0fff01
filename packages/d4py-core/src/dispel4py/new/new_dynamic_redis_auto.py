"""The mapping ``dyn_auto_redis`` by its module path in dispel4py; see `dispel4py.new._legacy`."""

from functools import partial

from dispel4py.new import _legacy

process = partial(_legacy.process, "dyn_auto_redis")
parse_args = partial(_legacy.parse_args, "dyn_auto_redis")
