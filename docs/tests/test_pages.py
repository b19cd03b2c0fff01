"""What the pages show is true: every code block runs, and prints what the page says."""

import subprocess
import sys
from pathlib import Path

import pytest
from pages import GROUPS, ROOT, Session, blocks

PYRIGHT = '{"typeCheckingMode": "standard", "pythonVersion": "3.11"}'


def name_of(group):
    """Return the name of a group of pages."""
    return str((group[0] if len(group) == 1 else group[0].parent).relative_to(ROOT))


@pytest.mark.filterwarnings("default")  # what libraries warn of is not the pages' fault
@pytest.mark.parametrize(
    "group", [group for group in GROUPS if any(map(any, map(blocks, group)))], ids=name_of
)
def test_the_code_blocks_of_a_page_run(group, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for page in group:
        session = Session(page, tmp_path)
        for block in blocks(page):
            session.run(block)


def tool(name):
    """Return the path of a program of this environment."""
    return str(Path(sys.executable).parent / name)


@pytest.mark.parametrize("group", GROUPS[:2], ids=name_of)
@pytest.mark.parametrize(
    "command",
    [
        [tool("mypy"), "--strict", "--no-incremental", "."],
        [tool("basedpyright"), "--pythonpath", sys.executable],
    ],
    ids=["mypy", "pyright"],
)
def test_type_checkers_pass_on_what_the_reader_writes(command, group, tmp_path):
    for page in group:
        for block in blocks(page):
            if block.language == "python" and block.file_name:
                (tmp_path / block.file_name).write_text(block.text)
    (tmp_path / "pyrightconfig.json").write_text(PYRIGHT)
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
