"""Every row of the table *Bad input* in DESIGN.md, and the message that a user reads.

`messages.txt` holds the messages as they were reviewed; a change of wording shows in its diff.  To
write it anew: ``D4PY_UPDATE_MESSAGES=1 hatch run test:run -k messages packages/d4py-cli/tests``.
"""

import difflib
import os
import re
import sys
import sysconfig
from pathlib import Path

import pytest
from cli_helpers.bad_input import CALLS, CASES, ELSEWHERE

REVIEWED = Path(__file__).with_name("messages.txt")
ROOT = Path(__file__).parents[3]


def environment():
    scripts = sysconfig.get_path("scripts")
    hidden = ("PYTHONPATH", "REDIS_URL", "COLUMNS", "TERM", "D4PY_KEY")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    return kept | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}


def rows():
    """Return what the first column of the table says, row by row."""
    table = (ROOT / "DESIGN.md").read_text(encoding="utf-8").partition("Bad input\n")[2]
    lines = re.findall(r"^\| (.+?) \| .+ \|$", table, re.MULTILINE)
    return [line for line in lines if line not in ("input", "---")]


def normalized(text, folder):
    """Return a message without what differs by machine, Python and run."""
    # Frames of the standard library, and marks under those lines that not every Python marks.
    library = re.escape(sysconfig.get_path("stdlib"))
    text = re.sub(rf'^  File "{library}/.+\n(?:    .+\n)+', "", text, flags=re.MULTILINE)
    text = re.sub(r'^(  File ".+, in .+\n    .+\n) +[~^]+\n', r"\1", text, flags=re.MULTILINE)
    for path, name in ((folder, "FOLDER"), (sys.prefix, "PREFIX"), (ROOT, "SOURCES")):
        text = text.replace(str(path), name)
    text = re.sub(r"\bprocess \d+\b", "process PID", text)
    text = re.sub(r"0x[0-9a-f]+", "0x…", text)
    text = re.sub(r"[\d.]+ s in calls \(\d+%\)", "… s in calls (…%)", text)
    text = re.sub(r"^(SEED|ELAPSED TIME): .*", r"\1: …", text, flags=re.MULTILINE)
    return text.rstrip("\n")


@pytest.fixture
def said(folder, write, dispel4py, invoke):
    """Returns the text of all messages of a row."""

    def messages(row):
        blocks = []
        for text, line in CASES.get(row, []):
            (folder / "wf.py").write_text(text)
            if line.startswith("!"):
                done = dispel4py(
                    prefix=["bash", "-c", f"exec dispel4py {line[1:]}"], env=environment()
                )
            else:
                done = invoke(*line.split(" "), env={"D4PY_KEY": ""})
            assert "Traceback" not in done.err or 'wf.py", line' in done.err
            shown = normalized(done.err, folder)
            blocks.append(f"$ dispel4py {line.lstrip('!')}\n{shown}\n[exit {done.status}]")
        for call, function in CALLS.get(row, {}).items():
            with pytest.raises(Exception) as caught:  # noqa: PT011 - its type is in the text
                function()
            shown = f"{type(caught.value).__name__}: {normalized(str(caught.value), folder)}"
            blocks.append(f">>> {call}\n{shown}")
        return "\n\n".join(blocks)

    return messages


def reviewed():
    """Return the messages of each row as they were reviewed."""
    if not REVIEWED.exists():
        return {}
    sections = re.split(r"^## (.+)\n\n", REVIEWED.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {
        row: text.rstrip("\n") for row, text in zip(sections[1::2], sections[2::2], strict=True)
    }


def test_every_row_of_the_design_has_its_message_or_a_test_that_has():
    covered = [*CASES, *CALLS, *ELSEWHERE]
    assert sorted(covered) == sorted(rows())
    sources = [path.read_text("utf-8") for path in ROOT.glob("packages/*/tests/**/*.py")]
    sources += [path.read_text("utf-8") for path in ROOT.glob("conformance/src/**/*.py")]
    for row, test in ELSEWHERE.items():
        assert any(f"def {test}(" in source for source in sources), f"{row}: there is no {test}"


@pytest.mark.parametrize("row", [*CASES, *CALLS])
def test_messages_are_worded_as_reviewed(said, row):
    text = said(row)
    if os.environ.get("D4PY_UPDATE_MESSAGES"):
        known = {name: found for name, found in reviewed().items() if name in {*CASES, *CALLS}}
        known[row] = text
        order = [name for name in rows() if name in known]
        REVIEWED.write_text("\n".join(f"## {name}\n\n{known[name]}\n" for name in order), "utf-8")
    difference = difflib.unified_diff(
        reviewed().get(row, "").splitlines(), text.splitlines(), "reviewed", "now", lineterm=""
    )
    assert not [*difference], (
        "the wording has changed; if that is meant, run this test with D4PY_UPDATE_MESSAGES=1"
    )
