"""devprobe snapshot and --from: the same report, byte for byte, from archive, directory and pipe, with every kind of driver that the
stand-in plays; secrets planted in this process are not in it; hostile archives are refused. SPDX-License-Identifier: Apache-2.0
TEST: timeout=240 fakes=yes"""

import difflib
import gzip
import io
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile

DEVPROBE = os.environ["DEVPROBE"]
MACHINES = pathlib.Path(os.environ["FH_SOURCE_DIR"]) / "tests/machines"
work = pathlib.Path(tempfile.mkdtemp(prefix="foghorn-snapshot."))
failures = 0
# Seconds; long enough for the drivers that are well.
LIMIT = 8 if "FH_SANITIZED" in os.environ or "FH_EMULATED" in os.environ else 3


def fail(what):
    global failures
    failures += 1
    print(f"FAILED: {what}")


def run(*arguments, status=0, stdin=None, **variables):
    """Standard output and standard error as bytes; status None: any that is a verdict."""
    child = subprocess.run(
        [DEVPROBE, *map(str, arguments)], input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL, capture_output=True, timeout=60,
        env=os.environ | variables,
    )
    if child.returncode != status and not (status is None and child.returncode in (0, 1)):
        fail(f"devprobe {arguments}: exit status {child.returncode}, expected {status}\n{child.stdout.decode()}{child.stderr.decode()}")
    return child.stdout, child.stderr


def says(where, text, what):
    if text.encode() not in where:
        fail(f"{what}: '{text}' is not in\n{where.decode(errors='replace')}")


def can_read_archives():
    run("snapshot", work / "trial.tar.gz")
    child = subprocess.run([DEVPROBE, "--from", work / "trial.tar.gz"], capture_output=True, timeout=60)
    return child.returncode in (0, 1), child.stderr.decode()


def unpacked(archive):
    """All names and bytes of an archive as one string."""
    with tarfile.open(archive) as tar:
        return b"".join(m.name.encode() + b"\n" + tar.extractfile(m).read() for m in tar.getmembers())


# Amounts of memory, which change from one look to the next, and times.
MOVING = re.compile(rb'"\w*(?:bytes|_ns|throttled)": \d+|nr_throttled \d+|\d+(?:\.\d+)? [KMGT]iB|\d+(?:\.\d+)? (?:m?s|seconds)\b')


def settled(report):
    return MOVING.sub(b"N", report)


# ---- the same report -------------------------------------------------------------------------------------------------------------

DRIVERS = {
    "no driver": {"LD_LIBRARY_PATH": ""},
    "a healthy driver": {"FOGHORN_FAKE_CUDA": "devices=2"},
    "no device": {"FOGHORN_FAKE_CUDA": "devices=0"},
    "an error of cuInit": {"FOGHORN_FAKE_CUDA_FAULTS": "cuInit@1=999"},
    "a crash": {"FOGHORN_FAKE_CUDA_FAULTS": "cuInit@1=crash"},
    "a hang": {"FOGHORN_FAKE_CUDA_FAULTS": "cuInit@1=hang"},
    "a hang in the kernel": {"FOGHORN_FAKE_CUDA_FAULTS": "cuInit@1=stuck"},
    "an exit": {"FOGHORN_FAKE_CUDA_FAULTS": "cuInit@1=exit"},
    "an empty filter": {"FOGHORN_FAKE_CUDA": "devices=2", "CUDA_VISIBLE_DEVICES": ""},
}


def same_reports(name, variables):
    archive = work / "box.tar.gz"
    archive.unlink(missing_ok=True)
    out, _ = run("snapshot", archive, "--timeout", LIMIT, **variables)
    says(out, "read back, it gives the same report", name)
    for form in ([], ["--json"], ["--verbose"]):
        live, _ = run("--timeout", LIMIT, *form, status=None, **variables)
        replayed, _ = run("--from", archive, *form, status=None)
        if settled(live) != settled(replayed):
            changed = difflib.unified_diff(settled(live).decode().split("\n"), settled(replayed).decode().split("\n"), "live", "replayed", lineterm="")
            fail(f"{name} {form}: live and replayed differ\n" + "\n".join(changed))


def forms():
    """An archive, a directory and a pipe hold the same; the same again gives the same bytes; a snapshot of a snapshot too."""
    machine = MACHINES / "docker-gpu"
    run("snapshot", "--from", machine, work / "a.tar.gz")
    run("snapshot", "--from", machine, work / "b.tar.gz", "-q")
    run("snapshot", "--from", work / "a.tar.gz", work / "c.tar.gz")
    run("snapshot", "--from", machine, f"{work}/d/")
    piped, err = run("snapshot", "--from", machine, "-")
    says(err, "read back", "a pipe")
    bytes_of = [(work / f"{name}.tar.gz").read_bytes() for name in "abc"] + [piped]
    if len(set(bytes_of)) != 1:
        fail("snapshots of one machine differ")
    want, _ = run("--json", "--from", machine, status=None)
    for source, stdin in ((work / "a.tar.gz", None), (work / "d", None), ("-", piped)):
        got, _ = run("--json", "--from", source, stdin=stdin, status=None)
        if got != want:
            fail(f"--from {source} gives another report")
    if (work / "a.tar.gz").stat().st_mode & 0o777 != 0o600:
        fail("an archive is not for its owner only")
    shutil.rmtree(work / "unpacked", ignore_errors=True)
    subprocess.run(["tar", "-xzf", work / "a.tar.gz", "-C", work], check=True)
    got, _ = run("--json", "--from", work / "snapshot", status=None)
    if got != want:
        fail("an archive that tar unpacked gives another report")
    run("require", "gpu", "--from", work / "a.tar.gz")


# ---- private ------------------------------------------------------------------------------------------------------------------------

UUID = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"


def nothing_private():
    secrets = {"AWS_SECRET_ACCESS_KEY": "planted-one", "MY_VARIABLE": "planted-two", "HF_TOKEN": "hf_plantedplantedplanted"}
    run("snapshot", work / "plain.tar.gz", **secrets, CUDA_CACHE_PATH="https://me:planted-three@host/x", LD_LIBRARY_PATH="/home/zacharias/lib")
    everything = unpacked(work / "plain.tar.gz")
    if b"planted" in everything:
        fail("a planted secret is in the archive")
    if os.uname().nodename.encode() in everything and len(os.uname().nodename) > 6:
        fail("the name of this host is in the archive")
    says(everything, "/home/zacharias/lib", "without --mask")
    run("snapshot", "--mask", work / "masked.tar.gz", **secrets, CUDA_VISIBLE_DEVICES=UUID, KUBERNETES_SERVICE_HOST="10.96.0.1",
        LD_LIBRARY_PATH="/home/zacharias/lib")
    everything = unpacked(work / "masked.tar.gz")
    for private in ("planted", "zacharias", "8932f937", "10.96.0.1"):
        if private.encode() in everything:
            fail(f"{private} is in a masked archive")
    says(everything, "GPU-11111111-", "--mask")
    says(everything, '"masked": true', "--mask")
    says(everything, "KUBERNETES_SERVICE_HOST -> =ip1xxxxxx", "--mask")


# ---- refused ------------------------------------------------------------------------------------------------------------------------


def hostile(*members):
    """A gzipped tar of (name, type, link, bytes)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind, link, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, link, len(content)
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(out.getvalue())


def refused():
    meta = ("snapshot/snapshot.json", tarfile.REGTYPE, "", b'{"schema": "foghorn.snapshot/2"}')
    canary = work / "canary"
    for name, archive, why in (
        ("a link", hostile(meta, ("snapshot/x", tarfile.SYMTYPE, "/etc", b""), ("snapshot/x/y", tarfile.REGTYPE, "", b"z")), "is a link"),
        ("a hard link", hostile(meta, ("snapshot/x", tarfile.LNKTYPE, "/etc/passwd", b"")), "is a link"),
        ("dots", hostile(meta, ("snapshot/../../canary", tarfile.REGTYPE, "", b"z")), "cannot be the name"),
        ("an absolute path", hostile(meta, (str(canary), tarfile.REGTYPE, "", b"z")), "outside the folder"),
        ("a device", hostile(meta, ("snapshot/x", tarfile.CHRTYPE, "", b"")), "a device"),
        ("two of one name", hostile(meta, meta), "there twice"),
        ("no calls", hostile(meta), "'calls' is missing"),
        ("a name that writes to the terminal", hostile(meta, ("snapshot/\x1b]0;title\x07", tarfile.SYMTYPE, "/etc", b"")), "'snapshot/?]0;title?' is a link"),
        ("a schema that writes to the terminal", hostile(("snapshot.json", tarfile.REGTYPE, "", b'{"schema": "\\u001b[2J\\u009b1m\\u202e"}')), "schema is ?[2J??1m???,"),
        ("no snapshot", hostile(("a", tarfile.REGTYPE, "", b"b")), "no snapshot.json"),
        ("a cut archive", hostile(meta)[:-20], "cut off"),
        ("text", b"text", "not a gzipped tar"),
        ("nothing", b"", "not a gzipped tar"),
    ):
        file = work / "hostile.tar.gz"
        file.write_bytes(archive)
        out, err = run("--from", file, status=2)
        says(err, why, name)
        says(err, str(file), name)
        if out:
            fail(f"{name}: something was printed: {out}")
    if canary.exists():
        fail("an archive wrote a file")
    with gzip.open(work / "bomb.tar.gz", "wb", compresslevel=9) as bomb:
        for _ in range(300):
            bomb.write(bytes(1 << 20))
    says(run("--from", work / "bomb.tar.gz", status=2)[1], "more than the 96 MiB", "a bomb")


def greedy():
    """Files that are made to cost much: what is read, and what is kept of it, has a limit."""
    machines = work / "machines"
    shutil.copytree(MACHINES, machines)
    box = machines / "box"
    vendors, status = box / "fs/etc/OpenCL/vendors", box / "fs/var/lib/dpkg/status"
    vendors.mkdir(parents=True)
    status.parent.mkdir(parents=True)
    (box / "snapshot.json").write_text('{"schema": "foghorn.snapshot/1", "base": "../nv-fm-version"}')
    for i in range(300):
        (vendors / f"{i}.icd").write_text(f"libvendor{i}.so\n")
    status.write_text("Package: nvidia-fabricmanager\n" * 7000)
    run("snapshot", "--from", box, work / "greedy.tar.gz", "-q")
    read = unpacked(work / "greedy.tar.gz").count(b"\nread /etc/OpenCL/vendors/")
    if not 0 < read <= 64:
        fail(f"{read} registrations of OpenCL were read")
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    if most > 400 * 1024:
        fail(f"{most} KiB of memory were used")


def places():
    (work / "there").write_text("mine")
    says(run("snapshot", work / "there", status=2)[1], "is there already", "an existing file")
    if (work / "there").read_text() != "mine":
        fail("an existing file was overwritten")
    says(run("snapshot", work / "no/such/folder/x.tar.gz", status=3)[1], "No such file", "no folder")
    says(run("snapshot", status=2)[1], "FILE is missing", "no file")
    says(run("snapshot", "", status=2)[1], "is empty", "an empty name")
    if os.path.exists("/dev/full"):
        with open("/dev/full", "wb") as full:
            child = subprocess.run([DEVPROBE, "snapshot", "-"], stdout=full, stderr=subprocess.PIPE, timeout=60)
        if child.returncode != 3 or b"No space left" not in child.stderr:
            fail(f"a full disk: {child.returncode} {child.stderr}")


try:
    able, why = can_read_archives()
    if not able and "libarchive" in why:
        print(f"NOT RUN: {why.strip()}")
        sys.exit(77)
    if os.environ.get("FH_EMULATED"):  # a vfork is a fork there: the stand-in does not sleep in state D, and goes on forking
        print("NOT RUN: a hang in the kernel: an emulator has no process that sleeps there on demand")
        del DRIVERS["a hang in the kernel"]
    for driver, settings in DRIVERS.items():
        same_reports(driver, settings)
    forms()
    nothing_private()
    refused()
    greedy()
    places()
finally:
    shutil.rmtree(work)
print(f"{failures} failures")
sys.exit(1 if failures else 0)
