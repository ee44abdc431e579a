"""devprobe in bubblewrap: device files bound with and without leave to be devices. SPDX-License-Identifier: Apache-2.0
TEST: label=full timeout=120 cross=no serial=yes sanitize=no

Real: the sandbox, its mounts, every errno. The device files have NVIDIA's numbers and no driver behind them."""

import os
import pathlib
import re
import subprocess
import tempfile

from container import NVIDIA, check, devprobe, finish, found, linked_libraries, not_found, not_run, report_of, require_root

require_root("making device nodes", "bwrap", "unshare", "ldd")  # Debian: bubblewrap, util-linux, libc-bin
if re.search(r"^ *\d+ nvidia", pathlib.Path("/proc/devices").read_text(), re.M):
    not_run("this machine has NVIDIA's driver: these device files would work")


def probe(how):
    """Binds the nodes by this option of bwrap."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="foghorn-bubblewrap."))
    try:
        lines = ["set -e", "mount --make-rprivate /", f"mount -t tmpfs -o dev,mode=755 tmpfs {folder}"]
        command = ["exec bwrap --proc /proc --dev /dev --tmpfs /tmp --ro-bind /sys /sys --setenv FOGHORN_CACHE_DIR /tmp"]
        for name, (major, minor) in NVIDIA.items():
            lines.append(f"mknod -m 666 {folder}/{name} c {major} {minor}")
            command.append(f"{how} {folder}/{name} /dev/{name}")
        for library in sorted({str(path) for path in linked_libraries(devprobe())}):
            command.append(f"--ro-bind {os.path.realpath(library)} {library}")
        lines.append(" ".join([*command, f"--ro-bind {devprobe()} /devprobe /devprobe --json"]))
        done = subprocess.run(["unshare", "--mount", "sh", "-c", "\n".join(lines)], capture_output=True, text=True, timeout=60, check=False)
        if "bwrap:" in done.stderr:
            not_run(f"bubblewrap cannot make a sandbox here: {done.stderr.strip().splitlines()[-1]}")
        return report_of(done.returncode, done.stdout, done.stderr)
    finally:
        folder.rmdir()


report = probe("--bind")
check("--bind: platform", report["platform"]["kind"] == "bubblewrap" and report["platform"]["container"], report)
found("--bind", report, "CR-NODE-NODEV", "proven", "/dev/nvidia0: EACCES; mounted nodev at /dev/nvidia0")
check("--bind: the fix is bubblewrap's", "--dev-bind" in str(report["findings"][0]["remedy"]), report)

report = probe("--dev-bind")
check("--dev-bind: platform", report["platform"]["kind"] == "bubblewrap", report)
not_found("--dev-bind", report, "CR-NODE-NODEV", "CR-NODE-DAC", "CR-CGROUP-NEVER")
finish()
