#!/usr/bin/python3
"""SciPy as a peer of signals. SPDX-License-Identifier: Apache-2.0"""
import numpy as np
import scipy
import scipy.fft
import scipy.signal

from serve import Cannot, peer, serve

VERSION = scipy.__version__


@peer("SciPy", "fft", version=VERSION)
def fft(case):
    x = case.view("x")

    def run():
        y = scipy.fft.rfft(x, workers=case.threads)
        return y.view(np.float32).reshape(*y.shape, 2)

    return run


@peer("SciPy lfilter", "fir", version=VERSION)
def fir(case):
    x, taps, state = case.view("x"), case.view("taps"), case.view("state")
    past = len(taps) - 1
    if past == 0:
        raise Cannot("one tap is a product, not a filter")

    def run():
        # lfilter keeps sums, not samples: what the past adds to the first outputs
        zi = np.stack([np.convolve(s, taps)[past:] for s in state]).astype(np.float32)
        y, _ = scipy.signal.lfilter(taps, np.float32([1]), x, zi=zi)
        return np.concatenate([state, x], axis=1)[:, -past:], y

    return run


@peer("SciPy oaconvolve", "fir", version=VERSION)
def fir_blocks(case):
    x, taps, state = case.view("x"), case.view("taps"), case.view("state")
    past = len(taps) - 1

    def run():
        line = np.concatenate([state, x], axis=1)
        return line[:, line.shape[1] - past:], scipy.signal.oaconvolve(line, taps[None, :], mode="valid", axes=1)

    return run


@peer("SciPy sosfilt", "biquad", version=VERSION)
def biquad(case):
    x, sections, state = case.view("x"), case.view("sections"), case.view("state")
    ones = np.ones((*sections.shape[:2], 1), np.float32)
    sos = np.concatenate([sections[..., :3], ones, sections[..., 3:]], axis=2)

    def run():
        y, s = np.empty_like(x), np.empty_like(state)
        for c in range(len(x)):
            y[c], s[c] = scipy.signal.sosfilt(sos[c], x[c], zi=state[c])
        return s, y

    return run


@peer("SciPy upfirdn", "resample", version=VERSION)
def resample(case):
    """What resample_poly does once its filter is made."""
    x, taps, outputs = case.view("x"), case.view("taps"), case.views["y"]["shape"][1]
    down, first = int(case.scalars["down"]), int(case.scalars["first"])
    up, k = taps.shape
    h = taps[:, ::-1].T.reshape(-1)  # value p + (k - 1 - t) up is taps[p, t]
    # upfirdn begins at the first value: shift the filter so that `first` is a multiple of down
    shift = -first % down
    h = np.concatenate([np.zeros(shift, np.float32), h])
    begin = (first + shift) // down

    def run():
        y = scipy.signal.upfirdn(h, x, up, down, axis=1)[:, begin:begin + outputs]
        return np.ascontiguousarray(y)

    return run


serve()
