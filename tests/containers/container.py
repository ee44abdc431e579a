"""Real OCI containers for tests, run by crun. SPDX-License-Identifier: Apache-2.0

A container has a root of its own, read-only, with this build's devprobe at /devprobe and no more than the libraries that devprobe
is linked with (Container()), with the host's programs and libraries too (Container(host=True)), or with one static program in its
place and nothing else (Container(program=...)). Each probe() is one container; everything made for it, control groups and mounts too, is gone when it returns. Where real containers cannot be
had, require() ends the test with NOT RUN and the reason.
"""

import contextlib
import copy
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from judging import check, devprobe, evidence, finding, finish, live, not_run, require_root  # noqa: F401  (for those who import this)

CGROUPS = pathlib.Path("/sys/fs/cgroup")
UNIFIED = (CGROUPS / "cgroup.controllers").exists()
SECONDS = 50  # for one container
HOST_FOLDERS = ("usr", "etc")
# Capabilities of root in an ordinary Docker or Podman container, without those about networks.
CAPABILITIES = [f"CAP_{name}" for name in "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP SYS_CHROOT".split()]
NAMESPACES = ("pid", "mount", "ipc", "uts", "network")
# LeakSanitizer stops the process from outside, which a container may forbid; other tests look for leaks.
SANITIZERS = {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "", "TSAN_OPTIONS": ""}
NVIDIA = {"nvidiactl": (195, 255), "nvidia0": (195, 0), "nvidia-uvm": (508, 0)}


def validator():
    try:
        import jsonschema
    except ImportError:
        not_run("the Python package jsonschema is not installed (Debian: python3-jsonschema)")
    schema = json.loads((pathlib.Path(os.environ["FH_SOURCE_DIR"]) / "docs/devprobe.schema.json").read_text())
    return jsonschema.Draft7Validator(schema)


# ---- control groups ---------------------------------------------------------------------------------------------------


def hierarchies():
    """Every mounted hierarchy in which groups can be made, each once."""
    if UNIFIED:
        return [CGROUPS]
    mounts = [line.split() for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()]
    return [pathlib.Path(m[4]) for m in mounts if " - cgroup " in " ".join(m) and pathlib.Path(m[4]).is_relative_to(CGROUPS)]


def remove_group(name):
    """Ends what still runs in a group of ours, then removes it with all below it."""
    assert name.startswith("foghorn-test-")
    for top in hierarchies():
        for _ in range(100):
            folders = sorted((top / name).rglob("*/"), reverse=True) + [top / name]
            folders = [f for f in folders if f.is_dir()]
            if not folders:
                break
            for folder in folders:
                end_and_remove(folder)
            time.sleep(0.02)
        else:
            sys.exit(f"the control group {top / name} cannot be removed")


def end_and_remove(folder):
    try:
        for pid in (folder / "cgroup.procs").read_text().split():
            os.kill(int(pid), signal.SIGKILL)
        folder.rmdir()
    except OSError:
        pass  # not empty yet: the caller tries again


# ---- the root ------------------------------------------------------------------------------------------------------------


def linked_libraries(program):
    words = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout.split()
    return [pathlib.Path(word) for word in words if word.startswith("/")]


def put_program(root, program):
    shutil.copy(program, root / "devprobe")
    for library in linked_libraries(program):
        place = root / library.relative_to("/")
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, place)


def put_host(root):
    """Mount points for the host's folders, and the links that lead into them; gives the mounts."""
    for name in HOST_FOLDERS:
        (root / name).mkdir(exist_ok=True)
    for name in ("bin", "lib", "lib64", "lib32", "sbin"):
        path = pathlib.Path("/") / name
        if path.is_symlink():
            (root / name).symlink_to(os.readlink(path))
    return [bind(f"/{name}", f"/{name}", "rbind", "ro") for name in HOST_FOLDERS]


def bind(source, destination, *options):
    return {"destination": destination, "source": str(source), "type": "bind", "options": list(options) or ["bind"]}


def mount(destination, fstype, *options):
    return {"destination": destination, "source": fstype, "type": fstype, "options": list(options)}


CGROUP_MOUNT = mount("/sys/fs/cgroup", "cgroup", "nosuid", "noexec", "nodev", "ro")
USUAL_MOUNTS = [
    mount("/proc", "proc"),
    mount("/dev", "tmpfs", "nosuid", "mode=755", "size=64k"),
    mount("/tmp", "tmpfs", "nosuid", "nodev", "mode=1777", "size=16m"),
    mount("/sys", "sysfs", "nosuid", "noexec", "nodev", "ro"),
    CGROUP_MOUNT,
]


# ---- one container ----------------------------------------------------------------------------------------------------------


class Container:
    """What a container is to be; change it, then probe()."""

    def __init__(self, host=False, program=None):
        self.host = host
        self.program = program
        self.folders = ["dev", "proc", "sys", "tmp"]
        self.environment = {}
        self.user = 0
        self.groups = []  # more groups of the user
        self.mounts = copy.deepcopy(USUAL_MOUNTS)
        self.namespaces = list(NAMESPACES)
        self.resources = {"devices": [{"allow": False, "access": "rwm"}]}
        self.devices = []  # made in /dev by crun
        self.masked = []
        self.linux = {}  # more members of the section "linux" of the configuration
        self.limits = {}  # "RLIMIT_MEMLOCK": bytes
        self.files = {}  # path in the root: its bytes
        self.links = {}  # path in the root: what the link says
        self.outside = {}  # name: bytes of a file, or (major, minor, mode) of a node, kept beside the root to be mounted in
        self.parent_limits = {}  # file of cgroup v1: text, and the like of v2, written to the parent of the container's group
        self.group = f"foghorn-test-{os.getpid()}"
        self.unit = "container"  # its own control group, in that one

    def node(self, name, major, minor, mode=0o666):
        self.devices.append({"path": f"/dev/{name}", "type": "c", "major": major, "minor": minor, "fileMode": mode, "uid": 0, "gid": 0})

    def nvidia_nodes(self, mode=0o666):
        for name, (major, minor) in NVIDIA.items():
            self.node(name, major, minor, mode)

    def allow(self, major, access="rwm"):
        self.resources["devices"].append({"allow": True, "type": "c", "major": major, "access": access})

    def allow_nvidia(self):
        for major in sorted({major for major, _ in NVIDIA.values()}):
            self.allow(major)

    def refuse(self, *calls, action="SCMP_ACT_ERRNO", number=None):
        """A seccomp filter that lets everything through but these system calls."""
        rule = {"names": list(calls), "action": action} | ({} if number is None else {"errnoRet": number})
        self.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}

    def bring(self, name, content, destination, *options):
        """A file or node of the host mounted in at a destination."""
        self.outside[name] = content
        self.mounts.append(bind(f"@outside/{name}", destination, *options))

    def config(self, bundle, extra_mounts, arguments):
        capabilities = CAPABILITIES if self.user == 0 else []
        mounts = extra_mounts + self.mounts
        for entry in mounts:
            entry["source"] = entry["source"].replace("@outside", f"{bundle}/outside")
        environment = {"PATH": "/usr/bin:/bin", "TMPDIR": "/tmp", "FOGHORN_CACHE_DIR": "/tmp", "POCL_CACHE_DIR": "/tmp"}
        environment |= {name: f"{os.environ[name]}:{more}" for name, more in SANITIZERS.items() if name in os.environ}
        return {
            "ociVersion": "1.0.0",
            "process": {
                "terminal": False,
                "user": {"uid": self.user, "gid": self.user, "additionalGids": self.groups},
                "cwd": "/",
                "args": arguments,
                "env": [f"{name}={value}" for name, value in (environment | self.environment).items()],
                "noNewPrivileges": True,
                "capabilities": {kind: capabilities for kind in ("bounding", "effective", "permitted")},
                "rlimits": [{"type": name, "soft": most, "hard": most} for name, most in self.limits.items()],
            },
            "root": {"path": "root", "readonly": True},
            "hostname": "container",
            "mounts": mounts,
            "linux": {
                "namespaces": [{"type": name} for name in self.namespaces],
                "cgroupsPath": f"/{self.group}/{self.unit}",
                "resources": self.resources,
                "devices": self.devices,
                "maskedPaths": self.masked,
            }
            | self.linux,
        }

    def limit_parent(self):
        for top in hierarchies() if self.parent_limits else []:
            (top / self.group).mkdir(exist_ok=True)
            for name, text in self.parent_limits.items():
                file = top / self.group / name
                if file.exists():
                    file.write_text(text)

    def build(self, bundle, arguments):
        root = bundle / "root"
        (bundle / "outside").mkdir()
        root.mkdir()
        for name in self.folders:
            (root / name).mkdir()
        extra = put_host(root) if self.host else []
        if self.host or self.program:
            shutil.copy(self.program or devprobe(), root / "devprobe")
        else:
            put_program(root, devprobe())
        for path, content in self.files.items():
            (root / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
            (root / path.lstrip("/")).write_bytes(content)
            (root / path.lstrip("/")).chmod(0o755)
        for path, target in self.links.items():
            (root / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
            (root / path.lstrip("/")).symlink_to(target)
        (bundle / "config.json").write_text(json.dumps(self.config(bundle, extra, arguments), indent=1))

    def setup(self, bundle):
        """Shell lines, run in a mount namespace that ends with the container."""
        lines = ["set -eu", "mount --make-rprivate /"]
        if not UNIFIED and os.path.ismount(CGROUPS / "unified"):
            lines += [f"umount {CGROUPS}/unified"]  # else crun takes the machine for one with version 2
        if self.outside:
            lines += [f"mount -t tmpfs -o dev,mode=755 tmpfs {bundle}/outside"]
        for name, content in self.outside.items():
            path = bundle / "outside" / name
            if isinstance(content, bytes):
                (bundle / name).write_bytes(content)
                lines += [f"cp {bundle / name} {path}"]
            else:
                lines += [f"mknod -m {content[2]:o} {path} c {content[0]} {content[1]}"]
        return "\n".join(lines) + "\n"

    def run(self, *arguments):
        """Exit status, standard output and standard error of a program in the container."""
        bundle = pathlib.Path(tempfile.mkdtemp(prefix="foghorn-container."))
        bundle.chmod(0o755)
        crun = f"crun --root {bundle}/state --cgroup-manager=cgroupfs"
        setup, name = self.setup(bundle), f"{self.group}-{time.monotonic_ns()}"
        try:
            self.build(bundle, list(arguments))
            self.limit_parent()
            script = f"{setup}exec {crun} run --bundle {bundle} {name}"
            with subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            ) as child:
                try:
                    out, err = child.communicate(timeout=SECONDS)
                except subprocess.TimeoutExpired:
                    remove_group(self.group)  # ends the container; crun ends with it
                    child.kill()
                    out, err = child.communicate()
                    sys.exit(f"{arguments}: no end after {SECONDS} seconds\n{out}\n{err}")
            return child.returncode, out, err
        finally:
            remove_group(self.group)
            shutil.rmtree(bundle)

    @contextlib.contextmanager
    def running(self):
        """A container that stays (it needs the host's programs): gives a function that runs a program in it."""
        assert self.host
        bundle = pathlib.Path(tempfile.mkdtemp(prefix="foghorn-container."))
        bundle.chmod(0o755)
        crun, name = ["crun", "--root", f"{bundle}/state", "--cgroup-manager=cgroupfs"], f"{self.group}-{time.monotonic_ns()}"
        setup = self.setup(bundle)

        def inside(*arguments):
            command = [*crun, "exec", *(f"--env={k}={v}" for k, v in self.environment.items()), name, *arguments]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, check=False)
            return done.returncode, done.stdout, done.stderr

        try:
            self.build(bundle, ["/usr/bin/sleep", str(2 * SECONDS)])
            self.limit_parent()
            script = f"{setup}exec {' '.join(crun)} run --bundle {bundle} {name}"
            with subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as child:
                try:
                    for _ in range(100):
                        if inside("/usr/bin/true")[0] == 0:
                            break
                        time.sleep(0.1)
                    else:
                        sys.exit("a container that should stay did not start")
                    yield inside
                finally:
                    remove_group(self.group)  # ends the container; crun ends with it
                    child.wait(SECONDS)
        finally:
            remove_group(self.group)
            shutil.rmtree(bundle)

    def probe(self, *arguments):
        """What devprobe --json says in the container; it must obey the schema and agree with the exit status."""
        return report_of(*self.run("/devprobe", "--json", *arguments))


def report_of(status, out, err):
    """What devprobe --json said; it must obey the schema and agree with the exit status."""
    if status not in (0, 1):
        sys.exit(f"devprobe --json: exit status {status}\n{out}{err}")
    report = json.loads(out)
    problems = [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in validator().iter_errors(report)]
    if report["wrong"] != (status == 1):
        problems.append(f"wrong is {report['wrong']}, the exit status {status}")
    if problems:
        sys.exit("\n".join(["the report is not in order:", *problems, out]))
    return report


# ---- can it be done here? ------------------------------------------------------------------------------------------------------


def require():
    """Ends with NOT RUN where real containers with limits cannot be had."""
    program = devprobe()
    validator()
    require_root("making a container with limits and device nodes", "crun", "unshare", "ldd")
    trial = Container()
    trial.resources |= {"cpu": {"quota": 100000, "period": 100000}, "memory": {"limit": 1 << 30}}
    status, _, err = trial.run("/devprobe", "--version")
    if status != 0:
        not_run(f"crun cannot start a container with limits here: {err.strip().splitlines()[-1] if err.strip() else status}")
    return program


# ---- judging -------------------------------------------------------------------------------------------------------------------


def found(case, report, cause, confidence, *said):
    """The cause is named with this confidence, and its evidence says all this."""
    hit = finding(report, cause)
    good = hit is not None and hit["confidence"] == confidence and hit["remedy"] != []
    check(f"{case}: {cause} ({confidence})", good, report)
    for words in said:
        check(f"{case}: {words}", words in evidence(report, cause), report)
        good = good and words in evidence(report, cause)
    if good:
        live(cause)


def not_found(case, report, *causes):
    for cause in causes:
        check(f"{case}: not {cause}", finding(report, cause) is None, report)
