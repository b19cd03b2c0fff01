"""Loading of workflows from files and modules, and the choice of the graph in them.

A file is imported once as a module of its own name, or of a similar name where that is taken, so
that its classes can be pickled and it hides no installed module.  `source_of` and `restore_module`
transfer such a module to a process that cannot import it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.machinery import PathFinder, SourceFileLoader
from importlib.util import decode_source, find_spec, module_from_spec, spec_from_file_location
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, NamedTuple

from dispel4py.core import GenericPE
from dispel4py.errors import WorkflowLoadError, name_list
from dispel4py.import_failures import import_failure
from dispel4py.object_types import is_of_type
from dispel4py.workflow_graph import WorkflowGraph, all_graphs

if TYPE_CHECKING:
    from pathlib import Path

#: Package in which a name is searched if there is no such file or module.
EXAMPLES = "d4py_examples.graph_testing"


class Origin(NamedTuple):
    """The names of a module and of a graph in it, by which another process finds the graph."""

    module: str
    graph: str


class LoadedWorkflow(NamedTuple):
    """A module that was imported to get a graph.

    Attributes:
        target: the file or module that was asked for.
        module: the module; ``sys.modules[module.__name__]``.
        is_example: there is no such file or module, so the example of that name was loaded.
    """

    target: str
    module: ModuleType
    is_example: bool = False

    def graph(self, attr: str | None = None) -> WorkflowGraph:
        """Return the graph with a name, or the only one at module level.

        Graphs inside other graphs do not count; composites (graphs with ports) count only if there
        is no other graph.

        Args:
            attr: name of the variable; None for the only graph.

        Raises:
            WorkflowLoadError: there is no such graph, or there are several.
        """
        graphs = {
            name: value
            for name, value in vars(self.module).items()
            if is_of_type(value, WorkflowGraph)
        }
        if attr is not None:
            return self._graph_named(attr, graphs)
        names = _outer_graphs(graphs)
        if not names:
            raise WorkflowLoadError(
                f"there is no WorkflowGraph in {self.target}; create one at module level,"
                " outside of functions and of if __name__ == '__main__': graph = WorkflowGraph()"
            )
        if len(names) > 1:
            raise WorkflowLoadError(
                f"there are {len(names)} graphs in {self.target}: {name_list(names)};"
                f" choose one by name, such as: -a {names[0]}"
            )
        return graphs[names[0]]

    def origin(self, graph: WorkflowGraph) -> Origin | None:
        """Return where another process finds a graph; None if no variable of the module has it."""
        found = (name for name, value in vars(self.module).items() if value is graph)
        return next((Origin(self.module.__name__, name) for name in found), None)

    def _graph_named(self, attr: str, graphs: dict[str, WorkflowGraph]) -> WorkflowGraph:
        if attr in graphs:
            return graphs[attr]
        value = getattr(self.module, attr, None)
        if is_of_type(value, WorkflowGraph):  # from a __getattr__ of the module
            return value
        known = f"(graphs: {name_list(list(graphs))})"
        if hasattr(self.module, attr):
            kind = type(value).__name__
            raise WorkflowLoadError(
                f"{attr!r} in {self.target} is of type {kind}, not a graph {known}"
            )
        raise WorkflowLoadError(f"there is no {attr!r} in {self.target} {known}")


def _outer_graphs(graphs: dict[str, WorkflowGraph]) -> list[str]:
    """Return a name for each graph outside other graphs; without composites if there are others."""
    inside = {id(part) for graph in graphs.values() for part in all_graphs(graph)[1:]}
    found: dict[int, str] = {}
    for name, graph in graphs.items():
        if id(graph) not in inside:
            found.setdefault(id(graph), name)
    names = list(found.values())
    plain = [n for n in names if not (graphs[n].inputmappings or graphs[n].outputmappings)]
    return plain or names


class _Source(NamedTuple):
    name: str
    text: str
    filename: str


_SOURCES: dict[str, _Source] = {}
#: Code of the modules that were restored here, by name; see `release_graphs`.
_EXECUTED: dict[str, CodeType] = {}


def load_graph(target: str, attr: str | None = None) -> WorkflowGraph:
    """Return the graph of a workflow; see `load_module` and `LoadedWorkflow.graph`.

    Raises:
        WorkflowLoadError: there is no such workflow or graph.
    """
    return load_module(target).graph(attr)


def load_module(target: str) -> LoadedWorkflow:
    """Import a workflow: a file, a module, or else the example with that name.

    A file that was loaded before and has not changed is not imported again.  As for a script, the
    file's folder (for a module, the current one) is added to ``sys.path``.

    Args:
        target: a file's path, with or without ``.py``, or a module's name.

    Raises:
        WorkflowLoadError: there is no such workflow, or its import failed; `user_traceback` has
            the traceback.
    """
    target = os.fspath(target)
    for path in (target, f"{target}.py"):
        if path.endswith(".py") and os.path.isfile(path):
            return LoadedWorkflow(target, _load_file(target, os.path.realpath(path)))
    if not target.endswith(".py"):
        _make_importable(os.getcwd())
        if _module_exists(target):
            return LoadedWorkflow(target, _import(target, target))
        if os.path.isfile(target) and os.path.splitext(target)[1] in ("", "."):
            return LoadedWorkflow(target, _load_file(target, os.path.realpath(target)))
    example = target.removesuffix(".py")
    if example.isidentifier() and _module_exists(f"{EXAMPLES}.{example}"):
        module = _import(target, f"{EXAMPLES}.{example}")
        return LoadedWorkflow(target, module, is_example=True)
    raise WorkflowLoadError(f"no workflow {target!r}: {_why_missing(target)}")


def names_workflow(target: str) -> bool:
    """Return whether a word is the name of a workflow file or an example; imports no workflow."""
    files = (target, f"{target}.py", f"{target.replace('.', os.sep)}.py")
    if target.endswith(".py") or any(os.path.isfile(path) for path in files):
        return True
    return target.isidentifier() and _module_exists(f"{EXAMPLES}.{target}")


def source_of(module_name: str) -> tuple[str, str, str] | None:
    """Return name, source and file name of a module that was loaded from a file; else None."""
    return _SOURCES.get(module_name)


def loaded_sources() -> Sequence[tuple[str, str, str]]:
    """Return `source_of` every module that was loaded from a file.

    A graph may need any of them: a `SimpleFunctionPE` refers to a function of the workflow's
    module, and items may be instances of its classes.
    """
    return list(_SOURCES.values())


def release_graphs() -> None:
    """Delete the graphs and PEs in modules that were restored in this process, to free memory.

    A worker gets its PEs from the plan.  Objects that a function refers to by name are kept.
    """
    used = {name for code in _EXECUTED.values() for name in _names_in_functions(code)}
    for module in _EXECUTED:
        names = vars(sys.modules[module])
        for name in [*names]:
            if name not in used and is_of_type(names[name], GenericPE | WorkflowGraph):
                del names[name]
    _EXECUTED.clear()


def _names_in_functions(code: CodeType) -> Iterator[str]:
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from inner.co_names
            yield from _names_in_functions(inner)


def restore_module(name: str, source: str, filename: str) -> ModuleType:
    """Restore a module in this process from what `source_of` returned in another one.

    Does nothing if the same module exists already.
    """
    known = _SOURCES.get(name)
    if known == (name, source, filename) and name in sys.modules:
        return sys.modules[name]
    module = _execute(_Source(name, source, filename))
    _EXECUTED[name] = compile(source, filename, "exec", dont_inherit=True)
    return module


class _TextLoader(SourceFileLoader):
    """A loader of a source text in memory, which `linecache` and `inspect` can read."""

    def __init__(self, source: _Source) -> None:
        super().__init__(source.name, source.filename)
        self._text = source.text

    def get_source(self, fullname: str) -> str:
        return self._text


def _load_file(target: str, filename: str) -> ModuleType:
    try:
        with open(filename, "rb") as file:
            text = decode_source(file.read())
    except OSError as error:
        raise WorkflowLoadError(f"cannot read {target}: {error.strerror}") from error
    except (SyntaxError, UnicodeDecodeError) as error:
        error.__context__ = None  # nor does the traceback have code of the user's
        raise import_failure(target, error.with_traceback(None), __name__) from error
    for source in _SOURCES.values():
        if source.filename == filename:
            if source.text == text and source.name in sys.modules:
                return sys.modules[source.name]
            name = source.name
            break
    else:
        name = _module_name(filename)
        if name in sys.modules:  # imported by an import statement before
            return sys.modules[name]
    try:
        return _execute(_Source(name, text, filename))
    except BaseException as error:
        raise import_failure(target, error, __name__) from error


def _execute(source: _Source) -> ModuleType:
    # Where the file has the name of another module, that module must come first on the path.
    folder = os.path.dirname(source.filename)
    _make_importable(folder, first=source.name == _plain_name(source.filename))
    spec = spec_from_file_location(source.name, source.filename, loader=_TextLoader(source))
    assert spec is not None
    module = module_from_spec(spec)
    before = sys.modules.get(source.name)
    sys.modules[source.name] = module
    try:
        exec(compile(source.text, source.filename, "exec", dont_inherit=True), vars(module))
    except BaseException:
        if before is None:
            del sys.modules[source.name]
        else:
            sys.modules[source.name] = before
        raise
    _SOURCES[source.name] = source
    return module


def _import(target: str, name: str) -> ModuleType:
    try:
        __import__(name)  # unlike importlib.import_module leaves no frames of its own in tracebacks
    except BaseException as error:
        raise import_failure(target, error, __name__) from error
    return sys.modules[name]


def _module_exists(name: str) -> bool:
    if not all(part.isidentifier() for part in name.split(".")):
        return False
    try:
        spec = find_spec(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            return False
        raise import_failure(name, error, __name__) from error
    except ValueError:  # in sys.modules without a spec, such as __main__
        return False
    except BaseException as error:  # a package around it raised
        raise import_failure(name, error, __name__) from error
    # A folder without __init__.py (namespace package) is no workflow.
    return spec is not None and (spec.origin is not None or not spec.submodule_search_locations)


def _module_name(filename: str) -> str:
    """Return a name for the module, the same in every process that loads the same files."""
    plain = name = _plain_name(filename)
    number = 1
    while _is_taken(name, filename):
        name = f"{plain}_workflow{number if number > 1 else ''}"
        number += 1
    return name


def _plain_name(filename: str) -> str:
    # Pickle takes a dot in a module's name for a package.
    stem = os.path.splitext(os.path.basename(filename))[0]
    return "".join(c if c.isalnum() else "_" for c in stem)


def _is_taken(name: str, filename: str) -> bool:
    if name in sys.modules:
        other = getattr(sys.modules[name], "__file__", None)
        return name == "__main__" or other is None or os.path.realpath(other) != filename
    if name in sys.stdlib_module_names:
        return True
    folder = os.path.dirname(filename)
    spec = PathFinder.find_spec(name, [p for p in sys.path if os.path.realpath(p) != folder])
    return spec is not None and spec.origin is not None


def _make_importable(folder: str, *, first: bool = True) -> None:
    on_path = [entry for entry in sys.path if os.path.realpath(entry) == os.path.realpath(folder)]
    if first and not on_path:
        sys.path.insert(0, folder)
    elif not first:
        sys.path[:] = [entry for entry in sys.path if entry not in on_path] + [folder]


def _why_missing(target: str) -> str:
    from pathlib import Path  # slow to import, and only errors need it

    if not target:
        return "the name is empty"
    for name in (target, f"{target}.py"):
        if os.path.islink(name) and not os.path.exists(name):
            return f"{name} is a link to {os.readlink(name)!r}, which is not there"
    path = Path(target)
    try:
        if path.is_dir():
            return f"it is a folder (Python files in it: {name_list(_python_files(path))})"
        if path.exists():
            return _why_no_file(path, target)
        if not path.parent.is_dir():
            return f"there is no folder {str(path.parent)!r}"
        stem = path.name.removesuffix(".py")
        alike = [p.name for p in path.parent.iterdir() if p.stem == stem and p.is_file()]
        if alike:
            return f"there is {name_list(sorted(alike))}, but a workflow is a .py file"
        return _suggestion(path, stem)
    except OSError as error:  # a folder that cannot be read, a name that is too long
        return error.strerror or str(error)


def _why_no_file(path: Path, target: str) -> str:
    """Return why something that exists, and is no folder, is no workflow."""
    if not path.is_file():
        return "a workflow is a Python file or module, and this is a pipe or a device"
    if target.endswith(os.sep):
        return f"it is a file; write {str(path)!r}"
    kind = f"a {path.suffix} file" if path.suffix else "a file"
    return f"a workflow is a Python file or module, and this is {kind}"


def _suggestion(path: Path, stem: str) -> str:
    """Return that there is no workflow with a name, and which names are similar."""
    from difflib import get_close_matches  # slow to import, and only errors need it

    files, examples = _python_files(path.parent), []
    if len(path.parts) < 2:
        examples = _example_names()
    near = get_close_matches(stem, [*(f.removesuffix(".py") for f in files), *examples], n=3)
    why = "there is no such file, module or example" if examples else "there is no such file"
    if near:
        return f"{why}; did you mean {' or '.join(map(repr, near))}?"
    return f"{why} (Python files there: {name_list(files)})" if files else why


def _python_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.py"))


def _example_names() -> list[str]:
    from pkgutil import iter_modules

    spec = find_spec(EXAMPLES) if _module_exists(EXAMPLES) else None
    folders: Iterable[str] = (spec and spec.submodule_search_locations) or ()
    return sorted(m.name for m in iter_modules(list(folders)) if not m.name.startswith("_"))
