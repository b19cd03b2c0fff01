"""Group keys, drawn at random."""

import datetime

import pytest
from hypothesis import strategies as st

try:
    import numpy
except ModuleNotFoundError:
    numpy = None


needs_numpy = pytest.mark.skipif(numpy is None, reason="NumPy is not installed")

UTC = datetime.UTC

numbers = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.complex_numbers(allow_nan=False),
)
atoms = st.one_of(
    st.none(),
    numbers,
    st.text(),
    st.binary(),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.just(UTC)),
    st.times(),
    st.timedeltas(),
    st.uuids(),
)
hashable = st.recursive(
    atoms,
    lambda parts: st.one_of(
        st.tuples(parts, parts),
        st.lists(parts, max_size=4).map(tuple),
        st.frozensets(parts, max_size=4),
    ),
    max_leaves=8,
)
keys = st.recursive(
    hashable,
    lambda parts: st.one_of(
        st.lists(parts, max_size=4),
        st.tuples(parts, parts),
        st.dictionaries(hashable, parts, max_size=4),
    ),
    max_leaves=12,
)
