"""Arrays are made of the items, in their order."""

import pytest

from d4py_examples.cookbook.arrays import ToArrays
from dispel4py.testing import feed

np = pytest.importorskip("numpy")


def test_arrays_are_full_but_the_last():
    arrays = feed(ToArrays(4, "float32"), [[n, n + 1] for n in range(6)])["output"]
    assert [array.shape for array in arrays] == [(4, 2), (2, 2)]
    assert {array.dtype for array in arrays} == {np.dtype("float32")}
    np.testing.assert_array_equal(np.concatenate(arrays)[:, 1], np.arange(1, 7))
