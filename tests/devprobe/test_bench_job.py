# devprobe bench -- CMD: verdicts on real programs and on written traces, the JSON against its schema, bad words. SPDX-License-Identifier: Apache-2.0
# TEST: timeout=120 plain=yes label=full
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

try:
    import jsonschema
except ImportError as error:
    print(f"NOT RUN: {error}")
    sys.exit(77)

source = pathlib.Path(os.environ["FH_SOURCE_DIR"])
devprobe = os.environ["DEVPROBE"]
validator = jsonschema.Draft7Validator(json.loads((source / "docs/job.schema.json").read_text()))
work = pathlib.Path(tempfile.mkdtemp(prefix="foghorn-job-test."))
LINE = {"launch": "matmul f32 64x64 f32 64x64", "kernel": "matmul", "ran": "cpu/avx2/tuned", "intended": "cpu/avx2/tuned", "cause": "", "note": "",
        "threads": 1, "operations": 524288, "bytes": 49152, "elements_bytes": 49152, "lines_bytes": 49152}


def run(status, *arguments):
    done = subprocess.run([devprobe, "bench", *map(str, arguments)], capture_output=True, text=True, timeout=100)
    assert done.returncode == status, (arguments, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    return done


def judged(status, *arguments):
    out = work / "verdict.json"
    run(status, "--json", "-o", out, *arguments)
    document = json.loads(out.read_text())
    errors = [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in validator.iter_errors(document)]
    assert not errors, errors
    return document


def written(line):
    """As the library writes it: whole numbers, nanoseconds."""
    line = dict(line)
    for key, name in (("at", "at_ns"), ("seconds", "ns")):
        if key in line:
            line[name] = round(line.pop(key) * 1e9) if abs(line[key]) < 1e9 else line.pop(key)
    return json.dumps(line) + "\n"


def program(lines, then):
    """A shell command that leaves these lines as a program would, and then does something for a while."""
    trace = work / "lines"
    trace.write_text("".join(line if isinstance(line, str) else written(LINE | line) for line in lines))
    return ["sh", "-c", f"cat {trace} >>\"$FOGHORN_TRACE\"; {then}"]


def expect(told, bound):
    """Where other work takes both processors away from ours, it waits: the verdict says so."""
    assert told["bound_by"] == ("waiting" if told["waiting_part"] >= 0.5 else bound), (bound, told)


# A real job: its launches are seen, its output stays its own.
done = run(0, "--", devprobe, "run", "kmeans", "--demo-data", "-k", "8", "--device", "cpu", "--json")
assert json.loads(done.stdout)["schema"].startswith("foghorn.kmeans/"), done.stdout[:200]
# Which kernel comes first is a matter of time.
assert "kernels   kmeans_" in done.stderr and "kmeans_step on cpu" in done.stderr and "ceiling" in done.stderr, done.stderr
real = judged(0, "--", devprobe, "run", "kmeans", "--demo-data", "-k", "8", "--device", "cpu")
assert {k["kernel"] for k in real["kernels"]} >= {"kmeans_step"} and 0 < real["kernel_part"] < 1 and real["launch_s"] > 0, real

# Waiting, and nothing of it through Foghorn.
sleeper = judged(0, "--", *program([{"at": 1.0, "seconds": 0.001}], "sleep 0.4"))
assert sleeper["bound_by"] == "waiting" and not sleeper["worth_porting"] and sleeper["waiting_part"] > 0.5, sleeper
assert "NOT WORTH PORTING" in run(0, "--", *program([{"at": 1.0, "seconds": 0.001}], "sleep 0.4")).stderr
assert judged(0, "--", "true")["bound_by"] == "no launch"

# Busy between its launches; the same launches told twice by two threads count once.
busy = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"
rest = judged(0, "--", *program([{"at": 1.0, "seconds": 0.002}] * 2, busy))
expect(rest, "rest")
assert rest["kernels"][0]["launches"] == 2, rest
assert abs(rest["kernel_part"] * rest["seconds"] - 0.002) < 1e-6, rest

# Kernels that fill the time: arithmetic, memory, starting, a device without limits.
for line, bound in (
    ({"seconds": 3.0, "operations": 1e11, "bytes": 1e6}, "compute"),
    ({"seconds": 3.0, "operations": 1, "bytes": 1e10}, "memory"),
):
    told = judged(0, "--", *program([LINE | {"at": 1.0} | line], busy))
    expect(told, bound)
    assert told["kernel_part"] == 1 and told["ceiling"] is None, (bound, told)
tiny = judged(0, "--", *program([{"at": 1 + i * 1e-6, "seconds": 1e-7, "operations": 1, "bytes": 8} for i in range(20000)], "true"))
assert tiny["kernels"][0]["bound_by"] == "launch", tiny["kernels"]

# Launches that end after they were made: neither waiting nor own work can be told from them.
for then in ("sleep 0.4", busy):
    elsewhere = judged(0, "--times", "3", "--", *program([{"at": 1.0, "seconds": 0.001, "ran": "cuda:0/sm_80"}], then))
    assert elsewhere["bound_by"] == "unknown" and elsewhere["worth_porting"], elsewhere
    shown = run(0, "--times", "3", "--", *program([{"at": 1.0, "seconds": 0.001, "ran": "cuda:0/sm_80"}], then)).stderr
    assert "NOT WORTH" not in shown and "offer" not in shown and "ceiling" not in shown, shown

# One field of a record.
field = judged(0, "--", *program([{"at": 1.0, "seconds": 3.0, "operations": 1, "bytes": 4e8, "elements_bytes": 4e8, "lines_bytes": 32e8}], busy))
layout = field["kernels"][0]["layout"]
assert layout["line_bytes_per_byte"] == 8 and layout["predicted_gain"] > 2 and layout["break_even_launches"] <= 3, layout
assert "layout" in run(0, "--", *program([{"at": 1.0, "seconds": 3.0, "elements_bytes": 4e8, "lines_bytes": 32e8}], busy)).stderr

# What it would be worth.
offer = judged(0, "--times", "10", "--price", "4", "--", *program([{"at": 1.0, "seconds": 9.0}], busy))["offer"]
assert abs(offer["saved"] - 0.9) < 1e-9 and abs(offer["break_even_price"] - 40) < 1e-6, offer

# Lines that are none are counted, whatever they hold; absurd numbers and texts harm nobody.
hostile = judged(0, "--", *program(["nonsense\n", "{\n", '{"launch": 3}\n', "\x00\n", "[" * 5000 + "\n", {"at": 0, "seconds": -1e300, "threads": 1e9},
                                    {"at": 1.0, "seconds": 1.0, "threads": 1024, "kernel": "a" * 46 + "é", "ran": "b" * 22 + "é/x"},
                                    {"at": 1.0, "seconds": 1.0, "elements_bytes": 1e-300, "lines_bytes": 1e17}], "true"))
assert hostile["unread_lines"] == 6 and len(hostile["kernels"]) == 2, hostile

# A relative TMPDIR and a program that goes elsewhere; FOGHORN_TRACE of one's own stays as it is.
(work / "here").mkdir()
mine = work / "mine.jsonl"
command = [devprobe, "bench", "--", "sh", "-c", f'cd / && {devprobe} run kmeans --demo-data -k 4 --device cpu >/dev/null']
done = subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=work, env=os.environ | {"TMPDIR": "here", "FOGHORN_TRACE": str(mine)})
assert done.returncode == 0 and "kmeans_step on cpu" in done.stderr, done.stderr
assert not mine.exists() and not list((work / "here").iterdir()), list(work.rglob("*"))

# Another decimal point in the program's locale: the suite's own has a point, so the lines must hold none.
trace = work / "trace.jsonl"
subprocess.run([devprobe, "run", "kmeans", "--demo-data", "-k", "4", "--device", "cpu"], env=os.environ | {"FOGHORN_TRACE": str(trace)}, check=True,
               capture_output=True, timeout=100)
numbers = [value for line in trace.read_text().splitlines() for value in json.loads(line).values() if not isinstance(value, str)]
assert numbers and all(isinstance(value, int) for value in numbers), numbers[:9]

# Ended from outside, it hands the signal on, and leaves no file.
waiting = subprocess.Popen([devprobe, "bench", "--", "sh", "-c", "exec sleep 60"], stderr=subprocess.DEVNULL, env=os.environ | {"TMPDIR": str(work / "here")})
time.sleep(1)
waiting.terminate()
assert waiting.wait(timeout=60) == 128 + signal.SIGTERM and not list((work / "here").iterdir())

# It ends as the program does.
assert judged(7, "--", "sh", "-c", "exit 7")["status"] == 7
assert judged(128 + signal.SIGKILL, "--", "sh", "-c", "kill -KILL $$")["status"] == -signal.SIGKILL
assert "cannot be run" in run(127, "--", "/nowhere/program").stderr

# A place that cannot be written costs the file, not the verdict.
assert "cannot be written" in run(0, "-o", "/dev/full", "--", "true").stderr and "NO KERNELS" in run(0, "-o", "/dev/full", "--", "true").stderr

# Words that mean nothing.
assert "a command is missing" in run(2, "--").stderr
assert "--rounds" in run(2, "--rounds", "3", "--", "true").stderr
assert "--times" in run(2, "--times", "3").stderr
assert "--times" in run(2, "--price", "3", "--", "true").stderr
assert "above 1" in run(2, "--times", "0.5", "--", "true").stderr
assert "matmul" in run(2, "matmul", "--", "true").stderr
shutil.rmtree(work)
print("verdicts on programs: as expected")
