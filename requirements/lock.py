"""Write the locked versions from pyproject.toml (`make lock`).

base.txt is what the daemon needs; dev.txt adds the tools of the tests and of
training; supply.txt is what `make sbom` and `make audit` run, fuzz.txt what `make fuzz`
adds. Each version comes with the hashes of its files, and pip takes no other file. PyTorch
itself is pinned in pyproject.toml and left out here: its builds for CPU and for CUDA need
different packages, so the Makefile installs it by its version, held to the versions of
dev.txt.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
#: What every build of PyTorch needs.
TORCH_NEEDS = ["filelock", "fsspec", "jinja2", "networkx", "setuptools", "sympy"]


def compile_lock(requirements: list[str], name: str, *options: str) -> None:
    command = [sys.executable, "-m", "uv", "pip", "compile", "-", "--quiet", "--no-header"]
    command += ["--no-annotate", "--generate-hashes", "--output-file", str(HERE / name)]
    command += ["--python-version", "3.11", "--python-platform", "linux", *options]
    subprocess.run(command, input="\n".join(requirements), text=True, check=True)


def main() -> None:
    table = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    base = [*table["project"]["dependencies"], *table["build-system"]["requires"], "editables"]
    train = table["project"]["optional-dependencies"]["train"]
    dev = [*table["dependency-groups"]["dev"], *train, *TORCH_NEEDS]
    compile_lock(base, "base.txt")
    without_torch = [need for need in dev if not need.startswith("torch")]
    compile_lock([*base, *without_torch], "dev.txt", "--constraints", str(HERE / "base.txt"))
    compile_lock(table["dependency-groups"]["supply"], "supply.txt")
    compile_lock(table["dependency-groups"]["fuzz"], "fuzz.txt")


if __name__ == "__main__":
    main()
