"""Entry points of installed distributions, found by reading their files."""

import sys
import zipfile

import pytest

from dispel4py.files.entry_points import find_object_reference, load_object
from dispel4py.registry import load_mapping

GROUP = "dispel4py.mappings"
ENTRY = "[dispel4py.mappings]\n{} = package:{}\n"


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a distribution into a folder that is searched; the last one is searched last."""
    monkeypatch.setattr(sys, "path", [])

    def install_into(folder, metadata, text):
        info = tmp_path / folder / metadata
        info.mkdir(parents=True)
        (info / "entry_points.txt").write_text(text)
        if str(info.parent) not in sys.path:
            sys.path.append(str(info.parent))

    return install_into


def test_the_object_reference_of_an_entry_point_is_found(install):
    text = (
        "# made by hand\n[other]\nfound = other:No\n\n[dispel4py.mappings]\n"
        "; more\nfound=package.module:Class.make [extra]\n"
    )
    install("site", "some_thing-1.0.dist-info", text)

    assert find_object_reference(GROUP, "found") == "package.module:Class.make"
    assert find_object_reference(GROUP, "other") is None
    assert find_object_reference("other", "found") == "other:No"


def test_metadata_of_setuptools_is_read_too(install):
    install("site", "Some_Thing.egg-info", ENTRY.format("found", "Class"))

    assert find_object_reference(GROUP, "found") == "package:Class"


def test_the_first_distribution_on_the_path_is_taken(install):
    install("first", "one-1.0.dist-info", ENTRY.format("found", "First"))
    install("second", "two-1.0.dist-info", ENTRY.format("found", "Second"))

    assert find_object_reference(GROUP, "found") == "package:First"


def test_a_distribution_that_another_version_hides_has_no_entry_points(install):
    install("first", "some.thing-2.0.dist-info", ENTRY.format("renamed", "New"))
    install("second", "Some_Thing-1.0.dist-info", ENTRY.format("found", "Old"))

    assert find_object_reference(GROUP, "found") is None


def test_what_is_no_folder_or_has_no_entry_points_is_passed_over(install, tmp_path):
    (tmp_path / "site" / "none-1.0.dist-info").mkdir(parents=True)
    (tmp_path / "archive.zip").write_bytes(b"")
    sys.path += [str(tmp_path / "archive.zip"), str(tmp_path / "gone")]
    install("site", "one-1.0.dist-info", ENTRY.format("found", "Class"))

    assert find_object_reference(GROUP, "found") == "package:Class"


def test_an_object_is_imported_by_its_reference():
    assert load_object("os.path:join") is sys.modules["os.path"].join
    assert load_object("dispel4py.core:GenericPE.log").__name__ == "log"
    with pytest.raises(ImportError):
        load_object("no_such_package_here:Class")


def test_a_mapping_in_an_archive_is_found(tmp_path, monkeypatch):
    source = (
        "from dispel4py.mappings.simple import SimpleMapping\n"
        "class Zipped(SimpleMapping):\n    name = 'zipped'\n"
    )
    with zipfile.ZipFile(tmp_path / "zipped.zip", "w") as archive:
        archive.writestr("in_an_archive.py", source)
        archive.writestr("zipped-1.0.dist-info/METADATA", "Name: zipped\nVersion: 1.0\n")
        archive.writestr(
            "zipped-1.0.dist-info/entry_points.txt",
            "[dispel4py.mappings]\nzipped = in_an_archive:Zipped\n",
        )
    monkeypatch.syspath_prepend(str(tmp_path / "zipped.zip"))
    monkeypatch.delitem(sys.modules, "in_an_archive", raising=False)

    assert load_mapping("zipped").name == "zipped"
