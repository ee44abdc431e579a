"""Where the quotient of gelu in kernels/dialect/maths.h comes from. SPDX-License-Identifier: Apache-2.0

R(a) = exp(a^2 / 2) erfc(a / sqrt 2) / 2 on [0, 14.6] as P / Q of degrees 4 and 5, relative error minimax: linear least squares with the last
denominator as a weight (Sanathanan and Koerner, 1963) and Lawson's weights (1961). Then the coefficients become floats one after the
other, the free ones fitted again each time, for some neighbours of Q; the best is kept. Needs python3-numpy and python3-mpmath.
"""
import random

import mpmath
import numpy

NUMERATOR, DENOMINATOR, END, CENTRE = 4, 5, 14.6, 2.0
mpmath.mp.dps = 30


def grid(count):
    """Chebyshev's points of a / (a + CENTRE): dense where R bends."""
    unit = numpy.cos(numpy.pi * (numpy.arange(count) + 0.5) / count) * 0.5 + 0.5
    unit *= END / (END + CENTRE)
    a = CENTRE * unit / (1 - unit)
    exact = [float(mpmath.exp(v * v / 2) * mpmath.erfc(v / mpmath.sqrt(2)) / 2) for v in map(mpmath.mpf, a)]
    return a, numpy.array(exact)


def powers(a, degree):
    return numpy.vander(a, degree + 1, increasing=True)


def minimax():
    a, exact = grid(600)
    lawson, below, best = numpy.ones(len(a)), numpy.ones(len(a)), None
    for _ in range(300):
        weight = numpy.sqrt(lawson) / (below * exact)
        columns = numpy.hstack([powers(a, NUMERATOR), -exact[:, None] * powers(a, DENOMINATOR)[:, 1:]]) * weight[:, None]
        size = numpy.linalg.norm(columns, axis=0)
        found = numpy.linalg.lstsq(columns / size, exact * weight, rcond=None)[0] / size
        q = numpy.concatenate([[1], found[NUMERATOR + 1 :]])
        below = powers(a, DENOMINATOR) @ q
        error = numpy.abs(powers(a, NUMERATOR) @ found[: NUMERATOR + 1] / below / exact - 1)
        if best is None or error.max() < best[0]:
            best = error.max(), q
        lawson = lawson * (error + error.max() * 1e-6)
        lawson /= lawson.sum()
    return best[1]


def rounded_numerator(a, exact, below):
    left, p = exact * below, numpy.zeros(NUMERATOR + 1)
    for k in range(NUMERATOR + 1):
        columns = powers(a, NUMERATOR)[:, k:] / (exact * below)[:, None]
        p[k] = numpy.float32(numpy.linalg.lstsq(columns, left / (exact * below), rcond=None)[0][0])
        left = left - p[k] * a**k
    return p


def main():
    random.seed(1)
    q = minimax()
    a, exact = grid(800)
    best = None
    for trial in range(400):
        near = [numpy.float32(c * (1 + (random.randint(-3, 3) * 2.0**-24 if trial and i else 0))) for i, c in enumerate(q)]
        near = numpy.array(near, dtype=float)
        below = powers(a, DENOMINATOR) @ near
        p = rounded_numerator(a, exact, below)
        error = numpy.abs(powers(a, NUMERATOR) @ p / below / exact - 1).max() * 2**24
        if best is None or error < best[0]:
            best = error, p, near
    print("error", best[0], "2^-24")
    print("P", [float(c).hex() for c in best[1]])
    print("Q", [float(c).hex() for c in best[2]])


main()
