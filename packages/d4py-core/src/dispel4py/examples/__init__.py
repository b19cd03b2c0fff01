"""``dispel4py.examples.X`` is ``d4py_examples.X``, of the package d4py-examples."""

import importlib

try:
    _examples = importlib.import_module("d4py_examples")
except ModuleNotFoundError as error:
    if error.name != "d4py_examples":  # the package is there and lacks something itself
        raise
    raise ImportError(
        "the examples are a package of their own, which is not installed:"
        " pip install d4py-examples",
        name=__name__,
    ) from None

__path__ = list(_examples.__path__)
