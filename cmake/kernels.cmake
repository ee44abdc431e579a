# Compiles every kernel of kernels/kernels.def. SPDX-License-Identifier: Apache-2.0
