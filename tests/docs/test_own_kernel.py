# Follows docs/your-own-kernel.md word for word, with nothing but an installed Foghorn. SPDX-License-Identifier: Apache-2.0
# TEST: label=full timeout=400 plain=yes
import os
import subprocess
import tempfile

import test_pages

PAGE, PREFIX = "docs/your-own-kernel.md", "/tmp/foghorn"


def main():
    source = os.environ["FH_SOURCE_DIR"]
    with tempfile.TemporaryDirectory() as where:
        installed = os.path.join(where, "installed")
        subprocess.run([os.environ["CMAKE"], "--install", os.environ["FH_BINARY_DIR"], "--prefix", installed], stdout=subprocess.DEVNULL, check=True)
        text = open(os.path.join(source, PAGE), encoding="utf-8").read()
        project = os.path.join(where, "project")
        test_pages.write(os.path.join(project, PAGE), text.replace(PREFIX, installed), "w")
        test_pages.follow(PAGE, project)
    print("every step of the page did what the page says")


main()
