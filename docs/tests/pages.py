"""The code blocks of Markdown pages, and how each kind of block is run.

- ``python`` whose first line is a comment with a file name, such as ``# stations.py``, is written
  to that file.
- Any other ``python`` block is executed, in one namespace per page.
- ``shell`` is run by bash, and has to succeed.
- ``console`` is a session: what follows each ``$ command`` is compared with what that command
  prints on standard output.  A line ``...`` stands for any lines, ``...`` in a line for any text.
- ``text`` right after a ``python`` or ``shell`` block is compared with what that block prints.

A comment ``<!-- not run: reason -->`` before a block leaves it out; only its syntax is checked.  A
block in a comment, ``<!-- hidden`` and ``-->`` around it, is run and not shown.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
SECONDS = 120

_TUTORIAL = DOCS / "tutorial"
#: No part of the site: these describe, and need hours or other environments.
_FOR_CONTRIBUTORS = {"benchmarks.md", "decisions", "scale.md"}
#: Pages that are run in one folder, one after the other.
GROUPS = [
    [ROOT / "README.md"],
    sorted(_TUTORIAL.glob("*.md")),
    *(
        [page]
        for page in sorted(DOCS.rglob("*.md"))
        if not (_FOR_CONTRIBUTORS | {"tutorial"}) & set(page.relative_to(DOCS).parts)
    ),
]

_FILE_NAME = re.compile(r"# (\w+\.py)\n")
_NOT_RUN = re.compile(r"<!-- not run: .+?-->\s*", re.DOTALL)
_HIDDEN = re.compile(r"^<!-- hidden\n(.*?)^-->$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A code block: its language, its text, its line on the page, and whether it is to be run."""

    language: str
    text: str
    line: int
    is_run: bool

    @property
    def file_name(self) -> str | None:
        """The file that the block is written to, or None."""
        found = _FILE_NAME.match(self.text)
        return found[1] if found and self.language == "python" else None


def blocks(page: Path) -> Iterator[Block]:
    """Yield the code blocks of a page, in order, those in comments `hidden` too."""
    shown = _HIDDEN.sub(lambda comment: f"\n{comment[1]}", page.read_text())
    left_out = False
    for token in MarkdownIt().parse(shown):
        if token.type == "html_block":
            left_out = bool(_NOT_RUN.fullmatch(token.content))
        elif token.type == "fence":
            assert token.map is not None
            yield Block(token.info.strip(), token.content, token.map[0] + 1, not left_out)
            left_out = False
        elif token.level == 0 and not token.type.endswith("_close"):
            left_out = False


class Session:
    """Runs the blocks of a page in a folder.

    Args:
        page: the page, for messages.
        folder: the folder, in which the process is.

    Attributes:
        namespace: what the blocks of Python have defined.
    """

    def __init__(self, page: Path, folder: Path) -> None:
        self._page = page
        self._folder = folder
        self.namespace: dict[str, Any] = {"__name__": "__main__"}
        self._printed: str | None = None

    def run(self, block: Block) -> None:
        """Run a block, or compare it with what the one before it has printed.

        Raises:
            AssertionError: it prints something else than the page shows.
            Exception: it fails.
        """
        printed, self._printed = self._printed, None
        if not block.is_run:
            _check_syntax(block, self._page)
        elif block.file_name is not None:
            (self._folder / block.file_name).write_text(block.text)
        elif block.language == "python":
            self._printed = self._execute(block)
        elif block.language == "shell":
            self._printed = _shell(block.text)
        elif block.language == "console":
            for command, expected in _session(block.text):
                _compare(expected, _shell(command), command)
        elif block.language == "text" and printed is not None:
            _compare(block.text, printed, f"line {block.line}")

    def _execute(self, block: Block) -> str:
        # With the page's own line numbers in a traceback.
        code = compile("\n" * block.line + block.text, str(self._page), "exec")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(code, self.namespace)
        return printed.getvalue()


def _shell(command: str) -> str:
    """Return what a command prints; programs of this Python's environment come first on the path.

    It has to succeed, unless it ends with a comment such as ``# exit status 2``.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        env={**os.environ, "PATH": path, "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    status = re.search(r"# exit status (\d+)$", command)
    expected = int(status[1]) if status else 0
    assert done.returncode == expected, f"$ {command}\n{done.stdout}{done.stderr}"
    return done.stdout


def _session(text: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a session, and what it is to print."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines(keepends=True)
        end = next(i for i, line in enumerate(lines) if not line.endswith("\\\n")) + 1
        yield "".join(lines[:end]).rstrip("\n"), "".join(lines[end:])


def _compare(expected: str, printed: str, where: str) -> None:
    if not expected.strip():
        return
    lines = [
        r"(?:.*\n)*?" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*?") + r"\n"
        for line in expected.strip("\n").splitlines()
    ]
    assert re.fullmatch("".join(lines), printed.strip("\n") + "\n"), (
        f"{where}\nshown:\n{expected}\nprinted:\n{printed}"
    )


def _check_syntax(block: Block, page: Path) -> None:
    if block.language == "python":
        compile(block.text, str(page), "exec")
    elif block.language in ("shell", "console"):
        text = block.text
        if block.language == "console":
            text = "\n".join(command for command, _ in _session(text))
        subprocess.run(["bash", "-n", "-c", text], check=True, timeout=SECONDS)
