"""The scripts and manifests in examples/clusters: they are sound, and most run here.

The Slurm ones need a Slurm.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pages import ROOT

from d4py_examples.graph_testing import pipeline_test

CLUSTERS = ROOT / "examples" / "clusters"
OF_CI = [ROOT / ".ci" / name for name in ("run", "redis-servers", "test-redis-servers")]
SCRIPTS = sorted([*CLUSTERS.glob("*.sh"), *OF_CI])
INPUTS = '{"TestProducer0": 20}'
#: What the scripts take for the environment of d4py.
ENVIRONMENT = str(Path(sys.executable).parent.parent)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_finds_nothing(script):
    shellcheck = Path(sys.executable).parent / "shellcheck"
    done = subprocess.run([shellcheck, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_manifest_is_a_deployment_whose_worker_gets_its_secrets_by_variable():
    deployment = yaml.safe_load((CLUSTERS / "kubernetes-workers.yaml").read_text())

    assert (deployment["apiVersion"], deployment["kind"]) == ("apps/v1", "Deployment")
    template = deployment["spec"]["template"]
    assert deployment["spec"]["selector"]["matchLabels"] == template["metadata"]["labels"]
    (container,) = template["spec"]["containers"]
    assert container["command"] == ["dispel4py", "worker"]
    assert {"REDIS_URL", "D4PY_KEY"} <= {entry["name"] for entry in container["env"]}


def test_the_pbs_job_runs_a_workflow_by_mpi(programs, tmp_path):
    (tmp_path / "nodes").write_text(3 * "localhost\n")
    (tmp_path / "inputs.json").write_text(INPUTS)
    variables = {
        "D4PY_ENVIRONMENT": ENVIRONMENT,
        "INPUTS": "inputs.json",
        "PBS_JOBID": "7.server",
        # This machine may have fewer cores than the job has processes.
        "PRTE_MCA_hwloc_default_binding_policy": "none",
        "PBS_NODEFILE": str(tmp_path / "nodes"),
        "PBS_O_WORKDIR": str(tmp_path),
        "WORKFLOW": "d4py_examples.graph_testing.pipeline_test",
    }
    subprocess.run(
        ["bash", CLUSTERS / "pbs-mpi.sh"], env={**programs, **variables}, check=True, timeout=120
    )
    assert len((tmp_path / "results-7.jsonl").read_text().splitlines()) == 20


def test_workers_of_a_pbs_job_do_the_work_of_a_run(server, share_work, tmp_path):
    key = tmp_path / "run.key"
    key.write_text(server.pop("D4PY_KEY"))
    key.chmod(0o600)
    run = ["dispel4py", "hybrid_redis", "split_merge", "-i", "20", "-n", "0", "--output", "-"]
    results = share_work(
        ["bash", CLUSTERS / "pbs-workers.sh"],
        [*run, "--key-file", key],
        D4PY_ENVIRONMENT=ENVIRONMENT,
        KEY=str(key),
        NCPUS="2",
        PBS_O_WORKDIR=str(tmp_path),
    )
    assert results.count("\n") == 40


def condor_jobs(**values):
    """Return the kinds of jobs of htcondor.sub, each as HTCondor itself reads it.

    Args:
        values: of variables, as `condor_submit` gets them.
    """
    import htcondor2  # it has no wheel for macOS

    *parts, _ = re.split(r"^queue.*$", (CLUSTERS / "htcondor.sub").read_text(), flags=re.MULTILINE)
    jobs = []
    for number in range(len(parts)):
        job = htcondor2.Submit("".join(parts[: number + 1]))
        job.update(values)
        jobs.append(job)
    return jobs


@pytest.mark.skipif(sys.platform != "linux", reason="HTCondor's library is for Linux")
def test_jobs_of_htcondor_drive_a_run_and_do_its_work(server, tmp_path):
    given = {name: tmp_path / name for name in ("inputs", "key", "redis_url", "workflow")}
    given["inputs"].write_text(INPUTS)
    given["redis_url"].write_text(server.pop("REDIS_URL"))
    given["key"].write_text(server.pop("D4PY_KEY"))
    given["key"].chmod(0o600)
    shutil.copy(pipeline_test.__file__, given["workflow"].with_suffix(".py"))
    given["workflow"] = given["workflow"].with_suffix(".py")
    drive, work = condor_jobs(**{name: str(path) for name, path in given.items()})
    started = []
    # With one job of workers: another one may come when the run has ended, and wait for a next one.
    for number, job in enumerate([drive, work]):
        place = tmp_path / f"job{number}"
        place.mkdir()
        for path in job.expand("transfer_input_files").split(", "):
            shutil.copy(path, place)
        command = [CLUSTERS / job.expand("executable"), *job.expand("arguments").split()]
        environment = {**server, "D4PY_ENVIRONMENT": ENVIRONMENT}
        started.append(subprocess.Popen(command, env=environment, cwd=place))
    try:
        assert [process.wait(120) for process in started] == [0, 0]
    finally:
        for process in started:
            process.kill()
    assert len((tmp_path / "job0" / "results.jsonl").read_text().splitlines()) == 20
