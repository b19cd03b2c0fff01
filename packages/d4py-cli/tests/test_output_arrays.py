"""Results in arrays of NumPy and HDF5: what is read back is what PEs wrote, or it was refused."""

import numpy as np
import pytest
from cli_helpers.output_files import (
    DAY,
    ROME,
    TIME,
    read_arrays,
    refusal,
    save,
    skip_without_library,
)

from d4py_cli.output.choosing import open_output
from dispel4py.errors import RunError


@pytest.fixture
def target(tmp_path):
    def path(ending):
        skip_without_library(ending)
        return str(tmp_path / f"out{ending}")

    return path


@pytest.mark.parametrize("ending", [".npz", ".h5"])
class TestArrays:
    def test_results_are_stacked(self, target, ending):
        arrays = [np.arange(6).reshape(2, 3) + i for i in range(3)]
        back = read_arrays(save(target(ending), *arrays))
        assert list(back) == ["PE0.output"]
        assert back["PE0.output"].dtype == arrays[0].dtype
        assert np.array_equal(back["PE0.output"], np.stack(arrays))

    def test_each_field_and_output_has_an_array(self, target, ending):
        with open_output(target(ending)) as file:
            file.write("A", "x", {"station": "Zoë", "trace": {"data": np.float32([1, 2]), "n": 2}})
            file.write("B", "y", [1, 2.5])
            file.write("A", "x", {"station": "long name", "trace": {"data": [3, 4], "n": 2}})
        back = read_arrays(target(ending))
        assert list(back["A.x.station"]) == ["Zoë", "long name"]
        assert np.array_equal(back["A.x.trace.data"], [[1, 2], [3, 4]])
        assert back["A.x.trace.n"].dtype.kind == "i"
        assert np.array_equal(back["B.y"], [[1, 2.5]])

    @pytest.mark.parametrize(
        "values", [[2**64 - 1, 0], [1j], [True, False], [np.int8(1)]], ids=repr
    )
    def test_numbers_keep_their_kind(self, target, ending, values):
        back = read_arrays(save(target(ending), *values))["PE0.output"]
        assert back.tolist() == [np.asarray(value).item() for value in values]
        assert back.dtype == np.asarray(values[0]).dtype

    @pytest.mark.parametrize(
        ("values", "found"),
        [
            ([np.zeros(2), np.zeros(3)], "an array of shape (3,) after one of shape (2,)"),
            ([[1, [2]]], "shape"),
            ([np.ma.masked_array([1], [True])], "MaskedArray"),
            ([np.array([None])], "object"),
            ([np.zeros(2, "i4,f4")], "ndarray"),
            ([1, True], "bool after int64"),
            ([1, "1"], "after int64"),
            ([[1, "1"]], "after int64"),
            ([[2**63, -1]], "after uint64"),
            ([2**53 + 1, 0.5], "float64 after int64"),
            ([2**70], "object"),
            ([None], "None"),
            ([{"a": 1}, {"b": 1}], "fields that not all results have ('a', 'b')"),
            (["a\0"], "zero byte"),
            ([TIME.replace(tzinfo=ROME)], "datetime"),
            ([{"a/b": 1}], "the key 'a/b'"),
            ([{"a": {"b": 1}, "a.b": 2}], "a second field of this name in 'a.b'"),
            ([{}, {"a": 1}], "fields that not all results have ('a')"),
            ([{"a": 1}, {}], "fields that not all results have ('a')"),
            ([{"a\udc80": 1}], "the text 'a\\udc80'"),
        ],
        ids=repr,
    )
    def test_what_arrays_would_change_is_refused(self, target, ending, values, found):
        assert found in refusal(target(ending), *values)


def test_fields_of_hdf5_are_groups_by_their_dots_as_far_as_that_can_be(target):
    path = save(target(".h5"), {"No.": 1, "a.b": 2, "c": {"d": 3}})
    import h5py

    with h5py.File(path) as file:
        fields = file["PE0/output"]
        assert [fields[name][0] for name in ("No.", "a/b", "c/d")] == [1, 2, 3]
    assert "a field that others lie in in 'a'" in refusal(target(".h5"), {"a": 1, "a.b": 2})
    assert "a second field of this name in 'data'" in refusal(target(".h5"), {"": 1, "data": 2})


@pytest.mark.parametrize(
    ("ending", "first", "second", "found"),
    [
        (".npz", ("a.b", 1), ("a", {"b": 2}), "a second array PE0.a.b, after that of output 'a.b'"),
        (".h5", ("a/b", 1), ("a", {"b": {"data": 2}}), "a second array PE0/a/b/data, after that"),
        (".h5", ("a/b", 1), ("a", {"b": 2}), "an array PE0/a/b beside others in a group of that"),
        (".h5", ("a", {"b": 1}), ("a/b", 2), "an array PE0/a/b beside others in a group of that"),
        (".h5", ("a", 1), (".", 1), "the name PE0/./data"),
    ],
)
def test_arrays_of_one_name_are_refused(target, ending, first, second, found):
    """One of them would replace the other."""
    with open_output(target(ending)) as file:
        file.write("PE0", *first)
        with pytest.raises(RunError) as caught:
            file.write("PE0", *second)
    assert found in str(caught.value)
    assert [array.tolist() for array in read_arrays(target(ending)).values()] == [[1]]


def test_archives_of_numpy_hold_times(target):
    back = read_arrays(save(target(".npz"), {"t": TIME, "d": DAY}))
    assert back["PE0.output.t"].tolist() == [TIME]
    assert back["PE0.output.d"].tolist() == [DAY]
    assert "date" in refusal(target(".npz"), TIME, DAY)


def test_hdf5_holds_no_times(target):
    assert "datetime64" in refusal(target(".h5"), TIME)


@pytest.mark.parametrize("ending", [".csv", ".h5", ".npz", ".parquet"])
def test_a_list_within_itself_is_refused(target, ending):
    cycle = []
    cycle.append(cycle)
    assert "nested too deep, or within itself" in refusal(target(ending), cycle)
