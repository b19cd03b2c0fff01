"""The ways to install: the steps of the Dockerfile, the commands of compose.yaml, conda, releases.

No container engine is needed: the steps run in a folder, with an environment in place of the image.
"""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator

import pytest
import yaml
from pages import ROOT

IGNORED = shutil.ignore_patterns("__pycache__", ".*")


def instructions() -> Iterator[tuple[str, str]]:
    """Yield the instructions of the Dockerfile: the word and the rest."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            yield word, rest.strip()


@pytest.fixture
def image(tmp_path):
    """Run the steps of the Dockerfile; return the folder of programs, and the variables."""
    root = tmp_path / "image"
    subprocess.run([sys.executable, "-m", "venv", root / "usr"], check=True)
    variables = {"PATH": f"{root}/usr/bin:/usr/bin:/bin"}
    folder = root
    for word, rest in instructions():
        if word == "WORKDIR":
            folder = root / rest.lstrip("/")
            folder.mkdir(exist_ok=True)
        elif word == "ENV":
            variables |= dict(entry.split("=") for entry in rest.split())
        elif word == "COPY":
            assert rest == ". /src"
            for part in ("packages", "examples"):
                shutil.copytree(ROOT / part, root / "src" / part, ignore=IGNORED)
        elif word == "RUN":
            # The cache is kept, so that the test fetches little.
            command = re.sub(r"--mount=\S+|--no-cache-dir", "", rest)
            command = re.sub(r"(?<=\s)/(?=wheels)", f"{root}/", command)
            subprocess.run(command, shell=True, cwd=folder, env=variables, check=True)
    return root / "usr" / "bin", variables


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_image_has_all_mappings_and_an_mpi(image, tmp_path):
    programs, variables = image

    def output_of(*command):
        done = subprocess.run(
            [programs / "dispel4py", *command],
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "not installed" not in output_of("mappings")
    for mapping in ("mpi", "hybrid_redis", "zmq_multi"):
        results = output_of(mapping, "pipeline_test", "-i", "5", "-n", "6", "--output", "-")
        assert len(results.splitlines()) == 5
    output_of("simple", "pipeline_test", "--output", "results.parquet")


def test_workers_and_run_of_compose_find_each_other(share_work):
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert set(services) == {"server", "worker", "run"}
    for name in ("worker", "run"):
        assert set(services[name]["environment"]) == {"REDIS_URL", "D4PY_KEY"}

    assert "Outputs: {" in share_work(services["worker"]["command"], services["run"]["command"])


def test_the_page_about_installing_has_every_extra():
    project = tomllib.loads((ROOT / "packages/d4py-cli/pyproject.toml").read_text())["project"]
    page = (ROOT / "docs" / "install.md").read_text()
    rows = page.partition("| extra |")[2].partition("\n\n")[0]

    assert set(re.findall(r"`(\w+)`", rows)) >= set(project["optional-dependencies"])


def test_the_conda_environment_has_what_the_packages_require():
    project = tomllib.loads((ROOT / "packages/d4py-cli/pyproject.toml").read_text())["project"]
    fixed = tomllib.loads((ROOT / "packages/d4py-mappings-fixed/pyproject.toml").read_text())
    *packages, pip = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]

    assert f"python{project['requires-python']},<3.14" in packages
    assert set(fixed["project"]["optional-dependencies"]["mpi"]) <= set(packages)
    (requirement,) = [line for line in pip["pip"] if line.startswith("d4py-cli")]
    extras = re.fullmatch(r"d4py-cli\[([\w,]+)\]", requirement)[1].split(",")
    assert set(extras) <= set(project["optional-dependencies"])


def test_the_release_calls_targets_that_there_are():
    jobs = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]
    runs = [shlex.split(step["run"]) for step in jobs["build"]["steps"] if "run" in step]
    makefile = (ROOT / "Makefile").read_text()

    assert [".ci/run"] in runs
    targets = [word for program, *words in runs if program == "make" for word in words]
    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
