# Mojo as a peer: matmul, the assignment of k-means and sums of rows, written as its documentation would. SPDX-License-Identifier: Apache-2.0
from std.sys import simd_width_of

comptime W = simd_width_of[DType.float32]()
comptime Vector = SIMD[DType.float32, W]
comptime Floats = Pointer[Float32, MutAnyOrigin]
comptime Ints = Pointer[Int32, MutAnyOrigin]
comptime ROWS = 4
comptime WIDE = 4 * W
comptime Wide = SIMD[DType.float32, WIDE]


@export
def row_sum(x: Floats, result: Floats, rows: Int, d: Int) abi("C"):
    for r in range(rows):
        var row = x.unsafe_offset(r * d)
        var sums = Wide(0)
        var i = 0
        while i + WIDE <= d:
            sums += row.unsafe_offset(i).unsafe_load[width=WIDE]()
            i += WIDE
        var total = sums.reduce_add()
        while i < d:
            total += row[i]
            i += 1
        result[r] = total


@always_inline
def tile(a: Floats, b: Floats, c: Floats, n: Int, k: Int):
    var s0 = Wide(0)
    var s1 = Wide(0)
    var s2 = Wide(0)
    var s3 = Wide(0)
    for l in range(k):
        var row = b.unsafe_offset(l * n).unsafe_load[width=WIDE]()
        s0 = Wide(a[l]).fma(row, s0)
        s1 = Wide(a[k + l]).fma(row, s1)
        s2 = Wide(a[2 * k + l]).fma(row, s2)
        s3 = Wide(a[3 * k + l]).fma(row, s3)
    c.unsafe_store(s0)
    c.unsafe_offset(n).unsafe_store(s1)
    c.unsafe_offset(2 * n).unsafe_store(s2)
    c.unsafe_offset(3 * n).unsafe_store(s3)


@export
def matmul(a: Floats, b: Floats, c: Floats, m: Int, n: Int, k: Int) abi("C"):
    var rows = m // ROWS * ROWS
    var columns = n // WIDE * WIDE
    for j in range(0, columns, WIDE):
        for i in range(0, rows, ROWS):
            tile(a.unsafe_offset(i * k), b.unsafe_offset(j), c.unsafe_offset(i * n + j), n, k)
    for i in range(m):
        for j in range(columns if i < rows else 0, n):
            var sum = Float32(0)
            for l in range(k):
                sum += a[i * k + l] * b[l * n + j]
            c[i * n + j] = sum


@export
def kmeans_assign(x: Floats, centres: Floats, labels: Ints, distances: Floats, n: Int, k: Int, d: Int) abi("C"):
    for p in range(n):
        var row = x.unsafe_offset(p * d)
        var best = Float32(0)
        var label = Int32(0)
        for j in range(k):
            var centre = centres.unsafe_offset(j * d)
            var sums = Vector(0)
            var i = 0
            while i + W <= d:
                var gap = row.unsafe_offset(i).unsafe_load[width=W]() - centre.unsafe_offset(i).unsafe_load[width=W]()
                sums = gap.fma(gap, sums)
                i += W
            var distance = sums.reduce_add()
            while i < d:
                var gap = row[i] - centre[i]
                distance += gap * gap
                i += 1
            if j == 0 or distance < best:
                best = distance
                label = Int32(j)
        labels[p] = label
        distances[p] = best
