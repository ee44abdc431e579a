"""The examples of docs/require.md: read by what reads them elsewhere, and their commands run, as far as that can be done here.
SPDX-License-Identifier: Apache-2.0
TEST: timeout=180
Docker, Kubernetes and Slurm are not here: their commands are run as those would run them, in this process's own environment and on a
recorded machine. systemd's units are checked by systemd-analyze where it is installed."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(os.environ["FH_SOURCE_DIR"])
PAGE = ROOT / "docs/require.md"
GOOD, BAD = "k8s-gpu", "cr-cgroup-lost"


def examples():
    """{file name: text} of the blocks after <!-- file: NAME -->."""
    found = re.findall(r"<!-- file: (\S+) -->\n```\w*\n(.*?)\n```\n", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(found) == len(dict(found)) >= 7, found
    return dict(found)


class Programs:
    """A PATH with this build's devprobe, looking at a recorded machine, and programs that only say that they were started."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("service", "train", "srun"):
            self.put(name, f'#!/bin/sh\necho "{name} $*"\n')
        # Slurm's srun starts the command that follows its options.
        self.put("srun", '#!/bin/sh\nwhile [ "${1#--}" != "$1" ]; do shift; done\nexec "$@"\n')
        self.machine(GOOD)

    def put(self, name, text):
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o755)

    def machine(self, name):
        """What devprobe sees from now on. The subcommand keeps its place, the snapshot is added."""
        box = ROOT / "tests/machines" / name
        self.put("devprobe", f'#!/bin/sh\ncommand=$1; shift\nexec "{os.environ["DEVPROBE"]}" "$command" --from "{box}" "$@"\n')

    def run(self, command, **variables):
        environment = {"PATH": f"{self.folder}:/usr/bin:/bin", "LC_ALL": "C.UTF-8", **variables}
        return subprocess.run(command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                              check=False)


def faster(command):
    """What is waited for is there or never comes: no test should take a minute."""
    return ["1" if before == "--wait" else word for before, word in zip([""] + command, command)]


def starts(programs, command, says, **variables):
    """With the GPU the program runs; without it does not, and the cause is told."""
    programs.machine(GOOD)
    done = programs.run(faster(command), **variables)
    assert done.returncode == 0 and done.stdout.strip() == says, (command, done)
    programs.machine(BAD)
    done = programs.run(faster(command), **variables)
    assert done.returncode == 1 and says not in done.stdout and BAD.upper() in done.stdout + done.stderr, (command, done)


def checks(programs, command):
    """A health check: silent, and the exit status answers."""
    programs.machine(GOOD)
    assert programs.run(command).returncode == 0
    programs.machine(BAD)
    done = programs.run(command)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", ""), (command, done)


def test_dockerfile(programs, text):
    lines = dict(re.match(r"(ENTRYPOINT|CMD|HEALTHCHECK)\s+(.*)$", line).groups()
                 for line in text.splitlines() if re.match(r"ENTRYPOINT|CMD|HEALTHCHECK", line))
    starts(programs, json.loads(lines["ENTRYPOINT"]) + json.loads(lines["CMD"]), "service --port 8080")
    checks(programs, json.loads(lines["HEALTHCHECK"].split(" CMD ")[1]))


def test_compose(programs, text, yaml):
    service = yaml.safe_load(text)["services"]["service"]
    kind, *command = service["healthcheck"]["test"]
    assert kind == "CMD" and service["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]
    checks(programs, command)


def test_pod(programs, text, yaml):
    container = yaml.safe_load(text)["spec"]["containers"][0]
    starts(programs, container["command"] + container["args"], "service --port 8080")
    probe = container["livenessProbe"]
    checks(programs, probe["exec"]["command"])
    assert probe["timeoutSeconds"] > 10, "devprobe may take its --timeout, and is then killed by the kubelet"
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1


def test_slurm(programs, examples_):
    for name in ("job.sh", "prolog.sh"):
        (programs.folder / name).write_text(examples_[name])
        assert subprocess.run(["sh", "-n", programs.folder / name], check=False).returncode == 0
    starts(programs, ["sh", "job.sh"], "train --epochs 10", SLURM_JOB_GPUS="0")
    programs.machine(BAD)
    prolog = examples_["prolog.sh"].replace("--wait 30", "--wait 1")
    (programs.folder / "prolog.sh").write_text(prolog)
    assert programs.run(["sh", "prolog.sh"], SLURM_JOB_GPUS="0").returncode == 1
    assert programs.run(["sh", "prolog.sh"], SLURM_JOB_GPUS="").returncode == 0, "a job without GPUs is none of its business"


def test_workflow(programs, text, yaml):
    steps = [step["run"].split() for step in yaml.safe_load(text)["jobs"]["gpu"]["steps"]]
    programs.machine(BAD)
    done = programs.run(steps[0])
    assert done.returncode == 1 and done.stdout.startswith("::error "), done
    assert programs.run(steps[1]).returncode == 0 and (programs.folder / "devprobe.xml").read_text().startswith("<?xml")


def commands_of(unit):
    return [line.split("=", 1)[1].split() for line in unit.splitlines() if line.startswith(("ExecStartPre=", "ExecStart="))]


def test_units(programs, examples_):
    units = {name: text for name, text in examples_.items() if name.endswith(".service")}
    first = commands_of(units["foghorn-example.service"])[0]
    assert first[0] == "/usr/bin/devprobe"
    for machine, status in ((GOOD, 0), (BAD, 1)):
        programs.machine(machine)
        assert programs.run(faster(["devprobe", *first[1:]])).returncode == status
    if not shutil.which("systemd-analyze"):
        print("not run: the units by systemd-analyze, which is not installed")
        return
    for name, text in units.items():
        # The unit names devprobe where a package puts it, and other units that need not be here.
        checked = programs.folder / name
        checked.write_text(re.sub(r"^After=.*\n", "", text.replace("/usr/bin/devprobe", str(programs.folder / "devprobe")), flags=re.MULTILINE))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(checked)], capture_output=True, text=True, timeout=60, check=False)
        told = [line for line in done.stderr.splitlines() if name in line]
        assert done.returncode == 0 and not told, done.stderr


def main():
    if not os.environ.get("DEVPROBE"):
        print("NOT RUN: devprobe is not part of this build")
        sys.exit(77)
    try:
        import yaml
    except ImportError:
        print("NOT RUN: the Python package yaml is not installed (Debian: python3-yaml)")
        sys.exit(77)
    found = examples()
    with tempfile.TemporaryDirectory() as folder:
        programs = Programs(pathlib.Path(folder))
        test_dockerfile(programs, found["Dockerfile"])
        test_compose(programs, found["compose.yaml"], yaml)
        test_pod(programs, found["pod.yaml"], yaml)
        test_slurm(programs, found)
        test_workflow(programs, found["workflow.yaml"], yaml)
        test_units(programs, found)


if __name__ == "__main__":
    main()
