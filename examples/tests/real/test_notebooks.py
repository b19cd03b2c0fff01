"""The notebooks run from the first cell to the last, in a kernel of their own."""

from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
NAMES = ["first_steps", "galaxies", "grids", "seismology", "sensors", "sentiment"]


def test_there_is_a_test_for_each_notebook():
    assert sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")) == NAMES


@pytest.fixture
def execute(tmp_path, monkeypatch):
    """Return a function that executes a notebook, and returns it with its outputs."""
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))

    def execute_notebook(name):
        notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
        nbformat.validate(notebook)
        client = NotebookClient(notebook, timeout=200, resources={"metadata": {"path": tmp_path}})
        return client.execute()

    return execute_notebook


@pytest.mark.timeout(300)  # a kernel and its workers import large libraries
@pytest.mark.parametrize("name", NAMES)
def test_notebook_runs(execute, name):
    notebook = execute(name)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert "google.colab" in code[0].source
    assert "%pip install" in code[0].source
    kinds = {kind for cell in code for output in cell.outputs for kind in output.get("data", {})}
    assert name == "first_steps" or "image/png" in kinds


@pytest.mark.parametrize("name", NAMES)
def test_notebook_is_kept_without_outputs(name):
    assert '"outputs": []' in (NOTEBOOKS / f"{name}.ipynb").read_text()
    assert '"output_type"' not in (NOTEBOOKS / f"{name}.ipynb").read_text()
