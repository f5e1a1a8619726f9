"""``python -m tests.gpu.check``: part after part, then the table.

Runs from a plain checkout: what a part needs it names when it is missing. Exit status 1
when a part that could run failed, or there is no GPU and no other runtime was named.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from engines.models import SHIPPED
from engines.runtimes import RUNTIMES
from engines.runtimes.tensorrt.driver import gpus
from tests.gpu.check.apart import apart
from tests.gpu.check.machine import ROOT, versions
from tests.gpu.check.parts import Choice, Outcome, Part, run_part
from tests.gpu.check.writing import MarksMissingError, markdown, merged, read_page, rewrite

PAGE = ROOT / "docs" / "gpu.md"
_ON_GPU = ("tensorrt", "tensorrt-rtx")
_EVERY = "all"
_PRECISIONS = {True: ("fp16", "int8"), False: ("int8",)}
_ONNX = ("onnx", "onnxruntime")
_PHANTOM = ("nvidia.dali", "nibabel", "pydicom", "scipy", "imagecodecs")
_WHOLE = ("grpc", "pydantic", "typer", "rich", *_PHANTOM)


def _part(name: str, what: str, place: str, *modules: str, gpu: bool = False) -> Part:
    module, function = place.split(".")
    engine = name in ("engines", "masks", "slabs", "path")
    return Part(name, what, apart(f"tests.gpu.check.{module}", function), modules, gpu, engine)


PARTS = (
    _part("what", "versions of all that is there", "machine.look"),
    _part("dali", "DALI's decoders and pipelines", "dali.check_dali", *_PHANTOM),
    _part("pycuda", "memory, stream and event", "pycuda.check_pycuda", "pycuda", gpu=True),
    _part("kernel", "mask and slab kernels", "kernel.check_kernels", "pycuda", *_PHANTOM, gpu=True),
    _part("tests", "the GPU's tests", "suite.run_tests", "pytest", gpu=True),
    _part("engines", "builds the engines", "builds.build_engines", *_ONNX, *_WHOLE, gpu=True),
    _part(
        "masks", "masks and PO against int8 on the CPU", "masks.compare_masks", "openvino", *_WHOLE
    ),
    _part("slabs", "time a slab, and at best", "slabs.time_slabs", *_ONNX, "nvidia.dali"),
    _part("path", "last slice to report", "path.time_path", *_WHOLE),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that were asked for; returns the exit status."""
    asked = _parser().parse_args(arguments)
    _make_importable()
    if asked.runtime is None and not gpus():
        print(
            "There is no NVIDIA GPU with a driver here, so there is nothing to check. "
            "--runtime openvino tries the check itself on the CPU.",
            file=sys.stderr,
        )
        return 1
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as work:
        choice = _choice(asked, Path(work))
        for part in (one for one in PARTS if one.name in asked.parts):
            print(f"{part.name}: {part.what} ...", file=sys.stderr, flush=True)
            outcomes.append(run_part(part, choice))
    return _tell(outcomes, asked)


def _tell(outcomes: list[Outcome], asked: argparse.Namespace) -> int:
    found = versions()
    print(markdown(outcomes, found))
    if asked.json:
        record = {"versions": found, "parts": [one.record for one in outcomes]}
        asked.json.write_text(json.dumps(record, indent=2, default=str) + "\n", encoding="utf-8")
    failed = [one.part for one in outcomes if one.state == "failed"]
    try:
        if asked.page and asked.page.resolve() == PAGE and not _is_on_gpu(asked):
            print(f"{PAGE.name} is left as it is: it is about GPUs.", file=sys.stderr)
        elif asked.page:
            order = [part.name for part in PARTS]
            rewrite(asked.page, lambda old: merged(old, outcomes, found, order))
    except (MarksMissingError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    if failed:
        print(f"Failed: {', '.join(failed)}.", file=sys.stderr)
    return 1 if failed else 0


def _choice(asked: argparse.Namespace, work: Path) -> Choice:
    runtime = asked.runtime
    if runtime is None:
        runtime = next((one for one in _ON_GPU if not RUNTIMES[one].unavailable()), None)
    on_gpu = _is_on_gpu(asked)
    return Choice(
        runtime=runtime,
        on_gpu=on_gpu,
        precisions=tuple(asked.precision or _PRECISIONS[on_gpu]),
        models=asked.models.absolute(),
        cases=asked.cases or _shared_cases(),
        most_cases=asked.most_cases,
        slices=asked.slices,
        matrix=asked.matrix,
        rate=asked.rate,
        enough_s=asked.enough,
        work=work,
    )


def _is_on_gpu(asked: argparse.Namespace) -> bool:
    return asked.runtime is None or asked.runtime in _ON_GPU


def _shared_cases() -> Path | None:
    shared = Path(os.environ.get("BREATHHOLD_SHARED", ROOT.parent / "shared"))
    folder = shared / "ct" / "labelled"
    return folder if folder.is_dir() else None


def _make_importable() -> None:
    """The checkout's packages, here and in the processes that are started."""
    places = [str(ROOT), str(ROOT / "protos")]
    sys.path.extend(place for place in places if place not in sys.path)
    given = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([*places, *([given] if given else [])])


def _names(text: str) -> list[str]:
    known = [part.name for part in PARTS]
    names = known if text == _EVERY else text.replace(",", " ").split()
    if unknown := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(
            f"no part is called {', '.join(unknown)}; there are {', '.join(known)}, or {_EVERY}"
        )
    return names


def _page(text: str) -> Path:
    """A page that has a place for the parts, told before they take an hour."""
    page = Path(text)
    try:
        read_page(page)
    except (MarksMissingError, OSError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return page


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.check", description=__doc__)
    every = ", ".join(part.name for part in PARTS)
    parser.add_argument("--parts", type=_names, default=_EVERY, help=f"of {every}; or {_EVERY}")
    parser.add_argument("--runtime", choices=list(RUNTIMES), help="else the TensorRT that is here")
    parser.add_argument(
        "--precision", action="append", choices=["fp32", "fp16", "int8"], help="of the masks"
    )
    parser.add_argument("--models", type=Path, default=SHIPPED, help="model repository")
    parser.add_argument("--cases", type=Path, help="labelled scans, as breathhold evaluate takes")
    parser.add_argument("--most-cases", type=int, default=4, help="scans of those")
    parser.add_argument("--slices", type=int, help="of the phantoms; else 300 thin and 60 thick")
    parser.add_argument("--matrix", type=int, default=512, help="of the phantoms")
    parser.add_argument("--rate", type=float, default=100.0, help="of the path's second run")
    parser.add_argument("--enough", type=float, default=2.0, help="how long a thing is timed, s")
    parser.add_argument("--json", type=Path, help="the outcomes as JSON, into this file")
    parser.add_argument("--page", type=_page, help=f"the parts that ran go into it, as {PAGE.name}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
