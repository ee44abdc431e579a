#!/usr/bin/python3
"""PyTorch as a peer of element-wise functions, rows and products. SPDX-License-Identifier: Apache-2.0"""
from serve import Cannot, bind_openmp, peer, serve

bind_openmp(after="libblas.so.3")
import torch
from torch.nn import functional

VERSION = torch.__version__


def tensors(case, *names):
    torch.set_num_threads(case.threads)
    torch.set_grad_enabled(False)
    return [torch.from_numpy(case.view(name)) for name in names]


def result_of(case, like):
    """Memory for the result, there before the first call as Foghorn's is; compact."""
    return torch.empty(case.views[case.order[0]]["shape"], dtype=like.dtype)


def element_wise(kernel, function, **options):
    @peer("PyTorch", kernel, version=VERSION, tolerance=1e-3)
    def make(case):
        (x,) = tensors(case, "x")
        y = torch.empty_like(x)
        return lambda: function(x, out=y, **options)


for name in ("exp", "log", "tanh", "sigmoid", "erf", "sin", "cos"):
    element_wise(name, getattr(torch, name))
element_wise("silu", torch._C._nn.silu)  # what functional.silu calls, which itself takes no out
element_wise("gelu", torch._C._nn.gelu)
element_wise("gelu_tanh", torch._C._nn.gelu, approximate="tanh")


@peer("PyTorch", "softmax", version=VERSION)
def softmax(case):
    (x,) = tensors(case, "x")
    y = result_of(case, x)
    return lambda: torch.softmax(x, -1, out=y)


@peer("PyTorch", "layer_norm", version=VERSION)
def layer_norm(case):
    """Allocates its result in every call: PyTorch has no layer_norm that writes to given memory without a copy."""
    x, gamma, beta = tensors(case, "x", "gamma", "beta")
    return lambda: functional.layer_norm(x, x.shape[-1:], gamma, beta, case.scalars["eps"])


@peer("PyTorch", "l2_normalize", version=VERSION)
def l2_normalize(case):
    (x,) = tensors(case, "x")
    y, eps = result_of(case, x), case.scalars.get("eps", 0)
    return lambda: functional.normalize(x, dim=-1, eps=eps, out=y)


# In place, by Foghorn's numbers.
ACTIVATIONS = [
    lambda c: c,
    torch.relu_,
    lambda c: torch._C._nn.gelu(c, out=c),
    lambda c: torch._C._nn.gelu(c, approximate="tanh", out=c),
    lambda c: functional.silu(c, inplace=True),
    torch.sigmoid_,
    torch.tanh_,
]


@peer("PyTorch", "matmul_fused", version=VERSION)
def matmul_fused(case):
    a, b, d = tensors(case, "a", "b", "d")
    if d.ndim != 1:
        raise Cannot("its linear layer adds one row")
    c, product = result_of(case, a), torch.addmm if a.ndim == 2 else torch.baddbmm
    activate = ACTIVATIONS[int(case.scalars["activation"])]

    def run():
        product(d, a, b, out=c)
        return activate(c)

    return run


@peer("PyTorch", "matmul", version=VERSION)
def matmul(case):
    a, b = tensors(case, "a", "b")
    c = result_of(case, a)
    return lambda: torch.matmul(a, b, out=c)


@peer("PyTorch", "permute", version=VERSION)
def permute(case):
    (x,) = tensors(case, "x")
    axes = [int(case.scalars[f"axis{i}"]) for i in range(x.ndim)]
    y = result_of(case, x)
    return lambda: y.copy_(x.permute(axes))


serve()
