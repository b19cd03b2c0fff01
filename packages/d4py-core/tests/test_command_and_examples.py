"""What core hands over to other packages by name: the command to d4py-cli, the examples."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import dispel4py

SOURCES = str(Path(dispel4py.__file__).parent.parent)


def install(folder, name, console_scripts="", **modules):
    """Puts a distribution into a folder: its modules, and its console scripts."""
    info = folder / f"{name}-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[console_scripts]\n{console_scripts}\n")
    for module, text in modules.items():
        path = folder / (module.replace("__", "/", 1) + ".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def python(*arguments, path):
    """Runs a Python that sees core and one folder, and nothing else that is installed."""
    return subprocess.run(
        [sys.executable, "-S", *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(path), SOURCES])},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("module", ["dispel4py", "dispel4py.new.processor"])
class TestCommand:
    def test_the_installed_command_is_run(self, tmp_path, module):
        install(
            tmp_path,
            "the_command",
            "dispel4py = the_command:main",
            the_command="import sys\ndef main():\n    print(sys.argv[1:])\n    return 3\n",
        )
        done = python("-m", module, "simple", "wf.py", "-i", "5", path=tmp_path)
        assert done.stdout == "['simple', 'wf.py', '-i', '5']\n"
        assert done.returncode == 3
        assert done.stderr == ""

    def test_a_missing_command_is_answered_with_the_pip_line(self, tmp_path, module):
        done = python("-m", module, "simple", "wf.py", path=tmp_path)
        assert done.returncode == 2
        assert done.stderr == (
            "dispel4py: the dispel4py command is not installed; to get it: pip install d4py-cli\n"
        )

    def test_a_command_that_leads_back_here_does_not_count(self, tmp_path, module):
        install(tmp_path, "old_system", "dispel4py = dispel4py.new.processor:main")
        done = python("-m", module, path=tmp_path)
        assert done.returncode == 2
        assert "not installed" in done.stderr

    def test_a_command_that_cannot_be_imported_is_reported(self, tmp_path, module):
        install(
            tmp_path,
            "the_command",
            "dispel4py = the_command:main",
            the_command="import no_such_library",
        )
        done = python("-m", module, path=tmp_path)
        assert done.returncode == 2
        assert "No module named 'no_such_library'" in done.stderr
        assert "pip install d4py-cli" in done.stderr


class TestExamples:
    def test_examples_are_reached_by_the_old_path(self, tmp_path):
        install(
            tmp_path,
            "examples",
            d4py_examples____init__="",
            d4py_examples__graph_testing="graph = 'a graph'",
        )
        code = """
import dispel4py.examples.graph_testing as by_path
from dispel4py.examples import graph_testing
assert graph_testing is by_path
print(by_path.graph, by_path.__name__)
"""
        done = python("-c", code, path=tmp_path)
        assert done.stdout == "a graph dispel4py.examples.graph_testing\n", done.stderr

    def test_missing_examples_are_answered_with_the_pip_line(self, tmp_path):
        done = python("-c", "import dispel4py.examples.graph_testing.split_merge", path=tmp_path)
        assert done.returncode == 1
        assert "ImportError: the examples are a package of their own" in done.stderr
        assert "pip install d4py-examples" in done.stderr

    def test_what_the_examples_lack_is_not_taken_for_the_examples(self, tmp_path):
        install(tmp_path, "examples", d4py_examples____init__="import no_such_library")
        done = python("-c", "import dispel4py.examples", path=tmp_path)
        assert "No module named 'no_such_library'" in done.stderr
        assert "pip install" not in done.stderr
