"""Compile the kernels to PTX: ``python -m engines.device.compile``, with nvcc on the path.

PTX of the oldest compute capability that CUDA 13 knows; the driver of a newer GPU makes its
own code of it when it is loaded. The first lines say what it was made of.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from pathlib import Path

from engines.device.base import PTX

_SOURCES = (PTX.with_suffix(".h"), PTX.with_suffix(".cu"))
#: No multiplication is fused with an addition: sums are those of the CPU, bit for bit.
_COMMAND = ("nvcc", "-ptx", "-arch=compute_75", "-O3", "-fmad=false")


def heading() -> str:
    """What PTX of the sources as they are begins with."""
    marks = (f"// {path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in _SOURCES)
    return "\n".join((f"// {' '.join(_COMMAND)}", *marks)) + "\n"


def compiled() -> str:
    """PTX of the sources, heading included.

    Raises
    ------
    FileNotFoundError
        Without nvcc.
    subprocess.CalledProcessError
        When it refuses them.
    """
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / PTX.name
        subprocess.run([*_COMMAND, "-o", target, _SOURCES[-1]], check=True)
        return heading() + target.read_text(encoding="utf-8")


if __name__ == "__main__":
    PTX.write_text(compiled(), encoding="utf-8")
