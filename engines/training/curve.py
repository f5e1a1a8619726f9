"""The loss curve of a run as CSV and PNG."""

from __future__ import annotations

import csv
from pathlib import Path

_HEADER = ["step", "seconds", "loss", "learning_rate"]


class Curve:
    """Rows of ``loss.csv`` and their picture ``loss.png`` in the run's folder."""

    def __init__(self, run: Path) -> None:
        self._csv, self._png = run / "loss.csv", run / "loss.png"
        self._rows: list[tuple[int, float, float, float]] = []
        if self._csv.is_file():
            self._rows = _read(self._csv)

    def add(self, step: int, seconds: float, loss: float, rate: float) -> None:
        """One more point, at once on disk."""
        self._rows.append((step, round(seconds, 1), round(loss, 5), rate))
        self._write()

    def cut_after(self, step: int) -> None:
        """Forget what came after the checkpoint that is resumed."""
        self._rows = [row for row in self._rows if row[0] <= step]
        self._write()

    def draw(self) -> None:
        """Write the picture."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4))
        FigureCanvasAgg(figure)
        axes = figure.add_subplot(xlabel="step", ylabel="loss", yscale="log")
        axes.plot([row[0] for row in self._rows], [row[2] for row in self._rows])
        axes.grid(True, which="both", alpha=0.3)
        figure.tight_layout()
        figure.savefig(self._png)

    def _write(self) -> None:
        with self._csv.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(_HEADER)
            writer.writerows(self._rows)


def _read(path: Path) -> list[tuple[int, float, float, float]]:
    with path.open(newline="") as file:
        return [
            (int(r["step"]), float(r["seconds"]), float(r["loss"]), float(r["learning_rate"]))
            for r in csv.DictReader(file)
        ]
