"""A Slurm cluster for tests: a controller and the daemons of three nodes, all on this host.

It takes root, and Debian's packages slurm-wlm, munge and libpmi2-0.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import MappingProxyType

from d4py_conformance.subprocesses.reserved_ports import ReservedPort
from d4py_conformance.waiting import LIMIT, wait_until

_NODES = "N1", "N2", "N3"
_PROGRAMS = "munged", "slurmctld", "slurmd", "sbatch", "srun"

#: Each node claims four cores.  Nothing binds or confines processes, as in Slurm's own defaults.
_CONFIGURATION = """
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmdParameters=config_overrides
KillWait=5
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SlurmctldPort={port}
PartitionName=main Nodes=ALL Default=YES State=UP
"""


def why_not() -> str | None:
    """Return why there can be no cluster on this host; None if there can."""
    if missing := [name for name in _PROGRAMS if shutil.which(name) is None]:
        return f"there is no {missing[0]} (Debian packages slurm-wlm, munge, libpmi2-0)"
    return None if os.geteuid() == 0 else "only root can start the daemons of Slurm"


class SlurmCluster:
    """The cluster; `stop` ends its jobs and daemons.

    Attributes:
        folder: for its files, and for those of jobs.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="d4py-slurm-"))
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_")}
        self._environment["SLURM_CONF"] = str(self.folder / "slurm.conf")
        self._daemons: list[subprocess.Popen[bytes]] = []
        self._reserved = ExitStack()
        try:
            self._begin()
        except BaseException:
            self.stop()
            raise

    def _begin(self) -> None:
        self.folder.chmod(0o755)  # munge's socket is for all
        port, *ports = (self._reserved_port() for _ in range(1 + len(_NODES)))
        lines = [_CONFIGURATION.format(folder=self.folder, port=port)]
        for name, port in zip(_NODES, ports, strict=True):
            place = f"NodeHostname={socket.gethostname()} NodeAddr=127.0.0.1 Port={port}"
            lines.append(f"NodeName={name} {place} CPUs=4\n")
            (self.folder / f"spool.{name}").mkdir()
        (self.folder / "slurm.conf").write_text("".join(lines))
        (self.folder / "state").mkdir()
        key = self.folder / "munge.key"
        key.touch(0o400)
        key.write_bytes(os.urandom(1024))
        files = [f"--{name}-file={self.folder}/munge.{name}" for name in ("pid", "log", "seed")]
        files += [f"--key-file={key}", f"--socket={self.folder}/munge.socket"]
        self._start("munged", "--foreground", "--force", *files)
        wait_until((self.folder / "munge.socket").exists, "munge's start")
        self._start("slurmctld", "-D")
        for name in _NODES:
            self._start("slurmd", "-D", "-N", name)
        wait_until(self._is_idle, "the start of all nodes")

    def _reserved_port(self) -> int:
        return self._reserved.enter_context(ReservedPort()).number

    def _start(self, *command: str) -> None:
        with (self.folder / f"{command[0]}.out").open("ab") as output:
            self._daemons.append(
                subprocess.Popen(
                    command,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            )

    def _is_idle(self) -> bool:
        return self.run("sinfo", "-h", "-N", "-o", "%T").stdout.split() == ["idle"] * len(_NODES)

    def run(
        self,
        *command: str,
        seconds: float = LIMIT,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> subprocess.CompletedProcess[str]:
        """Call a command of Slurm.

        Args:
            command: the command.
            seconds: how long it may take.
            variables: environment variables.
        """
        return subprocess.run(
            command,
            env={**self._environment, **variables},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def submit(self, script: Path, *arguments: str, options: str = "", **variables: str) -> str:
        """Submit a batch script, and return the job's id; see `output`."""
        command = "sbatch", "--parsable", "--output=%j.out", *options.split(), str(script)
        done = self.run(*command, *arguments, variables=variables)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def output(self, job: str) -> str:
        """Return what a job has printed so far."""
        with suppress(FileNotFoundError):
            return (self.folder / f"{job}.out").read_text()
        return ""

    def state(self, job: str) -> str:
        """Return the state of a job, such as ``RUNNING`` or ``COMPLETED``."""
        shown = self.run("scontrol", "show", "job", job).stdout
        return next(text for text in shown.split() if text.startswith("JobState=")).split("=")[1]

    def await_end(self, job: str, seconds: float = 90.0) -> str:
        """Wait until a job has ended; return its state."""
        active = "PENDING", "CONFIGURING", "RUNNING", "COMPLETING"
        wait_until(lambda: self.state(job) not in active, f"the end of job {job}", seconds)
        return self.state(job)

    def stop(self) -> None:
        """Stop all jobs and daemons."""
        if (self.folder / "slurmctld.out").exists():
            with suppress(subprocess.TimeoutExpired):
                self.run("scancel", "--signal=KILL", "--full", "--user=root", seconds=5)
        for daemon in reversed(self._daemons):
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self._reserved.close()
        shutil.rmtree(self.folder, ignore_errors=True)
