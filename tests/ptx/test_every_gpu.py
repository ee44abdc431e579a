#!/usr/bin/python3
"""The PTX of every kernel assembles for every generation of GPUs; registers, spills, stack and shared memory as a table. A tuned kernel must
not spill. SPDX-License-Identifier: Apache-2.0
TEST: label=full plain=yes timeout=600"""
import os
import sys

import assembly

sys.exit(assembly.check(os.environ["FH_BINARY_DIR"], assembly.ARCHITECTURES))
