"""A real Slurm of two nodes on this machine, below one folder, started and stopped by a test.

Needs Debian's packages slurmctld, slurmd, slurm-client and munge, and root: slurmd runs jobs as other users.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scancel", "sinfo", "scontrol")
NODES = ("n1", "n2")
_START_SECONDS = 30.0

_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/{gather}
JobAcctGatherFrequency=1
{memory_kill}
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=500
MaxArraySize={array_size}
MinJobAge={job_age}
KillWait=2
SlurmdTimeout=6
SlurmctldTimeout=10
InactiveLimit=0
ReturnToService=2
MpiDefault=none
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={first} CPUs={cpus} RealMemory=4000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={second} CPUs={cpus} RealMemory=4000
PartitionName=work Nodes=n1,n2 Default=YES MaxTime=60 State=UP
PartitionName=short Nodes=n1 MaxTime=1 State=UP
"""


def missing() -> str:
    """Why no Slurm can be started here; empty if one can."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None and not Path("/usr/sbin", name).exists()]
    if absent:
        return f"needs Debian's slurmctld, slurmd, slurm-client, munge ({', '.join(absent)} not found)"
    return "" if os.geteuid() == 0 else "slurmd must be started by root"


@dataclass
class SlurmCluster:
    """Two nodes `n1` and `n2` of `cpus` each, in the partitions `work` and `short` (one minute)."""

    folder: Path
    cpus: int = 2
    array_size: int = 1001
    job_age: int = 300
    """Seconds for which a job that has ended is still told."""
    memory_limits: bool = False
    _daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict, init=False)

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which the client programs find this cluster."""
        return {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}

    def __enter__(self) -> SlurmCluster:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        ports = _free_ports(3)
        (self.folder / "state").mkdir()
        for node in NODES:
            (self.folder / f"spool-{node}").mkdir()
        memory_kill = "JobAcctGatherParams=OverMemoryKill" if self.memory_limits else ""
        text = _CONF.format(
            host=socket.gethostname(), folder=self.folder, port=ports[0], first=ports[1], second=ports[2],
            cpus=self.cpus, array_size=self.array_size, job_age=self.job_age, memory_kill=memory_kill,
            gather="linux" if self.memory_limits else "none",
        )  # fmt: skip
        (self.folder / "slurm.conf").write_text(text)
        (self.folder / "munge.key").write_bytes(os.urandom(128))
        (self.folder / "munge.key").chmod(0o400)
        try:
            self._start("munged", ["munged", "--foreground", "--force", *(
                f"--{name}={self.folder}/munge.{suffix}"
                for name, suffix in (("key-file", "key"), ("socket", "socket"), ("pid-file", "pid"),
                                     ("seed-file", "seed"), ("log-file", "log"))
            )])  # fmt: skip
            self._wait("munge's socket", lambda: (self.folder / "munge.socket").exists())
            self._start("slurmctld", ["slurmctld", "-D", "-c"])
            for node in NODES:
                self.start_node(node)
            self._wait(
                "both nodes", lambda: self.run("sinfo", "-h", "-N", "-p", "work", "-o", "%t").split() == ["idle"] * 2
            )
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def run(self, *command: str) -> str:
        """What a client program prints; empty if it failed."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=30, check=False)
        return done.stdout if done.returncode == 0 else ""

    def start_node(self, node: str) -> None:
        """Start a node's slurmd."""
        self._start(node, ["slurmd", "-D", "-N", node])

    def kill_node(self, node: str) -> None:
        """Kill a node's slurmd and all that runs on it, as a node that loses its power."""
        daemon = self._daemons.pop(node)
        daemon.kill()
        daemon.wait()
        for process in self._processes_of(node):
            _kill(process)

    def queue(self) -> list[str]:
        """The names of jobs that wait or run."""
        return self.run("squeue", "-h", "-o", "%j").split()

    def wait_idle(self, seconds: float = 300.0) -> None:
        """Wait until no job waits or runs."""
        self._wait("an empty queue", lambda: not self.queue(), seconds)

    def stop(self) -> None:
        """End all jobs and daemons."""
        self.run("scancel", "--user=root")
        for node in NODES:
            if node in self._daemons:
                self.kill_node(node)
        for daemon in self._daemons.values():
            daemon.send_signal(signal.SIGTERM)
        for daemon in self._daemons.values():
            try:
                daemon.wait(5)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self._daemons.clear()

    def _processes_of(self, node: str) -> list[int]:
        """The processes of jobs on a node."""
        wanted = {f"SLURMD_NODENAME={node}".encode(), f"SLURM_CONF={self.folder}/slurm.conf".encode()}
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if wanted <= set((folder / "environ").read_bytes().split(b"\0")):
                    found.append(int(folder.name))
            except OSError:
                continue
        return found

    def _start(self, name: str, command: list[str]) -> None:
        program = shutil.which(command[0]) or f"/usr/sbin/{command[0]}"
        log = (self.folder / f"{name}.out").open("ab")
        with log:
            self._daemons[name] = subprocess.Popen(
                [program, *command[1:]], env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def _wait(self, what: str, found: object, seconds: float = _START_SECONDS) -> None:
        assert callable(found)
        deadline = time.monotonic() + seconds
        while not found():
            if time.monotonic() > deadline:
                logs = "".join(path.read_text(errors="replace")[-500:] for path in self.folder.glob("*.out"))
                raise TimeoutError(f"waited {seconds:.0f} s for {what}; {logs}")
            time.sleep(0.1)


def _kill(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
