"""What the scripts that come with Python packages gather for a bug report: a peer of devprobe's report. SPDX-License-Identifier: Apache-2.0

Runs the same kind of programs (nvidia-smi, lscpu, the compiler, the package list) one after another and prints what they say; a
program that is missing is said to be so.
"""

import importlib.util
import os
import platform
import shutil
import subprocess
import sys

PROGRAMS = {
    "GPUs": ["nvidia-smi", "-L"],
    "driver": ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
    "AMD GPUs": ["rocminfo"],
    "CUDA toolkit": ["nvcc", "--version"],
    "compiler": ["gcc", "--version"],
    "CMake": ["cmake", "--version"],
    "C library": ["ldd", "--version"],
    "CPU": ["lscpu"],
    "packages": [sys.executable, "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"],
}


def said_by(command):
    if not shutil.which(command[0]):
        return "could not collect"
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"could not collect: {error}"
    return done.stdout.strip() or "could not collect"


def main():
    print(f"OS: {platform.platform()}\nPython: {sys.version.split()[0]}, {platform.machine()}")
    for name in ("torch", "jax", "tensorflow", "numpy"):
        print(f"{name}: {'installed' if importlib.util.find_spec(name) else 'not installed'}")
    for name in ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "LD_LIBRARY_PATH"):
        print(f"{name}: {os.environ.get(name, 'not set')}")
    for title, command in PROGRAMS.items():
        print(f"{title}:\n{said_by(command)}")


main()
