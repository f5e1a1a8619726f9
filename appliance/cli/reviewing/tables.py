"""The ledger for people."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table

from calibration.review.ledger import Entry


def trained_view(entry: Entry) -> str:
    """What came of a training, in a sentence or two."""
    int8 = entry["int8_passed"]
    words = (
        f"{entry['model']}: Dice {entry['dice_before']} before, {entry['dice_after']} after, on "
        f"{_count(entry['judged_by'])} held out."
    )
    if entry["installed"]:
        passed = " and ".join(map(str, int8)) if isinstance(int8, list) and int8 else "none"
        words += f" Installed as version {entry['version']}; INT8 that passed the gate: {passed}."
    return words


def ledger_view(entries: Iterable[Entry]) -> Table:
    """One row an entry."""
    table = Table("time", "what", "scans", "Dice before", "Dice after", "minutes", "outcome")
    for entry in entries:
        table.add_row(str(entry["time"]), *_ROWS.get(str(entry["event"]), _other)(entry))
    return table


def _imported(entry: Entry) -> tuple[str, ...]:
    dice = entry.get("dice_before_correction")
    shown = (
        ", ".join(f"{name} {value}" for name, value in dice.items())
        if isinstance(dice, dict)
        else ""
    )
    return "corrected", str(entry["scan"]), shown, "", _number(entry.get("minutes")), ""


def _trained(entry: Entry) -> tuple[str, ...]:
    outcome = f"version {entry['version']}" if entry["installed"] else str(entry["reason"])
    return (
        f"{entry['iteration']}. training of {entry['model']}",
        f"{_count(entry['learnt_from'])} learnt, {_count(entry['judged_by'])} judged",
        str(entry["dice_before"]),
        str(entry["dice_after"]),
        _number(entry.get("minutes_correcting")),
        outcome,
    )


def _rolled_back(entry: Entry) -> tuple[str, ...]:
    return (
        f"rollback of {entry['model']}",
        *[""] * 4,
        f"version {entry['version']} in place of {entry['from_version']}",
    )


def _other(entry: Entry) -> tuple[str, ...]:
    return (str(entry["event"]), *[""] * 5)


def _count(names: object) -> str:
    count = len(names) if isinstance(names, list) else 0
    return f"{count} scan{'' if count == 1 else 's'}"


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) else ""


_ROWS = {"imported": _imported, "trained": _trained, "rolled_back": _rolled_back}
