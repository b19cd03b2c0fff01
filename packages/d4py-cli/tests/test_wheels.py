"""What users install: the wheels of all packages, in an environment of their own.

Nothing here may lean on the checkout, so the commands run in an empty folder, in an environment
that holds the wheels and what they require.
"""

import ast
import os
import re
import subprocess
import sys
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGES = {
    "d4py-core": ("packages/d4py-core", "dispel4py"),
    "d4py-mappings-fixed": ("packages/d4py-mappings-fixed", "d4py_fixed"),
    "d4py-mappings-dynamic": ("packages/d4py-mappings-dynamic", "d4py_dynamic"),
    "d4py-hybrid": ("packages/d4py-hybrid", "d4py_hybrid"),
    "d4py-cli": ("packages/d4py-cli", "d4py_cli"),
    "d4py-conformance": ("conformance", "d4py_conformance"),
    "d4py-examples": ("examples", "d4py_examples"),
}

#: A mapping of somebody else's, and the guide that says how its author proves it.
AUTHORS = ROOT / "examples" / "custom_mapping"
GUIDE = ROOT / "conformance" / "README.md"

# One worker builds and installs, whatever the number of test processes; it takes about a minute.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("wheels"),
]


def clean_environment():
    """The environment variables of a user who has never seen this checkout."""
    ours = ("PYTHON", "PYTEST", "COVERAGE", "HATCH", "VIRTUAL_ENV", "REDIS")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def run_in(folder, *command, timeout=60):
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def outputs_of(done):
    """The results that a run of the command printed, as the dict that it printed."""
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    found = re.search(r"^Outputs: (\{.*\})\s*$", done.stdout, re.MULTILINE | re.DOTALL)
    assert found, f"no results in: {done.stdout}\n{done.stderr}"
    return ast.literal_eval(found[1])


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """One wheel for each package, by the package's name."""
    folder = tmp_path_factory.mktemp("wheels")
    return {name: build(folder, ROOT / path, name) for name, (path, _) in PACKAGES.items()}


def build(folder, source, name):
    """Build the wheel of a package; its path."""
    # The build backend is part of the test environment: no need to fetch it for each package.
    command = ["-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source]
    done = run_in(folder, sys.executable, *command, timeout=120)
    assert done.returncode == 0, f"{name}: {done.stdout}\n{done.stderr}"
    (wheel,) = folder.glob(f"{name.replace('-', '_')}-*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(wheels, tmp_path_factory):
    """The scripts folder of an environment that holds the wheels and what they require."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    here = folder.parent
    made = run_in(here, sys.executable, "-m", "venv", "--without-pip", folder)
    assert made.returncode == 0, made.stderr
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
    authors = build(here, AUTHORS, "d4py-custom")
    done = run_in(here, *pip, *wheels.values(), authors, timeout=400)
    if done.returncode != 0 and "connection" in done.stderr.lower() and "CI" not in os.environ:
        pytest.skip("no package index can be reached from here")
    assert done.returncode == 0, done.stderr
    return folder / "bin"


@pytest.mark.parametrize("name", PACKAGES)
def test_wheel_holds_sources_type_marker_and_licence(wheels, name):
    folder, package = PACKAGES[name]
    sources = ROOT / folder / "src"
    expected = {
        path.relative_to(sources).as_posix()
        for path in (sources / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }

    with zipfile.ZipFile(wheels[name]) as wheel:
        held = set(wheel.namelist())
        (info,) = {path.partition("/")[0] for path in held if ".dist-info/" in path}
        metadata = HeaderParser().parsestr(wheel.read(f"{info}/METADATA").decode())
        licence = wheel.read(f"{info}/licenses/LICENSE").decode()

    assert {path for path in held if not path.startswith(f"{info}/")} == expected
    assert f"{package}/py.typed" in held
    assert licence == (ROOT / "LICENSE").read_text()
    assert metadata["License-Expression"] == "Apache-2.0"


def test_packages_are_imported_from_the_environment(installed, tmp_path):
    names = [package for _, package in PACKAGES.values()]
    code = f"import {', '.join(names)}; print({', '.join(f'{name}.__file__' for name in names)})"

    done = run_in(tmp_path, installed / "python", "-c", code)

    assert done.returncode == 0, done.stderr
    for path in done.stdout.split():
        assert Path(path).is_relative_to(installed.parent)
        assert not Path(path).is_relative_to(ROOT)


@pytest.mark.parametrize(
    "command", [["dispel4py"], ["python", "-m", "dispel4py"]], ids=["script", "module"]
)
def test_command_runs_a_shipped_example_in_an_empty_folder(installed, tmp_path, command):
    script, *rest = command

    done = run_in(tmp_path, installed / script, *rest, "simple", "split_merge", "-i", "3")

    outputs = outputs_of(done)
    assert len(outputs["TestTwoInOneOut3"]["output"]) == 6


def test_main_job_needs_no_checkout_and_no_redis(installed, tmp_path):
    job = ["hybrid_redis", "split_merge.py", "-i", "100", "-n", "10"]

    done = run_in(tmp_path, installed / "dispel4py", *job)

    outputs = outputs_of(done)
    assert outputs.keys() == {"TestTwoInOneOut3"}
    assert len(outputs["TestTwoInOneOut3"]["output"]) == 200
    assert list(tmp_path.iterdir()) == [], "the run left something behind"


def test_an_author_proves_a_mapping_as_the_guide_says(installed, tmp_path):
    (file,) = re.findall(r"^```python\n(import pytest\n.*?)^```", GUIDE.read_text(), re.M | re.S)
    (tmp_path / "test_custom.py").write_text(file)
    # The rest of the suite is run on this mapping by its own tests.
    few = ["test_custom.py", "-k", "standard or teecopy or g1 or random or hash_seed or signal"]
    report = ["dispel4py-conformance", "report", "--output", "here", "--"]

    for command in (["pytest"], report):
        done = run_in(tmp_path, installed / command[0], *command[1:], *few, timeout=200)
        assert done.returncode == 0, done.stdout
        assert re.search(r"= (1[0-9]|2[0-9]) passed, \d+ deselected", done.stdout), done.stdout

    assert "| teecopy | ✓ |" in (tmp_path / "here" / "conformance.md").read_text()
    assert {path.suffix for path in (tmp_path / "here").iterdir()} == {".html", ".json", ".md"}
