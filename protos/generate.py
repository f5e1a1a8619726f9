"""Write the Python stubs beside the .proto files (`make protos`).

Usage: ``python protos/generate.py [--out FOLDER]``
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from grpc_tools import protoc

HERE = Path(__file__).resolve().parent


def generate(out: Path) -> None:
    """Run protoc over every .proto file; `out` receives breathhold/v1/*_pb2*."""
    sources = sorted(str(path.relative_to(HERE)) for path in HERE.glob("breathhold/v1/*.proto"))
    include = Path(protoc.__file__).parent / "_proto"
    arguments = ["protoc", f"-I{HERE}", f"-I{include}"]
    arguments += [f"--{kind}_out={out}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")]
    status = protoc.main([*arguments, *sources])
    if status:
        sys.exit(f"protoc failed with status {status}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE)
    generate(parser.parse_args().out)
