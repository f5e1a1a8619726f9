"""``breathhold phantom``: a CT series with known truth."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.options import AnatomyName, Json, SectionName


def phantom(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write to.")],
    seed: Annotated[int, typer.Option(min=0, help="Draws build and disease.")] = 1,
    section: Annotated[SectionName, typer.Option(help="Slice thickness.")] = SectionName.THICK,
    anatomy: Annotated[AnatomyName, typer.Option(help="What is scanned.")] = AnatomyName.CHEST,
    slices: Annotated[int | None, typer.Option(min=2, help="How many slices.")] = None,
    matrix: Annotated[int, typer.Option(min=64, max=1024, help="Rows and columns.")] = 512,
    lesions: Annotated[bool, typer.Option(help="With or without pneumonia.")] = True,
    labelled: Annotated[
        bool, typer.Option("--labelled", help="Write NIfTI image, lesion and lung instead.")
    ] = False,
    json: Json = False,
) -> None:
    """Write a phantom as a DICOM CT series, or as labelled NIfTI."""
    from appliance.cli.showing.output import print_json
    from appliance.quantify.lobes import lobe_scores
    from calibration.phantom import make_phantom, write_dicom_series, write_labelled
    from calibration.phantom.truth import lobe_truth, truth_of

    made = make_phantom(
        seed,
        anatomy=anatomy.value,
        section=section.value,
        slices=slices,
        matrix=matrix,
        lesions=lesions,
    )
    if labelled:
        write_labelled(made, out)
    else:
        write_dicom_series(made, out)
    po, pho = truth_of(made)
    count = len(made.hu)
    if json:
        lobes = lobe_truth(made)
        print_json(
            {
                "event": "phantom",
                "folder": str(out),
                "slices": count,
                "seed": seed,
                "section": section.value,
                "anatomy": anatomy.value,
                "po": po,
                "pho": pho,
                **(asdict(lobe_scores(lobes)) if lobes else {}),
                "lobes": [
                    {"name": lobe.name, "lung_ml": lobe.lung_ml, "po": lobe.po, "pho": lobe.pho}
                    for lobe in lobes
                ],
            }
        )
    else:
        scores = "no lung" if po is None else f"PO {po:.1f} %, PHO {pho:.1f} %"
        print(f"Wrote {count} slices to {out}: {scores}.")
