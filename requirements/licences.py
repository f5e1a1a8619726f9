"""List the licences of what a lock file installs, and refuse those nobody has agreed to.

`python requirements/licences.py [base.txt]` prints a line a package and exits with 1 when one has
terms that are neither on the list below nor agreed to by name. Read from what is installed.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent

#: Terms under which a hospital can use and pass on what it gets.
ALLOWED = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-CMU",
    "PSF-2.0", "Zlib",
}  # fmt: skip
#: What packages write in place of SPDX's names.
SAME_AS = {
    "apache": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "apache-2.0 with llvm-exception": "Apache-2.0",
    "osi approved :: apache software license": "Apache-2.0",
    "3-clause bsd license": "BSD-3-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "python software foundation license": "PSF-2.0",
}
#: Other terms, package by package, and why they are all right.
AGREED = {
    "nvidia-libnvcomp-cu13": "NVIDIA's licence for its SDKs; DALI does not come without",
    "nvidia-nvjpeg": "NVIDIA's licence for its SDKs; DALI does not come without",
    "nvidia-nvjpeg2k-cu13": "NVIDIA's licence for its SDKs; DALI does not come without",
    "nvidia-nvtiff-cu13": "NVIDIA's licence for its SDKs; DALI does not come without",
    "pathspec": "MPL-2.0, unchanged; only to build the package, never loaded by the daemon",
}


def packages(lock: Path) -> list[str]:
    """Names of the packages that a lock file pins."""
    return re.findall(r"^([A-Za-z0-9._-]+)==", lock.read_text(encoding="utf-8"), re.MULTILINE)


def terms(package: str) -> set[str]:
    """The licences of an installed package by their SPDX names, or as it words them."""
    found = importlib.metadata.metadata(package)
    if expression := found.get("License-Expression"):
        return {_spdx(part.strip("() ")) for part in re.split(r" AND | OR ", expression)}
    prefix = "License :: OSI Approved :: "
    classified = {
        _spdx(value.removeprefix(prefix).removeprefix("License :: "))
        for value in found.get_all("Classifier") or []
        if value.startswith("License ::")
    }
    return classified or {_spdx((found.get("License") or "none given").splitlines()[0])}


def _spdx(words: str) -> str:
    return SAME_AS.get(words.strip().lower(), words.strip())


def table(lock: Path) -> Iterator[tuple[str, str, bool]]:
    """Package with version, its terms in words, and whether they are agreed to."""
    for package in packages(lock):
        name = f"{package} {importlib.metadata.version(package)}"
        found = terms(package)
        if package in AGREED:
            yield name, AGREED[package], True
        else:
            yield name, ", ".join(sorted(found)), found <= ALLOWED


def main(arguments: list[str]) -> int:
    lock = HERE / (arguments[0] if arguments else "base.txt")
    refused = []
    for name, words, agreed in table(lock):
        print(f"{name:36} {words}")
        if not agreed:
            refused.append(name)
    for name in refused:
        print(
            f"{name}: nobody has agreed to these terms (requirements/licences.py)", file=sys.stderr
        )
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
