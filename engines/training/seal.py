"""``python -m engines.training.seal MODEL_FOLDER...``: seal models for serving.

Writes into spec.toml the SHA-256 of each artefact and the answer that ONNX
Runtime gives to the warm-up. A daemon serves a model only when its file is the
sealed one and its own runtime gives the same answer. What a gate has judged is
left as it is: another file, or another fp32 network, must pass the gate again.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import onnxruntime

from engines.artefacts import sha256_of
from engines.models import ModelSpec, load_spec
from engines.warm_up import warm_up_input

_WARM_UP = re.compile(r"\[warm_up\]\n(?:[^\[]*\n)?(?=\[)")


def seal(folder: Path) -> None:
    """Bring hashes and warm-up answer of one model folder up to date.

    Raises
    ------
    ModelError
        When the folder is not a model.
    """
    path = folder / "spec.toml"
    text = path.read_text(encoding="utf-8")
    spec = load_spec(folder)
    for artefact in spec.artefacts:
        if artefact.gate is None:
            now = sha256_of(artefact.path)
            text = text.replace(f'sha256 = "{artefact.sha256}"', f'sha256 = "{now}"')
    mean, maximum = answer(spec)
    table = f"[warm_up]\nmean = {mean:.6f}\nmaximum = {maximum:.6f}\n\n"
    text = _WARM_UP.sub("", text)
    first = text.index("[[artefact]]")
    path.write_text(text[:first] + table + text[first:], encoding="utf-8")
    load_spec(folder)


def answer(spec: ModelSpec) -> tuple[float, float]:
    """Mean and maximum of the fp32 network's answer to the warm-up, in ONNX Runtime."""
    session = onnxruntime.InferenceSession(
        spec.artefact("fp32").path, providers=["CPUExecutionProvider"]
    )
    (result,) = session.run([spec.output_name], {spec.input_name: warm_up_input(spec)})
    return float(result.mean()), float(result.max())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    for one in parser.parse_args().folders:
        seal(one)
