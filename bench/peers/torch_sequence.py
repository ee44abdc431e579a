#!/usr/bin/python3
"""PyTorch as a peer of sequence models. SPDX-License-Identifier: Apache-2.0"""
import torch
import torch.nn.functional as F

from serve import Cannot, peer, serve

VERSION = torch.__version__
torch.set_grad_enabled(False)


def operands(case, *names):
    """The case's views as tensors that share their memory."""
    torch.set_num_threads(case.threads)
    return [torch.from_numpy(case.view(name)) for name in names]


@peer("PyTorch", "gather", version=VERSION)
def gather(case):
    x, ids = operands(case, "x", "ids")
    ids, scale = ids.long(), float(case.scalars["scale"])
    if x.dim() == 1:
        return lambda: x.index_select(0, ids)
    if scale == 1:
        return lambda: F.embedding(ids, x)
    return lambda: F.embedding(ids, x) * scale


@peer("PyTorch conv1d", "causal_conv1d", version=VERSION, tolerance=1e-4)
def causal_conv1d(case):
    x, weights, bias, state = operands(case, "x", "weights", "bias", "state")
    channels, past, silu = x.shape[1], weights.shape[1] - 1, case.scalars["silu"]
    if past == 0:
        raise Cannot("one tap is a product, not a filter")

    def run():
        line = torch.cat([state, x], dim=2)
        y = F.conv1d(line, weights[:, None, :], bias, groups=channels)
        return line[:, :, -past:].clone(), F.silu(y) if silu else y

    return run


@peer("PyTorch, sample by sample", "selective_scan", version=VERSION, tolerance=1e-3)
def selective_scan(case):
    """The published reference: a loop over the samples of each sequence; sequences of one length go side by side."""
    u, delta, a, b, c, skip, bias, gate = operands(case, "u", "delta", "a", "b", "c", "skip", "bias", "gate")
    offsets, state = operands(case, "offsets", "state")
    edges = offsets.tolist()
    lengths = {end - begin for begin, end in zip(edges, edges[1:])}
    softplus, gated = case.scalars["softplus"], case.scalars["gated"]

    def batch(h, dt, u, b, c):
        """(sequences, samples, ...) -> the sums of each sample, and the states after the last."""
        sums = []
        for t in range(u.shape[1]):
            h = torch.exp(dt[:, t, :, None] * a) * h + (dt[:, t] * u[:, t])[..., None] * b[:, t, None, :]
            sums.append((h @ c[:, t, :, None])[..., 0])
        return torch.stack(sums, 1) if sums else u, h

    def run():
        dt = F.softplus(delta + bias) if softplus else delta
        if len(lengths) == 1:
            shape = (len(edges) - 1, edges[1])
            y, h = batch(state, *(x.reshape(*shape, -1) for x in (dt, u, b, c)))
            y = y.reshape(u.shape)
        else:
            parts = [batch(state[i:i + 1], *(x[None, begin:end] for x in (dt, u, b, c))) for i, (begin, end) in enumerate(zip(edges, edges[1:]))]
            y, h = torch.cat([y[0] for y, _ in parts]), torch.cat([h for _, h in parts])
        y = y + skip * u
        return h, y * F.silu(gate) if gated else y

    return run


serve()
