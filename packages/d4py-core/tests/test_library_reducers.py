"""M2: objects of other libraries arrive as they were, and their data stays out of the pickle.

Each test runs where its library is; ``make test-libraries`` has them all.
"""

from __future__ import annotations

import copyreg
import pickle
import subprocess
import sys
from typing import Any

import pytest

from dispel4py import IterativePE
from dispel4py.engine.items.copying import copy_item
from dispel4py.pickling.item_pickles import dumps
from dispel4py.testing import feed

np = pytest.importorskip("numpy")

COUNT = 10_000
#: What is left in the pickle: names, dtypes, units.
MOST_IN_BAND = 4_000


def carried(item: Any) -> Any:
    """Return an object as its receiver gets it; its data has to be out of band."""
    buffers: list[bytearray] = []
    data = dumps(item, lambda buffer: buffers.append(bytearray(buffer.raw())))
    assert len(data) < MOST_IN_BAND, f"{type(item).__name__} is copied into its pickle"
    received = pickle.loads(data, buffers=buffers)
    assert type(received) is type(item)
    return received


def size_of_pickle(item: Any) -> int:
    sizes: list[int] = []
    data = dumps(item, lambda buffer: sizes.append(buffer.raw().nbytes))
    return len(data) + sum(sizes)


def numbers() -> Any:
    return np.arange(float(COUNT))


def assert_equal_arrays(received: Any, sent: Any) -> None:
    assert received.dtype == sent.dtype
    assert received.shape == sent.shape
    assert received.tobytes() == sent.tobytes()
    assert received.flags.writeable
    if sent.flags.forc:
        assert received.flags.f_contiguous == sent.flags.f_contiguous


@pytest.mark.parametrize(
    "array",
    [
        np.arange(COUNT).astype("M8[s]"),
        np.arange(COUNT).astype(">m8[ms]"),
        np.asfortranarray(np.arange(COUNT).reshape(100, -1).astype("M8[D]")),
        np.zeros(COUNT, [("time", "M8[us]"), ("value", ">f4"), ("span", "m8[s]", (2,))]),
        np.array("2020-01-01", "M8[D]"),
        np.zeros(0, "M8[s]"),
        np.rec.array(np.zeros(COUNT, "i4, f8")),
        np.arange(9).astype("M8[s]").reshape(3, 3).T[::2],
        np.arange(3.0 * COUNT)[::3],
        np.arange(2 * COUNT).reshape(100, -1)[::-1, ::2],
        np.broadcast_to(np.arange(100.0), (100, 100)),
    ],
    ids=lambda array: f"{type(array).__name__} {array.dtype.str} {array.shape}",
)
@pytest.mark.parametrize("is_read_only", [False, True])
def test_m2_arrays_of_any_type_are_carried_out_of_band(array: Any, is_read_only: bool) -> None:
    array = array.view()
    array.setflags(write=not is_read_only)
    assert_equal_arrays(carried(array), array)


def test_m2_a_mapped_file_is_carried_as_an_array_that_is_not_tied_to_it(tmp_path: Any) -> None:
    np.save(tmp_path / "numbers.npy", numbers())
    mapped = np.load(tmp_path / "numbers.npy", mmap_mode="r")
    received = carried(mapped)
    assert received.filename is None
    received += 1
    assert received.tolist() == (numbers() + 1).tolist()
    assert mapped.tolist() == numbers().tolist()


@pytest.mark.parametrize(
    "masked",
    [
        np.ma.masked_array(numbers(), numbers() % 2 == 0, fill_value=-1, hard_mask=True),
        np.ma.masked_array(numbers()),
        np.ma.masked_array(np.zeros(COUNT, "i4, f8"), [(True, False)] * COUNT),
        np.ma.masked_array(np.arange(COUNT).astype("M8[s]"), numbers() > 5),
    ],
    ids=["hard mask", "no mask", "mask of fields", "dates"],
)
def test_m2_masked_arrays_keep_mask_and_fill_value(masked: Any) -> None:
    received = carried(masked)
    assert_equal_arrays(received, masked)
    assert received.mask.tolist() == masked.mask.tolist()
    assert (received.mask is np.ma.nomask) == (masked.mask is np.ma.nomask)
    assert repr(received.fill_value) == repr(masked.fill_value)  # also if it is no time
    assert received.hardmask == masked.hardmask
    before = masked.data.tobytes()
    received.data.view("u1")[...] = 7
    assert masked.data.tobytes() == before  # nothing of it is the sender's


def test_plain_arrays_are_pickled_without_an_import_of_masked_arrays() -> None:
    program = (
        "import sys, numpy; was_there = 'numpy.ma' in sys.modules;"
        "from dispel4py.pickling.item_pickles import dumps; dumps(numpy.zeros(3));"
        "assert ('numpy.ma' in sys.modules) == was_there;"
        "from numpy.ma import masked_array; out = [];"
        "dumps(masked_array(numpy.zeros(9000)), out.append); assert len(out) == 1"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_masked_constant_stays_itself() -> None:
    assert copy_item([np.ma.masked])[0] is np.ma.masked


def test_pandas_dates_are_carried_out_of_band() -> None:
    pd = pytest.importorskip("pandas")
    times = pd.date_range("2020", periods=COUNT, freq="s")
    frame = pd.DataFrame(
        {
            "time": times,
            "zone": times.tz_localize("UTC"),
            "span": pd.to_timedelta(np.arange(COUNT), unit="s"),
            "month": pd.period_range("2020", periods=COUNT, freq="D"),
            "number": pd.array(np.arange(COUNT), dtype="Int64"),
        },
        index=times,
    )
    received = carried(frame)
    pd.testing.assert_frame_equal(received, frame)
    assert received.index.freq == frame.index.freq
    received.iloc[0, 0] = times[5]
    assert frame.iloc[0, 0] == times[0]


def test_astropy_quantities_keep_their_unit_and_what_else_they_have() -> None:
    units = pytest.importorskip("astropy.units")
    coordinates = pytest.importorskip("astropy.coordinates")
    quantity = numbers() * units.m
    quantity.info.description = "heights"
    received = carried(quantity)
    assert received.unit == units.m
    assert received.info.description == "heights"
    assert_equal_arrays(received.value, quantity.value)
    angle = coordinates.Longitude(numbers() * units.deg, wrap_angle=180 * units.deg)
    received = carried(angle)
    assert received.wrap_angle == angle.wrap_angle
    assert (received == angle).all()
    assert carried(3 * units.s) == 3 * units.s


def test_a_unit_of_the_program_does_not_become_another_one_of_its_name() -> None:
    units = pytest.importorskip("astropy.units")
    level = units.def_unit("gray")  # of a camera; for Astropy the name is that of a dose
    received = carried(numbers() * level)
    assert received.unit.name == "gray"
    assert not received.unit.is_equivalent(units.J / units.kg)
    assert (received + received).unit == received.unit
    assert carried(3 * units.gray) == 3 * units.gray


def test_astropy_tables_keep_units_masks_indices_and_metadata() -> None:
    table = pytest.importorskip("astropy.table")
    sent = table.Table({"plain": numbers(), "text": ["a"] * COUNT}, meta={"from": "here"})
    sent["plain"].unit, sent["plain"].format = "m", "%.2f"
    sent["gaps"] = table.MaskedColumn(numbers(), mask=numbers() > 9, fill_value=-1, unit="s")
    sent.add_index("plain")
    received = carried(sent)
    assert received.meta == sent.meta
    assert received.colnames == sent.colnames
    assert len(received.indices) == 1
    for name in sent.colnames:
        mine, theirs = received[name], sent[name]
        assert type(mine) is type(theirs)
        assert (mine.unit, mine.format) == (theirs.unit, theirs.format)
        assert mine.tolist() == theirs.tolist()
        assert mine.parent_table is received
    assert received["gaps"].mask.tolist() == sent["gaps"].mask.tolist()
    assert received["gaps"].fill_value == -1


def test_astropy_tables_keep_quantities_times_and_what_is_known_of_them() -> None:
    table = pytest.importorskip("astropy.table")
    units, time = pytest.importorskip("astropy.units"), pytest.importorskip("astropy.time")
    sent = table.QTable({"length": numbers() * units.m, "at": time.Time(numbers(), format="unix")})
    sent["length"].info.description = "along the track"
    received = carried(sent)
    for name in sent.colnames:
        assert (received[name] == sent[name]).all()
        assert received[name].info.parent_table is received
    assert received["length"].info.description == "along the track"
    assert carried(sent["length"]).unit == units.m  # astropy's own pickle refuses it
    sent.add_index("length")
    indexed = pickle.loads(dumps(sent))
    assert len(indexed.indices) == 1
    assert (indexed["length"] == sent["length"]).all()


def test_arrow_tables_are_carried_whole_and_slices_without_the_rest() -> None:
    arrow = pytest.importorskip("pyarrow")
    table = arrow.table({"a": numbers(), "b": [str(i) for i in range(COUNT)]})
    table = table.replace_schema_metadata({"from": "here"})
    (batch,) = table.to_batches()
    assert carried(table).equals(table, check_metadata=True)
    for data in (table, batch, table.column("b"), batch.column(1)):
        for part in (data.slice(10, 20), data.slice(0, 0)):
            assert carried(part).equals(part)
            assert size_of_pickle(part) < MOST_IN_BAND


def test_polars_frames_are_carried_whole_and_slices_without_the_rest() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": numbers(), "b": [f"a longer text {i}" for i in range(COUNT)]})
    frame = frame.with_columns(
        day=polars.date(2020, 1, 1),
        kind=polars.lit("x", dtype=polars.Enum(["x", "y"])),
        category=polars.lit("x", dtype=polars.Categorical),
        pair=polars.concat_list("a", "a"),
        none=None,
    )
    received = carried(frame)
    assert received.schema == frame.schema
    assert received.equals(frame)
    part = frame[10:20]
    assert carried(part).equals(part)
    assert size_of_pickle(part) < 4 * MOST_IN_BAND
    assert carried(frame["a"]).name == "a"
    assert carried(frame["a"]).equals(frame["a"])


@pytest.mark.parametrize("has_arrow", [True, False])
def test_polars_frames_that_arrow_has_no_form_for(
    has_arrow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": numbers()}).with_columns(polars.lit(1, dtype=polars.Int128))
    if not has_arrow:
        monkeypatch.setattr(polars.DataFrame, "to_arrow", None)
    received = carried(frame)
    assert received.schema == frame.schema
    assert received.equals(frame)
    assert copy_item(polars.DataFrame()).equals(polars.DataFrame())


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "bool", "complex64", "int8"])
def test_torch_tensors_are_carried_with_their_part_of_the_storage(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.arange(COUNT).reshape(100, -1).to(getattr(torch, dtype))
    received = carried(tensor)
    assert received.dtype is tensor.dtype
    assert torch.equal(received, tensor)
    assert size_of_pickle(tensor[1]) < MOST_IN_BAND
    assert torch.equal(carried(tensor[1]), tensor[1])
    received.zero_()
    assert tensor.any()


def test_torch_tensors_with_more_than_data_are_left_to_torch() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.ones(3, requires_grad=True)
    assert copy_item([tensor])[0].requires_grad
    conjugate = torch.tensor([1 + 2j]).conj()
    assert torch.equal(copy_item([conjugate])[0], conjugate)


def turned_image(kind: Any) -> Any:
    """Return an image whose x and y point the other way, as in some scans."""
    image = kind()
    image.SetDimensions(30, 30, 20)
    image.SetDirectionMatrix((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    return image


def test_images_of_pyvista_keep_their_direction() -> None:
    pyvista = pytest.importorskip("pyvista")
    sent = turned_image(pyvista.ImageData)
    sent.point_data["hounsfield"] = np.arange(18_000.0)
    sent.user_dict["scanner"] = "A"
    received = carried(sent)
    assert received.direction_matrix.tolist() == np.diag([-1, -1, 1]).tolist()
    assert received.bounds == sent.bounds == (-29, 0, -29, 0, 0, 19)
    assert_equal_arrays(received.point_data["hounsfield"], sent.point_data["hounsfield"])
    assert received.user_dict["scanner"] == "A"
    pyvista.set_pickle_format("xml")  # which keeps it by itself
    try:
        assert pickle.loads(dumps(sent)).bounds == sent.bounds
    finally:
        pyvista.set_pickle_format("vtk")


def test_images_of_vtk_keep_their_direction(monkeypatch: pytest.MonkeyPatch) -> None:
    data_model = pytest.importorskip("vtkmodules.vtkCommonDataModel")
    image = data_model.vtkImageData
    monkeypatch.delitem(copyreg.dispatch_table, image, raising=False)
    with pytest.raises(TypeError, match="pickle"):  # the program has not asked for it
        dumps(turned_image(image))
    support = pytest.importorskip("vtkmodules.util.pickle_support")
    monkeypatch.setitem(copyreg.dispatch_table, image, support.serialize_VTK_data_object)
    for kind in (image, data_model.vtkStructuredPoints):
        assert carried(turned_image(kind)).GetBounds() == turned_image(kind).GetBounds()


class Bounds(IterativePE):
    """Sends the bounds of an image that it holds, and of those that it gets."""

    def __init__(self, held: Any) -> None:
        super().__init__()
        self.held = held

    def _process(self, image: Any) -> Any:
        return image.bounds[:2], self.held.bounds[:2]


def test_images_of_a_pe_and_of_its_items_keep_their_direction() -> None:
    pyvista = pytest.importorskip("pyvista")
    image = turned_image(pyvista.ImageData)
    (found,) = feed(Bounds(image), [image])["output"]
    assert found == ((-29, 0), (-29, 0))


class Reading:
    """An array with a name, for which a program has a reducer of its own."""

    def __init__(self, name: str, values: Any) -> None:
        self.name = name
        self.values = values


def test_a_reducer_that_a_program_registers_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def reduce(reading: Reading) -> Any:
        return Reading, (reading.name.upper(), reading.values)

    assert copy_item([Reading("a", numbers())])[0].name == "a"
    monkeypatch.setitem(copyreg.dispatch_table, Reading, reduce)
    assert copy_item([Reading("a", numbers())])[0].name == "A"
    monkeypatch.setitem(copyreg.dispatch_table, Reading, lambda r: (Reading, ("b", r.values)))
    assert copy_item([Reading("a", numbers())])[0].name == "b"
