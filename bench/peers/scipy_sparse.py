#!/usr/bin/python3
"""SciPy as a peer of sparse matrices. SPDX-License-Identifier: Apache-2.0"""
import scipy
from scipy import sparse

from serve import peer, serve


@peer("SciPy", "csr_matvec", version=scipy.__version__, tolerance=1e-3)
def csr_matvec(case):
    values, columns, offsets, x = (case.view(name) for name in ("values", "columns", "offsets", "x"))
    matrix = sparse.csr_matrix((values, columns, offsets), shape=(len(offsets) - 1, len(x)))
    return lambda: matrix @ x


serve()
