"""Fits severity on a table, writes the file, and says how well it does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from appliance.cli.errors import CliError
from appliance.cli.showing.output import console, print_json
from calibration.severity import (
    SeverityFit,
    SeverityTable,
    SeverityTableError,
    fit_severity,
    read_table,
    severity_toml,
)

_HEADS = ("fitted on", "odds for 1 sd", "AUC", "sensitivity", "specificity", "AIC")
_NAMES = {"poi": "POI", "ihu": "iHU"}
_USE = "As scores.severity in the configuration it makes reports carry the probability."
_CAUTION = (
    "Measured on the scans that it was fitted on: on others it does worse. "
    "Research software: not a diagnosis."
)


def fit_and_write(path: Path, out: Path, *, json: bool) -> None:
    """Fit POI and iHU together into the file `out`; each alone is shown beside.

    Raises
    ------
    CliError
        When the table cannot be fitted on.
    OSError
        When it cannot be read, or the file not be written.
    """
    try:
        table = read_table(path)
        both = fit_severity(table, "poi", "ihu")
        fits = [fit_severity(table, "poi"), fit_severity(table, "ihu"), both]
    except SeverityTableError as error:
        raise CliError(str(error)) from error
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(severity_toml(both, _made(table, path)), encoding="utf-8")
    if json:
        print_json(_record(table, fits, out))
    else:
        console().print(_view(table, fits, out))


def _made(table: SeverityTable, path: Path) -> str:
    severe = int(table.severe.sum())
    return f"{date.today().isoformat()} of {path.name}: {table.n} scans, {severe} severe"


def _record(table: SeverityTable, fits: Sequence[SeverityFit], out: Path) -> dict[str, object]:
    return {
        "event": "severity",
        "file": str(out),
        "n": table.n,
        "severe": int(table.severe.sum()),
        "left_out": table.left_out,
        "fits": [_fit_record(fit) for fit in fits],
    }


def _fit_record(fit: SeverityFit) -> dict[str, object]:
    model = fit.model
    odds = {
        name: {"sd": one.sd, "ratio": one.ratio, "interval": one.interval, "p": one.p}
        for name, one in zip(fit.scores, model.odds, strict=True)
    }
    return {
        "scores": list(fit.scores),
        "intercept": model.intercept,
        "coefficients": dict(zip(fit.scores, model.coefficients, strict=True)),
        "odds_for_one_sd": odds,
        "aic": model.aic,
        **fit.found.record(),
    }


def _view(table: SeverityTable, fits: Sequence[SeverityFit], out: Path) -> RenderableType:
    severe = int(table.severe.sum())
    shown = Table(title=f"{table.n} scans, {severe} severe", title_justify="left")
    for place, head in enumerate(_HEADS):
        shown.add_column(head, justify="left" if place < 2 else "right")
    for fit in fits:
        shown.add_row(*_cells(fit))
    lines = [Text(f"Wrote {out}. {_USE}"), Text(_CAUTION, "italic")]
    if table.left_out:
        lines.insert(0, Text(f"Left out, without a lesion and so without iHU: {table.left_out}."))
    return Group(shown, *lines)


def _cells(fit: SeverityFit) -> list[str]:
    odds = "\n".join(
        f"{_NAMES[name]} {one.ratio:.3f} ({one.interval[0]:.3f} to {one.interval[1]:.3f}), "
        + ("p < 0.001" if one.p < 0.001 else f"p = {one.p:.3f}")
        for name, one in zip(fit.scores, fit.model.odds, strict=True)
    )
    found, cut = fit.found, fit.found.cut
    assert cut is not None
    return [
        " + ".join(_NAMES[name] for name in fit.scores),
        odds,
        f"{found.auc:.3f} ({found.auc_interval[0]:.3f} to {found.auc_interval[1]:.3f})",
        f"{100 * cut.sensitivity.share:.1f} %",
        f"{100 * cut.specificity.share:.1f} %",
        f"{fit.model.aic:.1f}",
    ]
