"""Everything can be imported where modules of POSIX are missing, as on Windows."""

from __future__ import annotations

import subprocess
import sys

ABSENT = ("resource", "fcntl", "pwd", "grp", "termios", "tty", "pty", "syslog")

PROGRAM = f"""
import importlib, pkgutil, sys
before = set(sys.modules)
import asyncio, multiprocessing, subprocess, tempfile, shutil, getpass  # of the standard library: they cope themselves
import torch, transformers, accelerate, psutil, soundfile, typer, rich  # what other packages do is theirs
for theirs in ("ray", "gradio"):
    try:
        importlib.import_module(theirs)
    except ImportError:
        pass
for name in {ABSENT!r}:
    sys.modules[name] = None
roots = ["amtts", "amtts_cli", "amtts_core", "amtts_chatterbox", "amtts_codecs", "amtts_indextts2",
         "amtts_recognizers", "amtts_vits", "amtts_vocoders"]
count, failed = 0, []
for root in roots:
    package = importlib.import_module(root)
    for found in pkgutil.walk_packages(package.__path__, root + "."):
        if found.name.endswith("__main__"):
            continue
        count += 1
        try:
            importlib.import_module(found.name)
        except ImportError as error:
            if error.name in {ABSENT!r} or any(f"import of {{name}} " in str(error) for name in {ABSENT!r}):
                failed.append(f"{{found.name}}: {{error}}")
print(count, *failed, sep="\\n")
"""


def test_no_module_needs_what_only_posix_has() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    count, *failed = done.stdout.splitlines()
    assert int(count) > 500
    assert not failed
