#!/bin/sh
# devprobe run kmeans, explain, verify, matrix. SPDX-License-Identifier: Apache-2.0
# TEST: timeout=240
# shellcheck source=tests/devprobe/cli.sh
. "$(dirname "$0")/cli.sh"

# A tiny NPY file: 6 rows of 2, two clusters 100 apart.
{
  printf '\223NUMPY\001\000\100\000'
  printf '%-63s\n' "{'descr': '|u1', 'fortran_order': False, 'shape': (6, 2), }"
  printf '\001\001\002\001\001\002\145\145\146\145\145\146'
} >"$work/tiny.npy"

run 0 run kmeans --input "$work/tiny.npy" --k 2 --device cpu --exact
says out 'NPY u8 (6, 2)'
says out '2.66666' # 2 x 4/3: each cluster is a right angle of sides 1
says out '3/3/3'
says out 'exact'
silent err
fits 'run kmeans'
gzip -c "$work/tiny.npy" >"$work/tiny.npy.gz"
run 0 run kmeans --input "$work/tiny.npy.gz" --k 2 --k 3 --json --device cpu
says out '"schema": "foghorn.kmeans/1"'
says out 'gzip'
run 0 run kmeans --demo-data --k 8 --iterations 3 --device cpu
says out 'not real'
says out 'stopped at the limit'

run 2 run
run 2 run dbscan --input x --k 2
says err 'expected kmeans'
run 2 run kmeans --k 2
says err '--input'
run 2 run kmeans --input "$work/tiny.npy"
says err '--k'
run 2 run kmeans --input "$work/tiny.npy" --k 0
run 2 run kmeans --input "$work/tiny.npy" --k 2x
run 2 run kmeans --input "$work/tiny.npy" --k 7 --device cpu
says err 'only 6 rows'
run 2 run kmeans --input "$work/absent" --k 2
says err "$work/absent"
run 2 run kmeans --input "$work" --k 2
says err 'directory'
run 2 run kmeans --input "$0" --k 2
says err 'expected an IDX or NPY file'
run 2 run kmeans --input "$work/tiny.npy" --k 2 --max-memory 16
says err 'limit'
run 2 run kmeans --input "$work/tiny.npy" --k 2 --max-memory much
run 2 run kmeans --input "$work/tiny.npy" --demo-data --k 2
run 2 run kmeans --demo-data --k 2 --device cpu --all-devices
head -c 80 "$work/tiny.npy" >"$work/cut.npy"
run 2 run kmeans --input "$work/cut.npy" --k 2
says err 'truncated'
"$DEVPROBE" run kmeans --demo-data --k 2 --device cuda:77 >"$work/out" 2>"$work/err"
[ $? -ge 2 ] || fail 'a device that is not here is not refused'
says err 'cuda:77'

run 0 run kmeans --demo-data --k 4 --device cpu --compare-sklearn --python /nonexistent/python
says out 'NOT RUN: /nonexistent/python'
printf '#!/bin/sh\nexec /nonexistent/python "$@"\n' >"$work/python" && chmod +x "$work/python"
run 0 run kmeans --demo-data --k 4 --device cpu --compare-sklearn --python "$work/python"
says out "NOT RUN: $work/python"
if "${PYTHON:-/usr/bin/python3}" -c 'import sklearn' 2>/dev/null; then
  run 0 run kmeans --demo-data --k 4 --device cpu --compare-sklearn --python "${PYTHON:-/usr/bin/python3}"
  says out "off scikit-learn's"
fi

run 0 explain matmul 64x32x16 --device cpu
says out 'matmul'
says out 'here 64x32'
says out 'here 32x16'
says out 'cpu/scalar'
fits_out=$(grep -c . "$work/out")
[ "$fits_out" -ge 5 ] || fail 'explain says too little'
run 0 explain axpy --device cpu
run 0 explain kmeans_assign 100x8 4x8 100 100 --device cpu
run 2 explain matmul 64x32 --device cpu
says err 'mxkxn'
run 2 explain matmul 64xx32x1
run 2 explain matmull
says err 'did you mean matmul'
run 2 explain matmul 1x1x1 2x2x2

run 0 verify --device cpu axpy softmax
says out 'cpu/scalar'
says out ' 0 failed'
fits verify
run 2 verify nonsense
says err 'nonsense'

run 0 matrix
says out 'runs      cpu'
says out 'scalar'
fits matrix
run 0 matrix --from "$machines/docker-gpu"
fits matrix
finish
