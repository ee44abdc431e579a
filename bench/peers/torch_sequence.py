#!/usr/bin/python3
"""PyTorch as a peer of sequence models. SPDX-License-Identifier: Apache-2.0"""
from serve import Cannot, bind_openmp, peer, serve

bind_openmp(after="libblas.so.3")
import torch
import torch.nn.functional as F

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
    y = torch.empty(case.views["y"]["shape"], dtype=x.dtype)
    if scale == 1:
        return lambda: torch.index_select(x, 0, ids, out=y)
    return lambda: torch.index_select(x, 0, ids, out=y).mul_(scale)


@peer("PyTorch matmul, softmax", "attention", version=VERSION, tolerance=1e-4)
def attention(case):
    q, k, v = operands(case, "q", "k", "v")
    scale, group, (queries, keys) = float(case.scalars["scale"]), q.shape[1] // k.shape[1], (q.shape[2], k.shape[2])
    mask = None
    if case.scalars["causal"] and queries > 1:
        mask = torch.full((queries, keys), float("-inf")).triu(1 + keys - queries)

    def run():
        key, value = (x.repeat_interleave(group, 1) if group > 1 else x for x in (k, v))
        scores = torch.matmul(q * scale, key.transpose(2, 3))
        return torch.matmul(torch.softmax(scores if mask is None else scores + mask, -1), value)

    return run


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


def philox(row, offset, seed):
    """Word 0 of Philox 4x32-10: the contract's random number of a row."""
    mask = 0xFFFFFFFF
    c, k = [row & mask, row >> 32 & mask, offset & mask, offset >> 32 & mask], [seed & mask, seed >> 32 & mask]
    for _ in range(10):
        a, b = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [b >> 32 ^ c[1] ^ k[0], b & mask, a >> 32 ^ c[3] ^ k[1], a & mask]
        k = [k[0] + 0x9E3779B9 & mask, k[1] + 0xBB67AE85 & mask]
    return c[0]


@peer("PyTorch topk, sort", "sample", version=VERSION)
def sample(case):
    """Filters as text generation has them, and one number of the contract's for each row in place of multinomial's own."""
    (logits,) = operands(case, "logits")
    temperature, top_k, top_p = float(case.scalars["temperature"]), int(case.scalars["top_k"]), float(case.scalars["top_p"])
    seed, offset = int(case.scalars["seed"]), int(case.scalars["offset"])
    points = torch.tensor([(philox(row, offset, seed) >> 8) / 2**24 for row in range(logits.shape[0])], dtype=torch.float64)[:, None]

    def run():
        if temperature == 0:
            return logits.argmax(1).int()
        x = logits / temperature
        if 0 < top_k < x.shape[1]:
            x = x.masked_fill(x < torch.topk(x, top_k)[0][:, -1:], float("-inf"))
        if 0 < top_p < 1:
            ordered, places = torch.sort(x, descending=True)
            weights = torch.softmax(ordered, 1)
            dropped = weights.cumsum(1) - weights > top_p
            x = x.masked_fill(torch.zeros_like(dropped).scatter(1, places, dropped), float("-inf"))
        sums = torch.softmax(x, 1).double().cumsum(1)
        return torch.searchsorted(sums, points * sums[:, -1:], right=True)[:, 0].int()

    return run


serve()
