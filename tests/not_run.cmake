# Stands for a test that this kind of build leaves out: says why. SPDX-License-Identifier: Apache-2.0
message("NOT RUN: ${REASON}")
