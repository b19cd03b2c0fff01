"""Finds in the source of a workflow what is gone or changed; nothing of the workflow is executed.

Names that it takes from dispel4py are looked up in the dispel4py that is installed, so there is no
list of them to keep.
"""

from __future__ import annotations

import ast
from importlib import import_module
from importlib.util import decode_source
from pathlib import Path
from typing import NamedTuple

from d4py_cli.migration.advice import PYTHON_2, advice_for

_PACKAGE = "dispel4py"
#: Where names of modules that are gone may be now.
_MODULES = ("dispel4py", "dispel4py.core", "dispel4py.base", "dispel4py.workflow_graph")
_ENCODING = "save it in UTF-8, or begin it with its encoding, such as: # coding: latin-1"
_NUMBERS = "PEs of a composite are numbered where it joined the graph: look at ids with check"


class Finding(NamedTuple):
    """Something that a workflow uses.

    Attributes:
        path: the file.
        line: the number of the line.
        what: what is gone or changed.
        instead: what to write.
        is_gone: the workflow fails with it.
    """

    path: Path
    line: int
    what: str
    instead: str
    is_gone: bool = True


def find(path: Path) -> list[Finding]:
    """Return what a workflow, and the files beside it that it imports, use that is gone or changed.

    Args:
        path: the workflow's file.

    Raises:
        OSError: it cannot be read.
    """
    found: list[Finding] = []
    waiting, seen = [path], {path}
    while waiting:
        current = waiting.pop(0)
        source = current.read_bytes()
        try:
            decode_source(source)  # Python parses some of what it does not import
        except (SyntaxError, UnicodeDecodeError):
            found.append(Finding(current, 1, "no Python 3: the text is not UTF-8", _ENCODING))
            continue
        try:
            tree = ast.parse(source, str(current))
        except SyntaxError as error:
            instead = "correct it; for Python 2, `2to3 -w FILE` of Python 3.12 or older helps"
            line = error.lineno or 1
            found.append(Finding(current, line, f"no Python 3: {error.msg}", instead))
            continue
        file = _File(current)
        file.visit(tree)
        found += sorted(file.findings, key=lambda finding: finding.line)
        for module in file.modules:
            beside = current.parent / f"{module}.py"
            if beside not in seen and beside.is_file():
                seen.add(beside)
                waiting.append(beside)
    return found


class _File(ast.NodeVisitor):
    """Collects what one file uses.

    Attributes:
        findings: what is gone or changed.
        modules: names of modules that it imports, which may lie beside it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._aliases: dict[str, str] = {}  # name in the file → module of dispel4py
        self.findings: list[Finding] = []
        self.modules: list[str] = []

    def visit_Import(self, node: ast.Import) -> None:
        """Look modules up."""
        for name in node.names:
            if _is_ours(name.name):
                self._aliases[name.asname or name.name] = name.name
                self._check(node, name.name)
            else:
                self._check_other(node, name.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Look names up."""
        module = node.module or ""
        if not _is_ours(module):
            for other in [module] if module else [name.name for name in node.names]:
                self._check_other(node, other)
            return
        for name in node.names:
            full = f"{module}.{name.name}"
            if name.name == "*" or (not _exists(module) and _moved_to(full) is None):
                self._check(node, module)
            else:
                self._aliases[name.asname or name.name] = full
                self._check(node, full)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Look up what is read from a module of dispel4py."""
        module = self._aliases.get(ast.unparse(node.value))
        if module is not None and _exists(module) and not _is_class(module):
            self._check(node, f"{module}.{node.attr}")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """Look at calls that do something else than they did."""
        name = ast.unparse(node.func).rpartition(".")[2]
        if name == "flatten" and isinstance(node.func, ast.Attribute) and not node.args:
            instead = "flat = graph.flatten(): the graph itself stays as it is"
            self._add(node, "flatten() returns a new graph", instead)
        elif name in ("CompositePE", "create_iterative_chain"):
            self._add(node, f"ids with {name}", _NUMBERS)
        elif name == "write" and _is_self(node.func):
            for keyword in node.keywords:
                if keyword.arg in ("metadata", "location", "dep", "format"):
                    what = f"{keyword.arg}= of write() is not used"
                    self._add(node, what, "put it into the item, or leave it out")
        self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Look at subclasses of composites."""
        if any(ast.unparse(base).rpartition(".")[2] == "CompositePE" for base in node.bases):
            self._add(node, f"ids with {node.name}", _NUMBERS)
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        """Look for writers, which tests of PEs used to set on outputs."""
        key = node.slice
        is_writer = isinstance(key, ast.Constant) and key.value == "writer"
        if is_writer or (isinstance(key, ast.Name) and key.id == "WRITER"):
            instead = (
                "self.write(output, item) in a PE; dispel4py.testing.feed(pe, items) in a test"
            )
            self._add(node, "outputs have no 'writer' in a run", instead)
        self.generic_visit(node)

    def _check(self, node: ast.stmt | ast.expr, name: str) -> None:
        if not _exists(name):
            advice = advice_for(name, _moved_to(name))
            self.findings.append(Finding(self._path, node.lineno, name, advice))

    def _check_other(self, node: ast.stmt, module: str) -> None:
        """Look at a module that is not of dispel4py, and may lie beside this file."""
        if module in PYTHON_2:
            now = PYTHON_2[module]
            self.findings.append(Finding(self._path, node.lineno, module, f"{now} of Python 3"))
        else:
            self.modules.append(module)

    def _add(self, node: ast.stmt | ast.expr, what: str, instead: str) -> None:
        self.findings.append(Finding(self._path, node.lineno, what, instead, is_gone=False))


def _is_ours(module: str) -> bool:
    return module == _PACKAGE or module.startswith(f"{_PACKAGE}.")


def _is_self(function: ast.expr) -> bool:
    """Return whether a function is a method of ``self``."""
    return isinstance(function, ast.Attribute) and ast.unparse(function.value) == "self"


def _moved_to(name: str) -> str | None:
    """Return the module that has the last part of a name now; None if there is none."""
    attribute = name.rpartition(".")[2]
    return next((module for module in _MODULES if _exists(f"{module}.{attribute}")), None)


def _exists(name: str) -> bool:
    """Return whether a module, or a name in a module, is there."""
    return _lookup(name) is not None


def _is_class(name: str) -> bool:
    """Return whether a name is that of a class, whose attributes are not looked at."""
    found = _lookup(name)
    return found is not None and isinstance(found[0], type)


def _lookup(name: str) -> tuple[object] | None:
    """Return the object of a full name, in a tuple, since it may be None."""
    try:
        return (import_module(name),)
    except ImportError:
        parent, _, attribute = name.rpartition(".")
    if not parent:
        return None
    found = _lookup(parent)
    if found is None or not hasattr(found[0], attribute):
        return None
    return (getattr(found[0], attribute),)
