#!/usr/bin/env python3
"""Foghorn and the libraries that others would use on the same GPU, in one process and in turns. SPDX-License-Identifier: Apache-2.0

    peers.py --library libgpu_bench.so --out FILE [--device cuda:0] [--fake] [--seconds N] [--case-seconds N]

The cases, their data and Foghorn's launches are those of bench/gpu/case.c, reached by ctypes; PyTorch, CuPy and Triton get the same data in
their own memory. Each result is compared with Foghorn's before anything is timed. What is not here is NOT RUN with the reason.
f32 products are f32: TF32 is off, and where it is measured as well it is named and not counted. --fake: the stand-in driver, extents cut
to 48, and PyTorch on the CPU: it tries the formulations below and measures nothing.
A case that takes the device or its process along is named, and the next ones are measured in a fresh process.
Exit status: 0 done, 1 a result is wrong, 2 usage, 77 nothing could be compared (the reason is printed).
"""
import argparse
import contextlib
import ctypes
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

SAMPLE_SECONDS, LEAST_ROUNDS, MOST_ROUNDS = 0.02, 3, 31
FAKE_EXTENT = 48
COUNTED = ("matmul_f32", "matmul_bf16", "matmul_f16", "matmul_tf32", "attention", "kmeans", "topk")  # the targets that are about peers
NOT_RUN, LOST = 77, 75
MODULES, MISSING = {}, {}
PEERS = []


class Cannot(Exception):
    """This peer cannot do this case; the text says why."""


def load(name):
    """A library, or why it is not there."""
    try:
        MODULES[name] = __import__(name)
    except Exception as error:  # a broken installation raises anything
        MISSING[name] = f"{type(error).__name__}: {error}".splitlines()[0]


# ---- Foghorn -----------------------------------------------------------------------------------------------------------------------


class Spec(ctypes.Structure):
    _fields_ = [(name, ctypes.c_char_p) for name in ("kernel", "shapes", "scalars", "target")]

    def label(self, most_extent):
        text = " ".join(self.shapes.decode().split(" ")[:2])
        return f"{text}, no extent over {most_extent}" if most_extent else text


def open_library(path):
    lib = ctypes.CDLL(path)
    pointer, text, whole, real = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_double
    signatures = {
        "gpu_case_at": (ctypes.POINTER(Spec), [whole]),
        "gpu_session_open": (pointer, [text, whole, text, whole]),
        "gpu_session_close": (None, [pointer]),
        "gpu_case_open": (pointer, [pointer, ctypes.POINTER(Spec), ctypes.c_int64, text, whole]),
        "gpu_case_close": (None, [pointer]),
        "gpu_case_sample": (real, [pointer, ctypes.c_long]),
        "gpu_case_why": (text, [pointer]),
        "gpu_case_run_once": (whole, [pointer]),
        "gpu_case_data": (pointer, [pointer, whole]),
        "gpu_case_view_count": (whole, [pointer]),
        "gpu_case_view_name": (text, [pointer, whole]),
        "gpu_case_view_dtype": (text, [pointer, whole]),
        "gpu_case_view_shape": (whole, [pointer, whole, ctypes.POINTER(ctypes.c_int64)]),
        "gpu_case_scalar": (real, [pointer, whole]),
        "gpu_case_operations": (real, [pointer]),
        "gpu_case_bytes": (real, [pointer]),
        "gpu_case_variant": (text, [pointer]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


class Case:
    """A case of the list on the device, with its operands as NumPy arrays."""

    TYPES = {"f32": "float32", "bf16": "uint16", "f16": "float16", "i32": "int32", "i64": "int64", "u8": "uint8", "i8": "int8"}

    def __init__(self, lib, session, spec, most_extent):
        why = ctypes.create_string_buffer(240)
        self.lib, self.kernel = lib, spec.kernel.decode()
        self.handle = lib.gpu_case_open(session, ctypes.byref(spec), most_extent, why, len(why))
        if not self.handle:
            raise Cannot(why.value.decode(errors="replace"))

    def close(self):
        self.lib.gpu_case_close(self.handle)

    def views(self):
        """The operands by name, inputs as they are, outputs as the last run_once left them."""
        numpy, views = MODULES["numpy"], {}
        for v in range(self.lib.gpu_case_view_count(self.handle)):
            shape = (ctypes.c_int64 * 8)()
            rank = self.lib.gpu_case_view_shape(self.handle, v, shape)
            dtype = numpy.dtype(self.TYPES[self.lib.gpu_case_view_dtype(self.handle, v).decode()])
            count = int(numpy.prod(shape[:rank]))
            memory = (ctypes.c_char * (count * dtype.itemsize)).from_address(self.lib.gpu_case_data(self.handle, v))
            views[self.lib.gpu_case_view_name(self.handle, v).decode()] = numpy.frombuffer(memory, dtype).reshape(shape[:rank])
        return views

    def scalar(self, index):
        return self.lib.gpu_case_scalar(self.handle, index)

    def why(self):
        return self.lib.gpu_case_why(self.handle).decode(errors="replace")

    def run_once(self):
        if self.lib.gpu_case_run_once(self.handle):
            raise Cannot(self.why())

    def sample(self, calls):
        seconds = self.lib.gpu_case_sample(self.handle, calls)
        if seconds < 0:
            raise Cannot(self.why())
        return seconds


# ---- peers -------------------------------------------------------------------------------------------------------------------------------


def peer(module, name, kernel, counts=True, tolerance=1e-3):
    """Marks a function of (case, views, on) that gives what is timed: a callable that gives the outputs, one for each of Foghorn's that is
    compared (None leaves one out)."""

    def add(make):
        PEERS.append({"module": module, "name": name, "kernel": kernel, "counts": counts, "tolerance": tolerance, "make": make})
        return make

    return add


def tensors(views, names, on):
    torch = MODULES["torch"]
    out = []
    for name in names:
        array = views[name]
        tensor = torch.from_numpy(array.view("int16") if array.dtype == "uint16" else array).to(on)
        if array.dtype == "uint16":
            tensor = tensor.view(torch.bfloat16)
        out.append(tensor.clone())  # on the CPU a tensor would share the memory of Foghorn's operand
    return out


@contextlib.contextmanager
def tf32(allowed):
    """The switch of PyTorch for f32 products."""
    switch = MODULES["torch"].backends.cuda.matmul
    before, switch.allow_tf32 = switch.allow_tf32, allowed
    try:
        yield
    finally:
        switch.allow_tf32 = before


@peer("torch", "PyTorch f32", "matmul")
def torch_matmul(case, views, on):
    torch = MODULES["torch"]
    a, b = tensors(views, "ab", on)
    c = torch.empty((a.shape[0], b.shape[1]), device=on)
    return lambda: (torch.matmul(a, b, out=c),)


@peer("torch", "PyTorch TF32, another arithmetic", "matmul", counts=False, tolerance=1e-2)
def torch_matmul_tf32(case, views, on):
    if on == "cpu":
        raise Cannot("a CPU has no TF32")
    torch = MODULES["torch"]
    a, b = tensors(views, "ab", on)
    c = torch.empty((a.shape[0], b.shape[1]), device=on)

    def run():
        with tf32(True):
            return (torch.matmul(a, b, out=c),)

    return run


@peer("torch", "PyTorch bf16", "matmul_bf16", tolerance=1e-2)
def torch_matmul_bf16(case, views, on):
    """Its result is bf16: half the bytes to write, and rounded once more."""
    torch = MODULES["torch"]
    a, b = tensors(views, "ab", on)
    c = torch.empty((a.shape[0], b.shape[1]), device=on, dtype=torch.bfloat16)
    return lambda: (torch.matmul(a, b, out=c),)


@peer("torch", "PyTorch f16", "matmul_f16", tolerance=1e-2)
def torch_matmul_f16(case, views, on):
    """Its result is f16: half the bytes to write, and rounded once more."""
    torch = MODULES["torch"]
    a, b = tensors(views, "ab", on)
    c = torch.empty((a.shape[0], b.shape[1]), device=on, dtype=torch.float16)
    return lambda: (torch.matmul(a, b, out=c),)


@peer("torch", "PyTorch TF32", "matmul_tf32", tolerance=1e-2)
def torch_matmul_as_tf32(case, views, on):
    return torch_matmul_tf32(case, views, on)


@peer("torch", "PyTorch", "softmax")
def torch_softmax(case, views, on):
    torch = MODULES["torch"]
    (x,) = tensors(views, "x", on)
    y = torch.empty_like(x)
    return lambda: (torch.softmax(x, -1, out=y),)


@peer("torch", "PyTorch", "layer_norm")
def torch_layer_norm(case, views, on):
    functional = MODULES["torch"].nn.functional
    x, gamma, beta = tensors(views, ("x", "gamma", "beta"), on)
    eps = case.scalar(0)
    return lambda: (functional.layer_norm(x, x.shape[-1:], gamma, beta, eps),)


@peer("torch", "PyTorch sum", "reduce")
def torch_sum(case, views, on):
    torch = MODULES["torch"]
    (x,) = tensors(views, "x", on)
    y = torch.empty(x.shape[:-1], device=on)
    return lambda: (torch.sum(x, -1, out=y),)


def torch_unary(kernel, make):
    @peer("torch", "PyTorch", kernel)
    def unary(case, views, on):
        (x,) = tensors(views, "x", on)
        y = MODULES["torch"].empty_like(x)
        run = make(MODULES["torch"])
        return lambda: (run(x, y),)


torch_unary("exp", lambda t: lambda x, y: t.exp(x, out=y))
torch_unary("tanh", lambda t: lambda x, y: t.tanh(x, out=y))
torch_unary("gelu", lambda t: lambda x, y: t.nn.functional.gelu(x))


def attention(name, backend):
    """backend: of torch.nn.attention, None for PyTorch's own choice. Keys and values of shared heads are repeated beforehand, untimed."""

    @peer("torch", name, "attention")
    def make(case, views, on):
        torch = MODULES["torch"]
        functional = torch.nn.functional
        if not hasattr(functional, "scaled_dot_product_attention"):
            raise Cannot(f"PyTorch {torch.__version__} has no scaled_dot_product_attention")
        q, k, v = tensors(views, "qkv", on)
        group = q.shape[1] // k.shape[1]
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        causal, scale = bool(case.scalar(0)), case.scalar(1)
        if causal and q.shape[2] != k.shape[2]:
            raise Cannot("its causal mask begins at the first key")

        def run():
            return (functional.scaled_dot_product_attention(q, k, v, is_causal=causal, scale=scale),)

        if backend is None:
            return run
        from torch.nn.attention import SDPBackend, sdpa_kernel

        def on_backend():
            with sdpa_kernel(getattr(SDPBackend, backend)):
                return run()

        return on_backend


attention("PyTorch SDPA", None)
attention("PyTorch SDPA, memory efficient", "EFFICIENT_ATTENTION")
attention("PyTorch SDPA, cuDNN", "CUDNN_ATTENTION")
attention("PyTorch SDPA, plain", "MATH")


def kmeans(name, distances, sums):
    """One iteration: labels, squared distances without the row's own square, sums and counts."""

    @peer("torch", name, "kmeans_step")
    def make(case, views, on):
        torch = MODULES["torch"]
        x, c = tensors(views, "xc", on)
        if sums == "one-hot product" and x.shape[0] * c.shape[0] * 4 > 8 << 30:
            raise Cannot("its one-hot matrix takes more than 8 GiB")

        def run():
            if distances == "product":
                nearest = torch.addmm((c * c).sum(1), x, c.t(), alpha=-2).argmin(1)
            else:
                nearest = torch.cdist(x, c).argmin(1)
            counts = torch.bincount(nearest, minlength=c.shape[0])
            if sums == "index_add":
                total = torch.zeros_like(c).index_add_(0, nearest, x)
            else:
                total = torch.nn.functional.one_hot(nearest, c.shape[0]).to(x.dtype).t() @ x
            return nearest, None, total, counts

        return run


kmeans("PyTorch product, index_add", "product", "index_add")
kmeans("PyTorch product, one-hot product", "product", "one-hot product")
kmeans("PyTorch cdist, index_add", "cdist", "index_add")


def topk(name, distances):
    @peer("torch", name, "topk")
    def make(case, views, on):
        torch = MODULES["torch"]
        q, x = tensors(views, "qx", on)
        k, squares = views["values"].shape[1], (x * x).sum(1)

        def run():
            if distances == "product":
                found = torch.addmm(squares, q, x.t(), alpha=-2).topk(k, largest=False)
                return found.values + (q * q).sum(1, keepdim=True), None
            found = torch.cdist(q, x).topk(k, largest=False)
            return found.values.square(), None

        return run


topk("PyTorch product, topk", "product")
topk("PyTorch cdist, topk", "cdist")


@peer("cupy", "CuPy", "matmul")
def cupy_matmul(case, views, on):
    cupy = MODULES["cupy"]
    a, b = cupy.asarray(views["a"]), cupy.asarray(views["b"])
    c = cupy.empty((a.shape[0], b.shape[1]), cupy.float32)
    return lambda: (cupy.matmul(a, b, out=c),)


@peer("cupy", "CuPy", "reduce")
def cupy_sum(case, views, on):
    cupy = MODULES["cupy"]
    x = cupy.asarray(views["x"])
    y = cupy.empty(x.shape[:-1], cupy.float32)
    return lambda: (x.sum(-1, out=y),)


@peer("cupy", "CuPy", "exp")
def cupy_exp(case, views, on):
    cupy = MODULES["cupy"]
    x = cupy.asarray(views["x"])
    y = cupy.empty_like(x)
    return lambda: (cupy.exp(x, out=y),)


def triton_softmax_kernel():
    """One program for each row, the row in registers: the kernel of Triton's own tutorial in its plainest form."""
    import triton
    import triton.language as tl

    @triton.jit
    def row_softmax(y, x, columns, BLOCK: tl.constexpr):
        row = tl.program_id(0).to(tl.int64) * columns
        at = tl.arange(0, BLOCK)
        values = tl.load(x + row + at, mask=at < columns, other=-float("inf"))
        weights = tl.exp(values - tl.max(values, 0))
        tl.store(y + row + at, weights / tl.sum(weights, 0), mask=at < columns)

    return triton, row_softmax


@peer("triton", "Triton", "softmax")
def triton_softmax(case, views, on):
    if on == "cpu":
        raise Cannot("Triton has no CPU")
    if "torch" not in MODULES:
        raise Cannot("Triton needs PyTorch's memory")
    triton, kernel = triton_softmax_kernel()
    (x,) = tensors(views, "x", on)
    y = MODULES["torch"].empty_like(x)

    def run():
        kernel[(x.shape[0],)](y, x, x.shape[1], BLOCK=triton.next_power_of_2(x.shape[1]))
        return (y,)

    return run


# ---- right? -------------------------------------------------------------------------------------------------------------------------------


def to_numpy(output):
    if hasattr(output, "get"):  # CuPy
        return output.get()
    if "torch" in MODULES and isinstance(output, MODULES["torch"].Tensor):
        return (output.float() if output.is_floating_point() else output).cpu().numpy()
    return output


def difference(own, other):
    """Of numbers: ||own - other|| / ||other||. Of whole numbers: the part that differs, for two neighbours may be equally near."""
    numpy = MODULES["numpy"]
    if own.shape != other.shape:
        return float("inf")
    if own.dtype.kind in "iu":
        return float((own != other).mean())
    finite = numpy.isfinite(other)
    if not numpy.array_equal(own[~finite], other[~finite], equal_nan=True):
        return float("nan")
    off = numpy.linalg.norm(own[finite].astype("float64") - other[finite])
    size = numpy.linalg.norm(other[finite].astype("float64"))
    return float(off / size if size else off)


def check(own_outputs, outputs, tolerance):
    for name, own, output in zip(own_outputs.keys(), own_outputs.values(), outputs):
        if output is None:
            continue
        off = difference(own, to_numpy(output))
        if not off <= tolerance:  # NaN is wrong as well
            raise Cannot(f"WRONG: its {name} and Foghorn's differ by {off:.2g}, more than {tolerance:g}")


# ---- times --------------------------------------------------------------------------------------------------------------------------------


def synchronizer(module, on):
    if module == "cupy":
        return MODULES["cupy"].cuda.Device().synchronize
    return (lambda: None) if on == "cpu" else MODULES["torch"].cuda.synchronize


def sampler(run, synchronize):
    def sample(calls):
        begin = time.perf_counter()
        for _ in range(calls):
            run()
        synchronize()
        return time.perf_counter() - begin

    return sample


def calls_for(sample):
    """As many calls as last SAMPLE_SECONDS; the first only warms up."""
    sample(1)
    calls, took = 1, sample(1)
    while took < SAMPLE_SECONDS / 4 and calls < 1 << 20:
        calls *= 4
        took = sample(calls)
    return max(1, round(SAMPLE_SECONDS / max(took / calls, 1e-9)))


def take_turns(samplers, seconds):
    """Seconds of one call, by contender and round."""
    calls = {name: calls_for(sample) for name, sample in samplers.items()}
    names, times = list(samplers), {name: [] for name in samplers}
    begin = time.perf_counter()
    for turn in range(MOST_ROUNDS):
        if turn >= LEAST_ROUNDS and time.perf_counter() - begin > seconds:
            break
        for name in names[turn % len(names):] + names[:turn % len(names)]:
            times[name].append(samplers[name](calls[name]) / calls[name])
    return times


def figures(name, kind, times):
    spread = statistics.quantiles(times, n=10, method="inclusive")
    return {"name": name, "kind": kind, "median_s": statistics.median(times), "p10_s": spread[0], "p90_s": spread[-1], "rounds": len(times)}


# ---- rows ---------------------------------------------------------------------------------------------------------------------------------


def not_run(p, why):
    return {"name": p["name"], "kind": "peer", "not_run": str(why).splitlines()[0][:200] if str(why) else type(why).__name__}


def prepare(p, case, views, own_outputs, on):
    """The peer's sampler, its result checked."""
    if p["module"] in MISSING:
        raise Cannot(MISSING[p["module"]])
    run = p["make"](case, views, on)
    synchronize = synchronizer(p["module"], on)
    check(own_outputs, run(), p["tolerance"])
    synchronize()
    return sampler(run, synchronize)


def measure(case, row, peers, on, seconds):
    inputs = case.views()
    case.run_once()
    own_outputs = {name: array.copy() for name, array in case.views().items() if name in OUTPUTS[case.kernel]}
    samplers, results = {"Foghorn": case.sample}, []
    for p in peers:
        try:
            samplers[p["name"]] = prepare(p, case, inputs, own_outputs, on)
        except Exception as error:  # a peer may fail in any way; the others go on
            results.append(not_run(p, error))
    if len(samplers) > 1:
        times = take_turns(samplers, seconds)
        results = [figures(name, "peer" if name != "Foghorn" else "foghorn", values) for name, values in times.items()] + results
        counted = [r["median_s"] for r in results for p in peers if p["name"] == r["name"] and p["counts"] and "median_s" in r]
        if counted:
            row["value"] = min(counted) / results[0]["median_s"]
    row["results"] = results


OUTPUTS = {
    "matmul": ("c",), "matmul_bf16": ("c",), "matmul_f16": ("c",), "matmul_tf32": ("c",), "attention": ("y",),
    "kmeans_step": ("labels", "distances", "sums", "counts"), "topk": ("values",),
    "softmax": ("y",), "layer_norm": ("y",), "reduce": ("y",), "exp": ("y",), "tanh": ("y",), "gelu": ("y",),
}


def write(path, document):
    """Whole or not at all: a run that is cut short leaves what it has."""
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(document, indent=1) + "\n")
    temporary.replace(path)


def is_lost(on):
    """A fault ends the context that all libraries of the process share."""
    if on == "cpu":
        return False
    try:
        for module in {"torch", "cupy"} & MODULES.keys():
            synchronizer(module, on)()
    except Exception:  # each library has its own
        return True
    return False


def measure_all(options, lib, session, document, on):
    most_extent, i = FAKE_EXTENT if options.fake else 0, -1
    while spec := lib.gpu_case_at(i + 1):
        i, spec = i + 1, spec.contents
        peers = [p for p in PEERS if p["kernel"] == spec.kernel.decode()]
        if not peers or i < options.first:
            continue
        target = spec.target.decode() if spec.target.decode() in COUNTED else ""
        row = {"kernel": spec.kernel.decode(), "case": spec.label(most_extent), "target": target, "results": []}
        document["rows"].append(row)
        if all(p["module"] in MISSING for p in peers):
            row["results"] = [not_run(p, MISSING[p["module"]]) for p in peers]
        elif time.monotonic() - document["begin"] > options.seconds:
            row["not_run"] = "the time for this part was used up"
        else:
            print(row["kernel"], row["case"], file=sys.stderr, flush=True)
            row["not_run"], document["reached"] = "its process crashed", i + 1
            write(options.out, document)
            del row["not_run"]
            measure_case(lib, session, spec, most_extent, row, peers, on, options.case_seconds)
            if is_lost(on):
                write(options.out, document)
                sys.stdout.flush()
                os._exit(LOST)
        write(options.out, document)


def measure_case(lib, session, spec, most_extent, row, peers, on, seconds):
    try:
        case = Case(lib, session, spec, most_extent)
        try:
            row |= {"operations": lib.gpu_case_operations(case.handle), "bytes": lib.gpu_case_bytes(case.handle),
                    "variant": lib.gpu_case_variant(case.handle).decode()}
            measure(case, row, peers, on, seconds)
        finally:
            case.close()
    except Exception as error:  # memory that is not there, a device that fails: the next case may do
        row["not_run"] = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    if "torch" in MODULES and on != "cpu":
        MODULES["torch"].cuda.empty_cache()


def find_modules(fake):
    """PyTorch comes before Foghorn's library: it brings a C++ library that must not be replaced by an older one."""
    for name in ("numpy", "torch", "cupy", "triton"):
        load(name)
    if "torch" in MODULES:
        torch = MODULES["torch"]
        torch.set_grad_enabled(False)
        torch.backends.cuda.matmul.allow_tf32 = False
        if not fake and not torch.cuda.is_available():
            MISSING["torch"] = f"PyTorch {torch.__version__} sees no CUDA device"
    if fake:
        for name in ("cupy", "triton"):
            MODULES.pop(name, None)
            MISSING.setdefault(name, "it has no use for a stand-in driver")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--library", required=True)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--fake", action="store_true")
    parser.add_argument("--seconds", type=float, default=90)
    parser.add_argument("--case-seconds", type=float, default=1.2)
    parser.add_argument("--first", type=int, help=argparse.SUPPRESS)  # case, of the process that measures
    options = parser.parse_args()
    return watch(options) if options.first is None else measure_here(options)


def reached(path):
    """The case behind the one that a process was in when it ended."""
    try:
        return json.loads(path.read_text()).get("reached", 0)
    except (OSError, ValueError):
        return 0


def watch(options):
    """Exit status. The process that measures may end at a case; another goes on behind it."""
    first = 0
    options.out.unlink(missing_ok=True)
    while True:
        code = subprocess.run([sys.executable, *sys.argv, "--first", str(first)], check=False).returncode
        if code in (0, 1, 2, NOT_RUN):
            return code if first == 0 else 1
        print(f"FAIL: a process ended with status {code}" + (", the device was lost" if code == LOST else ""), flush=True)
        if reached(options.out) <= first:
            return 1
        first = reached(options.out)


def measure_here(options):
    find_modules(options.fake)
    if "numpy" in MISSING:
        MISSING.update({name: f"NumPy is not here: {MISSING['numpy']}" for name in ("torch", "cupy", "triton")})
    lib = open_library(os.path.abspath(options.library))
    why = ctypes.create_string_buffer(240)
    session = lib.gpu_session_open(options.device.encode(), options.fake, why, len(why))
    if not session:
        print("NOT RUN:", why.value.decode(errors="replace"))
        return NOT_RUN
    libraries = {name: getattr(module, "__version__", "?") for name, module in MODULES.items()} | {name: f"NOT RUN: {text}" for name, text in MISSING.items()}
    document = {"schema": "foghorn.gpu-measurement/1", "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "fake": options.fake, "device": options.device, "libraries": libraries, "limits": [], "rows": [], "begin": time.monotonic()}
    if options.first > 0:
        document = json.loads(options.out.read_text())
    measure_all(options, lib, session, document, "cpu" if options.fake else options.device)
    lib.gpu_session_close(session)
    for own in ("begin", "reached"):
        document.pop(own, None)
    write(options.out, document)
    compared = sum(1 for row in document["rows"] for r in row["results"] if r["kind"] == "peer" and "median_s" in r)
    wrong = sorted({f"{row['kernel']} {row['case']}: {r['name']}" for row in document["rows"] for r in row["results"] if "WRONG" in r.get("not_run", "")})
    for text in wrong:
        print("WRONG:", text)
    for name, text in MISSING.items():
        print(f"NOT RUN: {name}: {text}")
    print(f"{compared} peers in {len(document['rows'])} cases{': of the stand-in driver, no GPU was measured' if options.fake else ''}")
    if not compared:
        print("NOT RUN: nothing could be compared")
        return NOT_RUN
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
