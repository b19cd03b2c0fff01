"""Results that are written to a file as a run does it, and read back."""

import datetime
import os
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from d4py_cli.output.choosing import open_output
from dispel4py.errors import RunError

COLLECTED = [".csv", ".h5", ".npz", ".parquet", ".pkl"]
DAY = datetime.date(2026, 1, 2)
TIME = datetime.datetime(2026, 1, 2, 3, 4, 5, 6)
ROME = ZoneInfo("Europe/Rome")


def skip_without_library(ending):
    """Skip a test of HDF5 on a Python that is too new for a wheel of h5py."""
    if ending == ".h5":
        pytest.importorskip("h5py")


def save(target, *results, pe="PE0", output="output"):
    """Write results as a run does."""
    with open_output(target) as file:
        for data in results:
            file.write(pe, output, data)
    return target


def refusal(target, *results):
    """Return the message for the last of some results; those before are in the file."""
    *accepted, refused = results
    with open_output(target) as file:
        for data in accepted:
            file.write("PE0", "output", data)
        with pytest.raises(RunError) as caught:
            file.write("PE0", "output", refused)
    assert not accepted or os.path.getsize(target)
    message = str(caught.value)
    for word in (target, "PE0", "'output'", "cannot hold", "; "):
        assert word in message
    return message


def read_arrays(path):
    """Return the arrays of an archive or of HDF5 by name."""
    if path.endswith(".npz"):
        with np.load(path) as file:
            return {name: file[name] for name in file.files}
    import h5py

    found = {}

    def add(name, entry):
        if isinstance(entry, h5py.Dataset):
            pe, output, *field = name.split("/")
            name = ".".join([pe, output, *([] if field == ["data"] else field)])
            found[name] = entry.asstr()[:] if entry.dtype.kind == "O" else entry[:]

    with h5py.File(path) as file:
        file.visititems(add)
    return found
