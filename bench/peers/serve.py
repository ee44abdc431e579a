"""The other side of a peer that lives in Python: answers the questions of devprobe bench. SPDX-License-Identifier: Apache-2.0

    python3 serve.py PEERS.py       runs the script, which calls serve(); a module that it lacks is the answer to the first question

Each line on stdin is a JSON object with "ask", each answer one JSON line on stdout:

    {"ask": "peers"}                                    {"peers": [{"id": 0, "name", "kernel", "version", "tolerance"}], "missing": [...]}
    {"ask": "open", "peer": 0, "case": {...}}           {"ready": true} or {"why": "..."}
    {"ask": "save", "peer": 0, "files": ["out0.raw"]}   runs once, writes the outputs compact: {"ready": true}
    {"ask": "time", "peer": 0, "calls": 10}             {"seconds": 0.0123}    all of these calls together
    {"ask": "close"}                                    forgets every open case: {"ready": true}

A case is {"threads", "views": [{"name", "role", "dtype", "shape", "strides", "file"}], "scalars": {name: value}}; a file holds the compact
elements in row-major order, strides (in elements) say how Foghorn has them in memory and how they are laid out here.
"""
import contextlib
import ctypes
import json
import os
import runpy
import sys
import time

PEERS = []
MISSING = []


class Cannot(Exception):
    """This peer cannot do this case; the text says why."""


def peer(name, kernel, version="", tolerance=0):
    """Marks a function that takes a Case and returns what is to be timed: a callable that returns the outputs (see outputs_of)."""

    def add(make):
        PEERS.append({"name": name, "kernel": kernel, "version": version, "tolerance": tolerance, "make": make})
        return make

    return add


def missing(name, reason):
    """Says that a peer is not here, for the list of what was not run."""
    MISSING.append({"name": name, "why": str(reason)})


class Case:
    def __init__(self, text):
        import numpy

        self.numpy, self.threads, self.scalars = numpy, text["threads"], text["scalars"]
        self.views = {view["name"]: view for view in text["views"]}
        self.order = [view["name"] for view in text["views"] if view["role"] != "in"]

    def dtype(self, view):
        """bf16 has no type in NumPy: its bits."""
        names = {"f32": "float32", "f64": "float64", "f16": "float16", "bf16": "uint16", "i8": "int8", "u8": "uint8", "i32": "int32", "i64": "int64"}
        return self.numpy.dtype(names[view["dtype"]])

    def empty(self, view):
        """Memory for a view with its strides, which may repeat, skip or go backwards."""
        np, shape, strides, dtype = self.numpy, view["shape"], view["strides"], self.dtype(view)
        reach = [(extent - 1) * stride for extent, stride in zip(shape, strides)]
        if 0 in shape:
            return np.empty(shape, dtype)
        low, high = sum(r for r in reach if r < 0), sum(r for r in reach if r > 0)
        memory = np.empty(high - low + 1, dtype)
        return np.lib.stride_tricks.as_strided(memory[-low:], shape, [s * dtype.itemsize for s in strides])

    def view(self, name):
        """An operand with its data."""
        view = self.views[name]
        array = self.empty(view)
        if view["file"]:
            array[...] = self.numpy.fromfile(view["file"], self.dtype(view)).reshape(view["shape"])
        return array

    out = view


def outputs_of(result):
    """A peer may answer with a function: what it takes to find the outputs then is not timed."""
    result = result() if callable(result) else result
    return result if isinstance(result, (tuple, list)) else (result,)


def bind_openmp(after):
    """Before a library that loads OpenMP: each of its threads gets a processor. Two that shared one after a wake-up took 200 times as long.

    The first thread is bound as OpenMP is loaded, and threads made later inherit that. So `after` is loaded first: a BLAS that has threads
    of its own, and would find a single processor."""
    if int(os.environ.get("OMP_NUM_THREADS", 1)) > 1:
        with contextlib.suppress(OSError):
            ctypes.CDLL(after)
        os.environ["OMP_PROC_BIND"] = "true"


class Server:
    def __init__(self):
        self.opened = {}

    def peers(self, _):
        listed = [{key: p[key] for key in ("name", "kernel", "version", "tolerance")} | {"id": i} for i, p in enumerate(PEERS)]
        return {"peers": listed, "missing": MISSING}

    def open(self, question):
        try:
            case = Case(question["case"])
            run = PEERS[question["peer"]]["make"](case)
            run()
        except (Cannot, ImportError, MemoryError) as error:
            return {"why": str(error) or type(error).__name__}
        self.opened[question["peer"]] = (case, run)
        return {"ready": True}

    def save(self, question):
        case, run = self.opened[question["peer"]]
        for name, file, output in zip(case.order, question["files"], outputs_of(run()), strict=True):
            view = case.views[name]
            array = case.numpy.asarray(output)
            if list(array.shape) != view["shape"]:
                return {"why": f"its {name} has shape {list(array.shape)} instead of {view['shape']}"}
            case.numpy.ascontiguousarray(array, case.dtype(view)).tofile(file)
        return {"ready": True}

    def time(self, question):
        run, calls = self.opened[question["peer"]][1], range(question["calls"])
        begin = time.perf_counter()
        for _ in calls:
            run()
        return {"seconds": time.perf_counter() - begin}

    def close(self, _):
        self.opened = {}
        return {"ready": True}


def serve():
    """Answers until the other side hangs up. What a library prints goes to stderr, and with its parent it ends."""
    ctypes.CDLL(None).prctl(1, 15)  # PR_SET_PDEATHSIG, SIGTERM
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    server = Server()
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        for line in sys.stdin:
            question = json.loads(line)
            try:
                answer = getattr(server, question["ask"])(question)
            except Exception as error:  # a peer may fail in any way; the others go on
                answer = {"why": f"{type(error).__name__}: {error}"}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


def main():
    sys.modules["serve"] = sys.modules["__main__"]
    try:
        runpy.run_path(sys.argv[1])
    except ImportError as error:
        sys.stdin.readline()
        print(json.dumps({"why": str(error)}), flush=True)


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(sys.argv[1])))
    main()
