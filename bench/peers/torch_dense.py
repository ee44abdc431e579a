#!/usr/bin/python3
"""PyTorch as a peer of element-wise functions, rows and products. SPDX-License-Identifier: Apache-2.0"""
import torch
from torch.nn import functional

from serve import Cannot, peer, serve

VERSION = torch.__version__


def tensors(case, *names):
    torch.set_num_threads(case.threads)
    torch.set_grad_enabled(False)
    return [torch.from_numpy(case.view(name)) for name in names]


def element_wise(kernel, function):
    @peer("PyTorch", kernel, version=VERSION, tolerance=1e-3)
    def make(case):
        (x,) = tensors(case, "x")
        y = torch.empty_like(x)
        if kernel in ("silu", "gelu", "gelu_tanh"):
            return lambda: function(x)
        return lambda: function(x, out=y)


for name in ("exp", "log", "tanh", "sigmoid", "erf", "sin", "cos"):
    element_wise(name, getattr(torch, name))
element_wise("silu", functional.silu)
element_wise("gelu", functional.gelu)
element_wise("gelu_tanh", lambda x: functional.gelu(x, approximate="tanh"))


@peer("PyTorch", "softmax", version=VERSION)
def softmax(case):
    (x,) = tensors(case, "x")
    return lambda: torch.softmax(x, -1)


@peer("PyTorch", "layer_norm", version=VERSION)
def layer_norm(case):
    x, gamma, beta = tensors(case, "x", "gamma", "beta")
    return lambda: functional.layer_norm(x, x.shape[-1:], gamma, beta, case.scalars["eps"])


@peer("PyTorch", "l2_normalize", version=VERSION)
def l2_normalize(case):
    (x,) = tensors(case, "x")
    return lambda: functional.normalize(x, dim=-1, eps=case.scalars.get("eps", 0))


@peer("PyTorch", "matmul_fused", version=VERSION)
def matmul_fused(case):
    a, b, d = tensors(case, "a", "b", "d")
    if d.ndim != 1:
        raise Cannot("its linear layer adds one row")

    def run():
        c = torch.addmm(d, a, b) if a.ndim == 2 else torch.baddbmm(d, a, b)
        return c.relu_() if case.scalars["activation"] else c

    return run


@peer("PyTorch", "matmul", version=VERSION)
def matmul(case):
    a, b = tensors(case, "a", "b")
    return lambda: torch.matmul(a, b)


@peer("PyTorch", "permute", version=VERSION)
def permute(case):
    (x,) = tensors(case, "x")
    axes = [int(case.scalars[f"axis{i}"]) for i in range(x.ndim)]
    return lambda: x.permute(axes).contiguous()


serve()
