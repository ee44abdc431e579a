"""devprobe trace: the story is right, and the program never notices. SPDX-License-Identifier: Apache-2.0
TEST: timeout=180 cross=no label=full
The programs that are traced are in traced/; they are compiled here, one of them also without shared libraries."""

import json
import os
import pathlib
import pty
import resource
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

DEVPROBE = os.environ.get("DEVPROBE")
if not DEVPROBE:
    print("NOT RUN: devprobe is not part of this build")
    sys.exit(77)
if os.environ.get("FH_EMULATED"):
    print("NOT RUN: an emulator has no ptrace")
    sys.exit(77)
SOURCE = pathlib.Path(os.environ["FH_SOURCE_DIR"])
FAKES = pathlib.Path(os.environ["FH_BINARY_DIR"]) / "tests/fakes"
WORK = pathlib.Path(tempfile.mkdtemp(prefix="trace."))
WORK.chmod(0o755)
NOBODY = 65534
PLAIN = {k: v for k, v in os.environ.items() if k not in ("LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")}
HAVE_GPU = pathlib.Path("/dev/nvidiactl").exists()

failures = 0
not_run = []


def check(test, what, told=None):
    global failures
    if not test:
        failures += 1
        print(f"FAILED: {what}")
        if told is not None:
            print(told if isinstance(told, str) else json.dumps(told, indent=1)[:6000])


def compile_program(name, *options, program=None):
    out = WORK / (program or name)
    source = SOURCE / f"tests/devprobe/traced/{name}.c"
    command = [os.environ.get("CC", "cc"), "-D_GNU_SOURCE", "-O1", "-pthread", "-Wall", "-Wextra", "-Werror", str(source), "-o", str(out), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return None if options else sys.exit(f"{name}.c cannot be compiled\n{done.stderr}")
    return str(out)


def trace(*command, options=(), before=(), expect=None, environment=None, user=None, stdin=None):
    """Runs a program; gives its story, what it wrote to stdout, and the outcome as the caller sees it."""
    out = WORK / "story.json"
    out.unlink(missing_ok=True)
    out.touch()
    out.chmod(0o666)
    words = [*map(str, before), DEVPROBE, "trace", "--json", "--output", str(out), *options, "--", *map(str, command)]
    done = subprocess.run(words, capture_output=True, env=environment or PLAIN, timeout=60, user=user, group=user, input=stdin, check=False)
    text = out.read_text()
    if expect is not None:
        check(done.returncode == expect, f"{command}: ends with {done.returncode}, expected {expect}", done.stderr.decode())
    story = json.loads(text) if text else {"verdict": None, "acts": [], "programs": [], "command": {}, "notes": [], "headline": "", "cause": None}
    return story, done


def acts(story, path):
    return [a for a in story["acts"] if a["path"] == path]


def one_act(story, path, errno, **more):
    """True when a path was met with this outcome."""
    return any(a["errno"] == errno and all(a[k] == v for k, v in more.items()) for a in acts(story, path))


ACTS = compile_program("acts")
FORBID = compile_program("forbid")
STATIC = compile_program("acts", "-static", program="acts-static")


# ---- the outcome is the program's own -----------------------------------------------------------------------------------


def test_outcomes():
    for status in (0, 1, 2, 3, 37, 126, 255):
        trace(ACTS, f"exit={status}", expect=status)
    for number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGINT, signal.SIGTRAP, signal.SIGPIPE, signal.SIGABRT, 40):
        story, _ = trace(ACTS, f"kill={int(number)}", expect=-int(number))
        check(story["command"]["signal"] == int(number) and story["command"]["exit_status"] is None, f"signal {number}", story["command"])
    _, done = trace("/nonexistent/program", expect=127)
    check(b"/nonexistent/program: cannot be run" in done.stderr, "a program that is not there", done.stderr.decode())
    trace("no-such-program-anywhere", expect=127)
    trace("/etc/passwd", expect=126)
    _, done = trace("cat", expect=0, stdin=b"in\0out\n")
    check(done.stdout == b"in\0out\n" and done.stderr == b"", "input and output pass untouched")
    shown = subprocess.run([DEVPROBE, "trace", "--", "sh", "-c", "echo out; exit 5"], capture_output=True, env=PLAIN, timeout=60, check=False)
    check(shown.returncode == 5 and shown.stdout == b"out\n", "the story leaves stdout alone")
    check(shown.stderr.startswith(b"NOT USED: sh never looked for a GPU"), "the story goes to stderr", shown.stderr.decode())


def test_usage():
    for words in (["trace"], ["trace", "--"], ["trace", "ls"], ["trace", "--output", "/nonexistent/file", "--", "true"], ["trace", "--timeout", "0", "--", "true"]):
        done = subprocess.run([DEVPROBE, *words], capture_output=True, timeout=60, check=False)
        check(done.returncode == 2 and done.stdout == b"", f"{words}: {done.returncode}", done.stderr.decode())


# ---- what is seen ---------------------------------------------------------------------------------------------------------


def test_never():
    story, _ = trace("true", expect=0)
    check(story["verdict"] == "never" and story["acts"] == [] and story["act"] is None, "a program that looks for nothing", story)


def test_tree():
    """Threads, children, vfork and exec, each with a device of its own."""
    for program in filter(None, (ACTS, STATIC)):
        inner = WORK / "inner"
        inner.write_text(f"#!/bin/sh\nexec {program} open=/dev/nvidia77 exit=0\n")
        inner.chmod(0o755)
        words = ["thread=/dev/nvidia71", "fork=/dev/nvidia72", f"vfork={inner}", "spawn=5", "relative=/dev,nvidia74", "look=/dev/kfd", "exit=7"]
        story, _ = trace(program, *words, expect=7)
        for path in ("/dev/nvidia71", "/dev/nvidia72", "/dev/nvidia77", "/dev/nvidia4"):
            check(one_act(story, path, "ENOENT", deed="open", sort="node", family="nvidia"), f"{program}: {path} is seen", story)
        check(one_act(story, "/dev/nvidia71", "ENOENT", thread="searcher"), f"{program}: the thread's name", story)
        check(sum(a["count"] for a in acts(story, "/dev/nvidia74")) == 2, f"{program}: relative paths are completed", story)
        check(pathlib.Path("/dev/kfd").exists() or one_act(story, "/dev/kfd", "ENOENT", deed="look"), f"{program}: stat is seen", story)
        # itself, one by fork, one by vfork that becomes sh and then acts, five by spawn; a thread, and one in each of the five
        check(story["command"]["processes"] == 8 and story["command"]["threads"] == 8 + 6, f"{program}: counts", story["command"])
        names = [story["programs"][a["program"]]["name"] for a in acts(story, "/dev/nvidia77")]
        check(names == [pathlib.Path(program).name], f"{program}: the program's name", story)
        check(HAVE_GPU or story["verdict"] == "refused", f"{program}: verdict", story)
    story, _ = trace(ACTS, f"exec-in-thread={ACTS}", "open=/dev/nvidia75", "exit=9", expect=9)
    check(one_act(story, "/dev/nvidia75", "ENOENT"), "a program that a thread became", story)
    if not STATIC:
        not_run.append("a static program: the compiler has no static C library")


def test_births():
    """A child's first stop may come before its parent tells of it: still every act has its program, every task its kind."""
    for _ in range(10):
        story, _ = trace(ACTS, "spawn=20", expect=0)
        counts = (story["command"]["processes"], story["command"]["threads"])
        check(counts == (21, 41), f"20 children with a thread each: {counts}", story["command"])
        check(all(a["program"] is not None for a in story["acts"]) and len(story["acts"]) == 20, "20 children: their acts", story)


def stand_in_missing():
    """Why Python cannot load the stand-in driver; None: it can."""
    library = FAKES / "libcuda.so.1"
    if not library.exists():
        return "the stand-in driver is not built"
    instrumented = any(name in library.read_bytes() for name in (b"__asan_init", b"__tsan_init"))
    return "Python cannot load a library with a sanitizer" if instrumented else None


def test_libraries():
    story, _ = trace("/usr/bin/python3", "-c", "import ctypes; ctypes.CDLL('libcuda.so.1')", expect=None if HAVE_GPU else 1)
    tried = [a for a in story["acts"] if a["subject"] == "libcuda.so.1"]
    check(HAVE_GPU or (story["verdict"] == "missing" and len(tried) > 1 and all(a["errno"] == "ENOENT" for a in tried)), "no libcuda", story)
    check(HAVE_GPU or "python3 looked for libcuda.so.1" in story["headline"], "no libcuda: headline", story)
    # present, but not a library
    for name, content, flaw in (("empty", b"", "it is empty"), ("text", b"INPUT(libcuda.so.550)\n" * 9, "it is no library")):
        folder = WORK / name
        folder.mkdir()
        (folder / "libcuda.so.1").write_bytes(content)
        story, _ = trace("/usr/bin/python3", "-c", "import ctypes; ctypes.CDLL('libcuda.so.1')", environment=PLAIN | {"LD_LIBRARY_PATH": str(folder)})
        check(any(a["flaw"] == flaw for a in acts(story, f"{folder}/libcuda.so.1")), f"libcuda: {flaw}", story)
        check(HAVE_GPU or (story["verdict"] == "missing" and flaw in story["headline"]), f"libcuda: {flaw}: headline", story)
    if not stand_in_missing():
        folder = WORK / "link"
        folder.mkdir()
        (folder / "libcuda.so.1").symlink_to(FAKES / "libcuda.so.1")
        code = "import ctypes; c = ctypes.CDLL('libcuda.so.1'); c.cuInit(0)"
        story, _ = trace("/usr/bin/python3", "-c", code, environment=PLAIN | {"LD_LIBRARY_PATH": str(folder)}, expect=0)
        real = str((FAKES / "libcuda.so.1").resolve())
        check(one_act(story, f"{folder}/libcuda.so.1", None, real_path=real, flaw=None), "the stand-in driver is found", story)
        check(story["verdict"] == "looked" and "loaded libcuda.so.1" in story["headline"], "the stand-in driver needs no device", story)
        check(story["programs"][0]["environment"].get("LD_LIBRARY_PATH") == str(folder), "variables", story)


TOPICS = {  # what a path is, by its name alone
    "/opt/torch/lib/libcudart-8774224f.so.12.4.127": ("support", "nvidia", "libcudart-8774224f.so.12.4.127"),
    "/opt/torch/lib/libtorch_cuda_linalg.so": ("support", "nvidia", "libtorch_cuda_linalg.so"),
    "/usr/lib64/libnvidia-ml.so.1": ("support", "nvidia", "libnvidia-ml.so.1"),
    "/usr/lib64/libnvidia-opencl.so.1": ("driver", "opencl", "libnvidia-opencl.so.1"),
    "/opt/rocm/lib/libhsa-runtime64.so.1": ("driver", "amd", "libhsa-runtime64.so.1"),
    "/usr/lib/libze_loader.so.1": ("loader", "intel", "libze_loader.so.1"),
    "/usr/lib/libze_intel_gpu.so.1": ("support", "intel", "libze_intel_gpu.so.1"),
    "/dev/nvidia-uvm-tools": ("extra-node", "nvidia", "/dev/nvidia-uvm-tools"),
    "/dev/nvidia12": ("node", "nvidia", "/dev/nvidia12"),
    "/dev/dri/renderD129": ("node", "drm", "/dev/dri/renderD129"),
    "/dev/dri/card0": ("extra-node", "drm", "/dev/dri/card0"),
    "/dev//dri/./renderD131": ("node", "drm", "/dev/dri/renderD131"),
    "/dev/accel/accel0": ("node", "intel", "/dev/accel/accel0"),
    "/dev/dxg": ("node", "drm", "/dev/dxg"),
    "/sys/module/amdgpu/version": ("kernel", "amd", "/sys/module/amdgpu/version"),
    "/nonexistent/my.icd": ("registration", "opencl", "/nonexistent/my.icd"),
    "/nonexistent/nvidia-smi": ("tool", "nvidia", "nvidia-smi"),
}
NO_TOPICS = ("/usr/lib/libcudacious.so.1", "/usr/lib/libcuda.sock", "/dev/null", "/dev/nvidi", "/x/renderD128", "/proc/driver/nvram", "/dev/kfd0",
             "/usr/lib/libOpenCLwhat.so", "libcuda", "/etc/hostname", "/nonexistent/nvidia-smi.txt")


def test_topics():
    story, _ = trace(ACTS, *(f"look={path}" for path in (*TOPICS, *NO_TOPICS)), expect=0)
    told = {(a["sort"], a["family"], a["subject"]) for a in story["acts"]}
    for path, topic in TOPICS.items():
        check(topic in told, f"{path} is {topic}", story["acts"])
    check(len(told) == len(TOPICS), f"nothing else is told: {sorted(told - set(TOPICS.values()))}")


def test_hidden():
    """A driver that was loaded and then opened nothing, because a script on the way hid every device."""
    if stand_in_missing():
        not_run.append("a driver that hides its devices: " + stand_in_missing())
        return
    script = "CUDA_VISIBLE_DEVICES= /usr/bin/python3 -c 'import ctypes; ctypes.CDLL(\"libcuda.so.1\").cuInit(0)'"
    story, _ = trace("sh", "-c", script, environment=PLAIN | {"LD_LIBRARY_PATH": str(FAKES)}, expect=0)
    told = f"{story['advice']} {(story['cause'] or {}).get('id')}"
    check(story["verdict"] == "looked" and ("CUDA_VISIBLE_DEVICES is ''" in told or "CU-CVD-EMPTY" in told), "hidden by a variable", story)


def test_clinfo():
    if not shutil.which("clinfo"):
        not_run.append("clinfo is not installed")
        return
    story, done = trace("clinfo", "-l", expect=0)
    check(any(a["subject"].startswith("libOpenCL.so") and a["errno"] is None for a in story["acts"]), "clinfo finds the loader", story)
    check(one_act(story, "/etc/OpenCL/vendors", None, sort="registration"), "clinfo reads the list of drivers", story)
    if b"Portable Computing Language" in done.stdout:
        check(any("libpocl" in a["subject"] and a["errno"] is None for a in story["acts"]), "clinfo loads PoCL", story)
        check(HAVE_GPU or "OpenCL on the CPU" in story["headline"], "clinfo worked on the CPU", story)


def test_environment():
    """A script on the way sets variables: the program's count; nothing that may be a secret is kept."""
    script = f"CUDA_VISIBLE_DEVICES= exec {ACTS} open=/dev/nvidia70"
    story, _ = trace("sh", "-c", script, environment=PLAIN | {"AWS_SECRET_ACCESS_KEY": "do-not-tell", "CUDA_VISIBLE_DEVICES": "3"}, expect=0)
    program = story["programs"][acts(story, "/dev/nvidia70")[0]["program"]]
    check(program["environment"].get("CUDA_VISIBLE_DEVICES") == "", "a variable that a script set", story)
    check("do-not-tell" not in json.dumps(story), "a secret is not told")


def test_held():
    """A device is any path of the right name here: what counts is open, closed or held."""
    if os.geteuid() != 0 or HAVE_GPU or not shutil.which("unshare"):
        not_run.append("devices of one's own: takes root, unshare and a machine without a GPU")
        return
    # mode 0600 of a file below a folder that root made: nobody is refused
    setup = "mount -t tmpfs tmpfs /dev/dri 2>/dev/null || { mkdir -p /run/d; mount --bind /dev /run/d; mount -t tmpfs -o dev tmpfs /dev; }; " \
            "mknod -m 666 /dev/null c 1 3 2>/dev/null; mkdir -p /dev/dri; mknod -m 666 /dev/dri/renderD128 c 1 3; exec \"$@\""
    inside = ("unshare", "--mount", "sh", "-c", setup, "sh")
    story, _ = trace(ACTS, "hold=/dev/dri/renderD128", before=inside, expect=0)
    check(story["verdict"] == "used" and acts(story, "/dev/dri/renderD128")[0]["held"], "a device that is held", story)
    story, _ = trace(ACTS, "open=/dev/dri/renderD128", before=inside, expect=0)
    check(story["verdict"] == "opened" and story["cause"] is None, "a device that is closed again", story)
    story, _ = trace("sh", "-c", f"{ACTS} open=/dev/nvidiactl; {ACTS} hold=/dev/dri/renderD128", before=inside, expect=0)
    check(story["verdict"] == "used", "one GPU is used, another maker's is not there", story)


# ---- signals and job control --------------------------------------------------------------------------------------------


started = []


def start(*command, **more):
    child = subprocess.Popen([DEVPROBE, "trace", "--output", "/dev/null", "--", *command], stdout=subprocess.PIPE, env=PLAIN, text=True, **more)
    started.append(child)
    return child


def traced_child(devprobe):
    children = pathlib.Path(f"/proc/{devprobe}/task/{devprobe}/children").read_text().split()
    return int(children[0])


def state_of(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def wait_state(pid, states, what):
    for _ in range(500):
        if state_of(pid) in states:
            return
        time.sleep(0.01)
    check(False, f"{what}: process {pid} is in state {state_of(pid)}, expected one of {states}")


def test_signals():
    trace(ACTS, "sigtrap", "exit=6", expect=6)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1):
        child = start(ACTS, f"wait-signal={int(number)}", "exit=11")
        check(child.stdout.readline() == "ready\n", "the program is ready")
        child.send_signal(number)
        out, _ = child.communicate(timeout=30)
        check((out, child.returncode) == (f"{int(number)}\n", 11), f"signal {number} is handed on once: {out!r} {child.returncode}")
    child = start(ACTS, f"wait-signal={int(signal.SIGUSR2)}")
    child.stdout.readline()
    child.terminate()  # it does not handle that
    child.communicate(timeout=30)
    check(child.returncode == -signal.SIGTERM, f"ended by a signal that was handed on: {child.returncode}")


def test_stop_and_continue():
    child = start(ACTS, "stop", "open=/dev/nvidia70", "exit=12")
    time.sleep(0.2)
    program = traced_child(child.pid)
    wait_state(program, "tT", "a program that stops itself")
    for _ in range(20):
        check(child.poll() is None, "devprobe waits while the program is stopped")
        time.sleep(0.01)
    os.kill(program, signal.SIGCONT)
    child.communicate(timeout=30)
    check(child.returncode == 12, f"stopped and continued: {child.returncode}")


def read_until(fd, text, before=b"", seconds=20):
    """Reads on after `before`, what was read too much; returns what was read too much now."""
    got, end = before, time.monotonic() + seconds
    while text not in got and time.monotonic() < end:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                got += os.read(fd, 4096)
            except OSError:
                break
    check(text in got, f"the terminal shows {text!r}", got.decode(errors="replace"))
    return got.partition(text)[2]


def test_terminal():
    """^C reaches the program once and its handler's status comes back; ^Z stops both, fg continues both."""
    script = f"set -m; {DEVPROBE} trace -o /dev/null -- {ACTS} wait-signal=2 exit=13; echo status=$?; "
    script += f"{DEVPROBE} trace -o /dev/null -- {ACTS} wait-signal=10 exit=14; echo stopped=$?; fg; echo after=$?"
    pid, fd = pty.fork()
    if pid == 0:
        os.execvpe("sh", ["sh", "-c", script], PLAIN)
    try:
        read_until(fd, b"ready")
        os.write(fd, b"\x03")
        more = read_until(fd, b"status=13")
        read_until(fd, b"ready", more)
        os.write(fd, b"\x1a")
        read_until(fd, b"stopped=")
        time.sleep(0.2)
        group = os.tcgetpgrp(fd)
        devprobe = next((int(p.name) for p in pathlib.Path("/proc").iterdir() if p.name.isdigit() and is_devprobe(p)), None)
        check(devprobe is not None and group > 0, "devprobe runs on after ^Z and fg")
        if devprobe:
            wait_state(traced_child(devprobe), "StR", "continued by fg")
            os.kill(traced_child(devprobe), signal.SIGUSR1)
        read_until(fd, b"after=14")
    finally:
        os.close(fd)
        os.waitpid(pid, 0)


def is_devprobe(folder):
    try:
        return f"{ACTS}\0wait-signal=10" in (folder / "cmdline").read_text() and "trace\0" in (folder / "cmdline").read_text()
    except OSError:
        return False


def test_left_behind():
    before = time.monotonic()
    story, _ = trace(ACTS, "leave=700", "exit=4", expect=4)
    check(time.monotonic() - before >= 0.7, "a child that is left behind is waited for")
    check(any("left behind" in n for n in story["notes"]), "a child that is left behind is told", story)
    child = start(ACTS, "leave=30000", "exit=4", start_new_session=True)
    for running in (True, False):  # the program is there, and is gone
        for _ in range(2000):
            if bool(pathlib.Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()) == running:
                break
            time.sleep(0.01)
    time.sleep(0.1)
    child.terminate()
    child.communicate(timeout=20)
    check(child.returncode == 4, f"a signal ends the wait: {child.returncode}")


# ---- where it is hard -----------------------------------------------------------------------------------------------------


def test_hostile():
    for program in filter(None, (ACTS, STATIC)):
        story, _ = trace(program, "wild", "exit=3", expect=3)
        check(one_act(story, "/dev/nvidia-uvm", "ENOENT") or HAVE_GPU, f"{program}: a path at the end of memory", story)
    trace(ACTS, "many=5000", "exit=3", expect=3)  # already more than are kept
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    story, _ = trace(ACTS, "many=20000", "exit=3", expect=3)
    after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    check(len(story["acts"]) == 4096 and story["left_out"] == 20000 - 4096, f"acts are bounded: {len(story['acts'])} {story['left_out']}")
    if "FH_SANITIZED" in os.environ:
        print("NOT RUN: memory is bounded: a sanitizer keeps what was freed")
    else:
        check(after - before < 16 * 1024, f"memory is bounded: {after - before} KiB more")


def test_pipe_for_a_library():
    """A tracee may have anything open under a library's name: reading it must not hold devprobe, and with it the tracee, for ever."""
    pipe = WORK / "pipes/libcuda.so.1"
    pipe.parent.mkdir()
    os.mkfifo(pipe)
    script = "import os, sys; os.close(os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK))"
    story, _ = trace(sys.executable, "-c", script, pipe, expect=0)
    check([a["flaw"] for a in acts(story, str(pipe))] == ["it is no library"], "a pipe in place of a library", story)


def test_take_over():
    """A program of another user, or in a root of its own, must not make devprobe load a library as root."""
    library = compile_program("take_over", "-shared", "-fPIC")
    if os.geteuid() != 0 or not library or not shutil.which("setpriv") or not shutil.which("unshare"):
        not_run.append("variables of a program with fewer rights: takes root, setpriv, unshare and a compiler")
        return
    mark = WORK / "mark"
    script = f"{shutil.which('env')} LD_PRELOAD={library} {ACTS} open=/dev/nvidia70"
    story, _ = trace("setpriv", "--reuid", NOBODY, "--clear-groups", "sh", "-c", script, environment=PLAIN | {"TAKE_OVER_MARK": str(mark)}, expect=0)
    check(one_act(story, "/dev/nvidia70", "ENOENT") or HAVE_GPU, "what another user's program did", story)
    check(any(p["other_user"] and p["environment"].get("LD_PRELOAD") == library for p in story["programs"]), "another user is told", story)
    check(not mark.exists(), "another user's LD_PRELOAD is not loaded by root")
    # root in a container's place: the program itself leaves the mark, which is taken away before devprobe looks
    inside = f"LD_PRELOAD={library} {ACTS} open=/dev/nvidia70; rm {mark}"
    story, _ = trace("unshare", "--mount", "sh", "-c", inside, environment=PLAIN | {"TAKE_OVER_MARK": str(mark)}, expect=0)
    check(any(p["other_root"] for p in story["programs"]) and not mark.exists(), "that of a container is not loaded either", story)


def test_own_filter():
    story, _ = trace(ACTS, "own-filter", "open=/dev/nvidia70", "exit=0", expect=0)
    check(one_act(story, "/dev/nvidia70", "ENOENT"), "a program with a filter of its own", story)
    if "Seccomp_filters" in pathlib.Path("/proc/self/status").read_text():
        check(any("filters its own system calls" in n for n in story["notes"]), "a filter of its own is told", story)


def test_without_filter():
    """Where no filter can be installed every call stops; the story is the same."""
    words = ["thread=/dev/nvidia71", "fork=/dev/nvidia72", f"vfork={ACTS}", "spawn=3", "sigtrap", f"exec-in-thread={ACTS}", "open=/dev/nvidia73", "exit=21"]
    story, _ = trace(ACTS, *words, before=(FORBID, "seccomp"), expect=21)
    for path in ("/dev/nvidia71", "/dev/nvidia72", "/dev/nvidia73", "/dev/nvidia2"):
        check(one_act(story, path, "ENOENT"), f"without a filter: {path}", story)
    check(any("stopped at every system call" in n for n in story["notes"]), "without a filter: told", story["notes"])
    trace("sh", "-c", "kill -SEGV $$", before=(FORBID, "seccomp"), expect=-11)


def test_forbidden():
    no_leaks = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}  # LeakSanitizer itself needs ptrace
    _, done = trace(ACTS, "exit=21", before=(FORBID, "ptrace"), environment=PLAIN | no_leaks, expect=3)
    check(b"SYS_PTRACE" in done.stderr, "where ptrace is forbidden the error names the fix", done.stderr.decode())


def test_ordinary_user():
    if os.geteuid() != 0:
        not_run.append("an ordinary user and set-user-ID programs: takes root")
        return
    story, _ = trace(ACTS, "open=/dev/nvidia70", "exit=5", user=NOBODY, expect=5)
    check(one_act(story, "/dev/nvidia70", "ENOENT"), "an ordinary user", story)
    owned = WORK / "owned"
    shutil.copy(ACTS, owned)
    owned.chmod(0o4755)
    if os.statvfs(WORK).f_flag & os.ST_NOSUID or not owned.stat().st_mode & stat.S_ISUID:
        not_run.append("set-user-ID programs: the temporary folder does not allow them")
        return
    story, _ = trace(owned, "exit=5", user=NOBODY, expect=5)
    check(any("owned ran without the rights" in n for n in story["notes"]), "a set-user-ID program of an ordinary user", story["notes"])
    story, _ = trace(owned, "exit=5", expect=5)
    check(not any("without the rights" in n for n in story["notes"]), "a set-user-ID program of root", story["notes"])


def test_32_bit():
    source = WORK / "small.s"
    source.write_text(".globl _start\n_start: mov $1, %eax\nmov $17, %ebx\nint $0x80\n")
    done = subprocess.run(["gcc", "-m32", "-nostdlib", "-static", source, "-o", WORK / "small"], capture_output=True, check=False)
    if done.returncode != 0 or os.uname().machine != "x86_64" or subprocess.run([WORK / "small"], check=False).returncode != 17:
        not_run.append("a 32-bit program: it cannot be made or run here")
        return
    story, _ = trace(WORK / "small", expect=17)
    check(any("small is a 32-bit program" in n for n in story["notes"]), "a 32-bit program is told", story)
    story, _ = trace("sh", "-c", f"{WORK}/small; {ACTS} open=/dev/nvidia70; exit 18", before=(FORBID, "seccomp"), expect=18)
    check(one_act(story, "/dev/nvidia70", "ENOENT"), "a 32-bit program beside another, every call stopped", story)


def test_screen():
    done = subprocess.run([DEVPROBE, "trace", "-v", "--", ACTS, "open=/dev/nvidia70", "exit=3"], capture_output=True, text=True, env=PLAIN, timeout=60, check=False)
    check(done.returncode == 3 and "/dev/nvidia70  ENOENT, No such file or directory" in done.stderr, "the screen", done.stderr)
    check(all(len(line) <= 80 for line in done.stderr.splitlines()), "the screen fits", done.stderr)
    odd = "/dev/nvidia-\x1b[31mred\n"
    done = subprocess.run([DEVPROBE, "trace", "--", ACTS, f"open={odd}"], capture_output=True, text=True, env=PLAIN, timeout=60, check=False)
    check("\x1b" not in done.stderr, "a path cannot colour the screen", done.stderr)


def test_schema():
    try:
        import jsonschema
    except ImportError:
        not_run.append("the schema: the Python package jsonschema is not installed (Debian: python3-jsonschema)")
        return
    schema = json.loads((SOURCE / "docs/trace.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    machine = json.loads((SOURCE / "docs/devprobe.schema.json").read_text())
    for words in (["true"], [ACTS, "thread=/dev/nvidia70", "kill=9"], ["sh", "-c", f"{ACTS} open=/dev/kfd"]):
        story, _ = trace(*words)
        problems = [e.message for e in jsonschema.Draft7Validator(schema).iter_errors(story)]
        problems += [e.message for e in jsonschema.Draft7Validator(machine).iter_errors(story["machine"])]
        check(not problems, f"{words}: the schema: {problems}", story)
    story["verdict"] = "perhaps"
    check(list(jsonschema.Draft7Validator(schema).iter_errors(story)) != [], "the schema refuses what is wrong")


try:
    for name, test in sorted(globals().items()):
        if name.startswith("test_") and (len(sys.argv) < 2 or name in sys.argv[1:]):
            test()
finally:
    for left in started:
        left.kill()  # and with it what it traces
    shutil.rmtree(WORK)
for reason in not_run:
    print(f"NOT RUN: {reason}")
print(f"{failures} failures")
sys.exit(1 if failures else 0)
