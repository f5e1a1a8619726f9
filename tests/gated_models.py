"""A tiny model with a gated INT8 artefact, which is the fp32 network once more."""

from __future__ import annotations

from pathlib import Path

from engines.artefacts import sha256_of
from engines.models import load_spec

#: Changes an ONNX file and not the network: an empty producer name.
EMPTY_FIELD = b"\x12\x00"


def with_int8(repository: Path, *, gate: str = "passed") -> Path:
    """The lung model with the same network once more as INT8; `gate` "" for no record."""
    folder = repository / "lung"
    fp32, int8 = folder / "1" / "model.onnx", folder / "1" / "int8.onnx"
    int8.write_bytes(fp32.read_bytes() + EMPTY_FIELD)
    block = f"""
[[artefact]]
precision = "int8"
dialect = "openvino"
file = "1/int8.onnx"
sha256 = "{sha256_of(int8)}"
"""
    if gate:
        block += f"""
[artefact.gate]
verdict = "{gate}"
sha256 = "{sha256_of(int8)}"
reference = "{sha256_of(fp32)}"
contract = "{load_spec(folder).contract}"
cases = ["one"]
together = []
runtime = "openvino 1"
[artefact.gate.figures]
po_moved_mean = 0.01
"""
    with (folder / "spec.toml").open("a") as file:
        file.write(block)
    return folder
