"""The gate's answer in spec.toml and as the text of the model card."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from calibration.gate.gate import Gated
from calibration.gate.verdict import Accuracy, Compared
from engines.artefacts import Artefact, GateRecord
from engines.models import ModelSpec, load_spec

_ARTEFACT = re.compile(r"^\[\[artefact\]\]$.*?(?=^\[(?!artefact\.)|\Z)", re.M | re.S)


def write_spec(folder: Path, artefacts: Sequence[Artefact]) -> ModelSpec:
    """Put artefacts into ``spec.toml`` in place of those of their precision and dialect.

    Returns
    -------
    The spec as it is now.
    """
    path = folder / "spec.toml"
    text = path.read_text(encoding="utf-8")
    replaced = {(artefact.precision, artefact.dialect) for artefact in artefacts}
    old = load_spec(folder).artefacts
    blocks = _ARTEFACT.findall(text)
    kept = [
        block.strip()
        for block, artefact in zip(blocks, old, strict=True)
        if (artefact.precision, artefact.dialect) not in replaced
    ]
    rest = _ARTEFACT.sub("", text).strip()
    new = [_block(folder, artefact) for artefact in artefacts]
    path.write_text("\n\n".join([rest, *kept, *new]) + "\n", encoding="utf-8")
    return load_spec(folder)


def _block(folder: Path, artefact: Artefact) -> str:
    lines = ["[[artefact]]"]
    lines += [f'precision = "{artefact.precision}"', f'dialect = "{artefact.dialect}"']
    lines += [f'file = "{artefact.path.relative_to(folder)}"', f'sha256 = "{artefact.sha256}"']
    if how := artefact.calibration:
        lines += ["", "[artefact.calibration]", f"method = {json.dumps(how.method)}"]
        lines += [f"cases = {json.dumps(how.cases)}", f"kept = {json.dumps(how.kept)}"]
    if artefact.gate:
        lines += ["", *_gate_lines(artefact.gate)]
    return "\n".join(lines)


def _gate_lines(gate: GateRecord) -> list[str]:
    verdict = "passed" if gate.passed else "failed"
    lines = ["[artefact.gate]", f'verdict = "{verdict}"', f'sha256 = "{gate.sha256}"']
    lines += [f'reference = "{gate.reference}"', f"contract = {json.dumps(gate.contract)}"]
    lines += [f"cases = {json.dumps(gate.cases)}"]
    lines += [f"together = {json.dumps(gate.together)}"]
    lines += [f"runtime = {json.dumps(gate.runtime)}", "", "[artefact.gate.figures]"]
    return lines + [f"{name} = {value:.6f}" for name, value in gate.figures.items()]


def card_text(gated: Sequence[Gated]) -> str:
    """A table of each dialect's cases, and what the gate says, in Markdown."""
    parts = ["## INT8"]
    for one in gated:
        how, record = one.artefact.calibration, one.artefact.gate
        assert how is not None
        assert record is not None
        kept = ", ".join(f"`{name}`" for name in how.kept) or "none"
        parts.append(
            f"Dialect **{one.artefact.dialect}**, executed by {record.runtime}. Ranges: "
            f"{how.method}, measured on {', '.join(how.cases)}. Layers kept in fp32: {kept}."
        )
        parts.append(_table(one.compared))
        parts.append(_sentence(one))
    return "\n\n".join(parts)


def _table(compared: Sequence[Compared]) -> str:
    names = ("lesion Dice", "lung Dice", "PO (%)", "PHO (%)")
    columns = ["fp32", "int8"] + ["together"] * any(one.together for one in compared)
    heads = [f"{name} {column}" for name in names for column in columns]
    lines = [f"| case | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for one in compared:
        sides = [side for side in (one.fp32, one.int8, one.together) if side is not None]
        cells = [cell for row in zip(*map(_cells, sides), strict=True) for cell in row]
        lines.append(f"| {one.case} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cells(accuracy: Accuracy) -> list[str]:
    dice = [accuracy.dice_lesion, accuracy.dice_lung]
    percents = [accuracy.po, accuracy.pho]
    return ["-" if value is None else f"{value:.4f}" for value in dice] + [
        "-" if value is None else f"{value:.2f}" for value in percents
    ]


def _sentence(gated: Gated) -> str:
    verdict, record = gated.verdict, gated.artefact.gate
    assert record is not None
    parts = [f"alone {_changes(verdict.figures, '')}"]
    if record.together:
        others = " and ".join(record.together)
        parts.append(f"together with {others} in int8 {_changes(verdict.figures, 'together_')}")
    speed = verdict.figures.get("speed_up")
    parts.append("speed not measured" if speed is None else f"{speed:.2f} x as fast")
    outcome = "Passed" if verdict.passed else f"**Failed**: {'; '.join(verdict.reasons)}"
    return f"{outcome}: {'; '.join(parts)}."


def _changes(figures: Mapping[str, float], prefix: str) -> str:
    """What INT8 changed, of the figures that begin with the prefix."""
    falls = [
        f"{region} Dice {0.0 - round(figures[key], 4):+.4f}"
        for region in ("lesion", "lung")
        if (key := f"{prefix}dice_{region}_fall") in figures
    ]
    moved = [
        f"{name.upper()} moved by {figures[f'{prefix}{name}_moved_mean']:.3f} points on average, "
        f"{figures[f'{prefix}{name}_moved_most']:.3f} at most"
        for name in ("po", "pho")
    ]
    return ", ".join([*falls, *moved])
