"""The static devprobe in roots that have nothing, musl, or just enough of glibc; and devprobe without a shell. SPDX-License-Identifier: Apache-2.0
TEST: label=full timeout=300 cross=no serial=yes"""

import json
import os
import pathlib
import platform
import shutil
import subprocess
import tempfile

from container import NVIDIA, Container, check, devprobe, evidence, finding, finish, linked_libraries, live, mount, not_run, require, validator

if not os.environ.get("DEVPROBE_STATIC"):
    not_run("the static devprobe is not part of this build (Debian: musl-dev)")
require()
STATIC = pathlib.Path(os.environ["DEVPROBE_STATIC"])
BUILD = pathlib.Path(os.environ["FH_BINARY_DIR"])
NOBODY = 65534
MACHINE = platform.machine()
MUSL = pathlib.Path(f"/lib/ld-musl-{MACHINE}.so.1")
GLIBC = {"x86_64": "/lib64/ld-linux-x86-64.so.2", "aarch64": "/lib/ld-linux-aarch64.so.1"}[MACHINE]
NO_GLIBC = "no glibc in this image, so drivers cannot be loaded"
LIBCUDA = BUILD / "tests/fakes/libcuda.so.1"


def answers(case, box, *arguments):
    report = box.probe(*arguments)  # demands exit status 0 or 1 and JSON that obeys the schema
    cpu = report["devices"][0]
    check(f"{case}: the CPU is usable", cpu["id"] == "cpu:0" and cpu["usable"], report)
    check(f"{case}: no GPU made up", not any(d["usable"] and d["kind"] == "gpu" for d in report["devices"]), report)
    return report


def why(report, question):
    return next((u["why"] for u in report["unasked"] if u["question"] == question), None)


def keep(box, *destinations):
    box.mounts = [m for m in box.mounts if m["destination"] in destinations]


# ---- an empty root: FROM scratch, and the one file --------------------------------------------------------------------------

for user in (0, NOBODY):
    for kept in ((), ("/proc",), ("/sys",), ("/proc", "/dev", "/tmp", "/sys", "/sys/fs/cgroup")):
        box = Container(program=STATIC)
        box.user = user
        box.folders = ["dev"]  # crun itself needs it
        keep(box, *kept)
        case = f"empty root, user {user}, mounts {' '.join(kept) or 'none'}"
        report = answers(case, box)
        check(f"{case}: nothing is wrong", not report["wrong"] and report["verdict"] == "OK", report)
        check(f"{case}: no budget made up", "/proc" in kept or (report["memory"]["total_bytes"] is None and report["cpu"]["quota"] is None), report)
        check(f"{case}: instruction sets were tried", all(s["proven"] is not None for s in report["cpu"]["isas"]), report)
        check(f"{case}: cores are known just where the kernel shows them", (report["cpu"]["cores"] is None) == ("/sys" not in kept), report)
    for covered in ("/proc", "/sys"):
        box = Container(program=STATIC)
        box.user = user
        for entry in box.mounts:
            if entry["destination"] == covered:
                entry |= mount(covered, "tmpfs", "ro", "size=4k")
        keep(box, "/proc", "/dev", "/tmp", "/sys")
        report = answers(f"empty root, user {user}, {covered} covered by a tmpfs", box)
        check(f"{covered} covered: nothing is wrong", not report["wrong"], report)

# The same without crun, which makes a few devices in every /dev: a root with one file and no folder at all.
with tempfile.TemporaryDirectory(prefix="foghorn-static.") as root:
    pathlib.Path(root).chmod(0o755)
    shutil.copy(STATIC, f"{root}/devprobe")
    for user in (0, NOBODY):
        alone = ["unshare", "--mount", "--pid", "--fork", "--net", "--ipc", "chroot", f"--userspec={user}:{user}", root, "/devprobe"]
        done = subprocess.run([*alone, "--json"], capture_output=True, text=True, timeout=50, env={"PATH": "/bin:/usr/bin:/usr/sbin:/sbin"})
        seen = {"status": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
        check(f"a root with one file, user {user}", done.returncode == 0 and done.stdout.startswith("{"), seen)
        problems = list(validator().iter_errors(json.loads(done.stdout or "{}")))
        check(f"a root with one file, user {user}: the schema", not problems, [p.message for p in problems])
        done = subprocess.run(
            [*alone, "require", "gpu"], capture_output=True, text=True, timeout=50, env={"PATH": "/bin:/usr/bin:/usr/sbin:/sbin"}, stdin=None, close_fds=True
        )
        check(f"a root with one file, user {user}: require", done.returncode == 1 and "unmet" in done.stdout, done.stdout + done.stderr)

# ---- a GPU passed into an image without any C library --------------------------------------------------------------------------


def with_gpu(box):
    """As far as files go. The nodes are those of /dev/null, which every container may open."""
    box.environment["NVIDIA_VISIBLE_DEVICES"] = "all"
    for name in NVIDIA:
        box.node(name, 1, 3)
    box.allow(1)


if LIBCUDA.exists():
    for user in (0, NOBODY):
        box = Container(program=STATIC)
        box.user = user
        with_gpu(box)
        box.files["/usr/lib64/libcuda.so.1"] = LIBCUDA.read_bytes()
        report = answers("no C library", box)
        check("no C library: says why drivers were not asked", why(report, "cuda") == NO_GLIBC, report)
        check("no C library: no cause is made up", report["findings"] == [] or report["findings"][0]["severity"] == "info", report)
        gpu = [d for d in report["devices"] if d["backend"] == "cuda"]
        check("no C library: the GPU was not asked", gpu and all(not d["usable"] and d["detail"] == "the driver was not asked" for d in gpu), report)
        status, out, err = box.run("/devprobe")
        check("no C library: on the screen", "unasked   cuda" in out and "no glibc in this image" in " ".join(out.split()), {"out": out})
else:
    print("NOT RUN: a GPU in an image without a C library: the stand-in libcuda is not built")

# ---- Alpine ---------------------------------------------------------------------------------------------------------------------


def alpine(**files):
    box = Container(program=STATIC)
    box.folders += ["usr"]
    box.files = {
        str(MUSL): MUSL.read_bytes(),
        "/etc/alpine-release": b"3.20.3\n",
        "/etc/os-release": b'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.20.3\n',
    } | files
    return box


if not MUSL.exists() or not LIBCUDA.exists():
    print(f"NOT RUN: Alpine: {MUSL} (Debian: musl) or the stand-in libcuda is missing")
else:
    report = answers("Alpine without a GPU", alpine())
    check("Alpine without a GPU: nothing is wrong", not report["wrong"] and not finding(report, "CR-MUSL"), report)
    library = LIBCUDA.read_bytes()
    for place, confidence in (("/usr/lib/libcuda.so.1", "proven"), ("/usr/lib64/libcuda.so.1", "consistent")):
        for user in (0, NOBODY):
            box = alpine()
            box.user = user
            with_gpu(box)
            box.files[place] = library
            report = answers(f"Alpine, {place}", box)
            first = report["findings"][0]
            check(f"Alpine, {place}: the verdict", first["id"] == "CR-MUSL" and first["confidence"] == confidence and report["wrong"], report)
            check(f"Alpine, {place}: the evidence", str(MUSL) in evidence(report, "CR-MUSL") and place in evidence(report, "CR-MUSL"), report)
            check(f"Alpine, {place}: a remedy", any("glibc" in remedy for remedy in first["remedy"]), report)
            check(f"Alpine, {place}: not asked", why(report, "cuda") == NO_GLIBC, report)
            if first["id"] == "CR-MUSL":
                live("CR-MUSL")
    # gcompat has a loader of glibc's name. Alone it is not one.
    box = alpine()
    with_gpu(box)
    box.files |= {"/usr/lib/libcuda.so.1": library, "/lib/libgcompat.so.0": MUSL.read_bytes()}
    box.links = {GLIBC: "/lib/libgcompat.so.0"}
    report = answers("Alpine with gcompat", box)
    check("Alpine with gcompat: possible", report["findings"][0]["id"] == "CR-MUSL" and report["findings"][0]["confidence"] == "possible", report)
    # A devprobe for glibc beside it does not help: it cannot start.
    box = alpine()
    with_gpu(box)
    box.files |= {"/usr/lib/libcuda.so.1": library, "/usr/bin/devprobe": devprobe().read_bytes()}
    report = answers("Alpine with a devprobe for glibc", box)
    check("Alpine with a devprobe for glibc: why", why(report, "cuda") == f"no glibc in this image: /usr/bin/devprobe needs {GLIBC}", report)
    check("Alpine with a devprobe for glibc: the verdict stays", report["findings"][0]["id"] == "CR-MUSL", report)

# ---- distroless: a loader and libraries of glibc, no shell ----------------------------------------------------------------------


def distroless(libraries):
    """The static one at /devprobe, the other one in /usr/bin with some of its libraries."""
    box = Container(program=STATIC)
    box.files = {"/usr/bin/devprobe": devprobe().read_bytes(), "/etc/os-release": b'PRETTY_NAME="Distroless"\nID=debian\n'}
    box.files |= {str(path): path.read_bytes() for path in libraries}
    return box


libraries = linked_libraries(devprobe())
least = [path for path in libraries if path.name.startswith(("libc.so", "ld-linux"))]
for user in (0, NOBODY):
    box = distroless(least)
    box.user = user
    box.environment["CUDA_VISIBLE_DEVICES"] = "0"
    report = answers("a helper without its libraries", box)
    check("a helper without its libraries: is told", "ended with status 127" in (why(report, "cuda") or ""), report)

    box = distroless(libraries)
    box.user = user
    report = answers("a helper with its libraries", box)
    check("a helper with its libraries: all was asked", report["unasked"] == [] and report["cpu"]["cores"], report)
    check("a helper with its libraries: nothing is wrong", not report["wrong"], report)
    if LIBCUDA.exists():
        folder = next(path.parent for path in libraries if path.name.startswith("libc.so"))
        box.files[f"{folder}/libcuda.so.1"] = LIBCUDA.read_bytes()
        report = box.probe()
        gpu = [d for d in report["devices"] if d["backend"] == "cuda"]
        check("the driver is asked through the helper", gpu and gpu[0]["fake"], report)
        ours = Container()  # the ordinary devprobe alone, no shell
        ours.user = user
        ours.files[f"{folder}/libcuda.so.1"] = LIBCUDA.read_bytes()
        theirs = [d for d in ours.probe()["devices"] if d["backend"] == "cuda"]
        check("and answers as when it runs alone", gpu == theirs, {"through the helper": gpu, "alone": theirs})

# Without /proc the ordinary one has an answer as well.
for missing in ("/proc", "/dev"):
    box = Container()
    box.user = NOBODY
    box.mounts = [m for m in box.mounts if not m["destination"].startswith(missing)]
    report = answers(f"the ordinary devprobe without {missing}", box)
    check(f"the ordinary devprobe without {missing}: nothing is wrong, all was asked", not report["wrong"] and report["unasked"] == [], report)

finish()
