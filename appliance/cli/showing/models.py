"""The models of an appliance, as a table and as records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table

from breathhold.v1 import model_pb2


def models_view(served: model_pb2.ListModelsResponse) -> Table:
    """What serves new scans, then what only scans in progress still use."""
    table = Table(title="Models", title_justify="left")
    for title in ("model", "role", "version", "precision", "runtime", "versions", ""):
        table.add_column(title)
    for model, finishing in _all(served):
        reference = model.reference
        others = ", ".join(map(str, model.versions))
        remark = "finishes scans in progress" if finishing else ""
        remark = remark or ("chosen by an operator" if model.chosen else "")
        row = (reference.name, model.role, str(reference.version), reference.precision)
        table.add_row(*row, model.runtime, others, remark)
    return table


def served_records(served: model_pb2.ListModelsResponse) -> Iterator[dict[str, object]]:
    """One a model."""
    for model, finishing in _all(served):
        reference = model.reference
        yield {
            "model": reference.name,
            "role": model.role,
            "version": reference.version,
            "precision": reference.precision,
            "sha256": reference.sha256,
            "runtime": model.runtime,
            "device": model.device,
            "versions": list(model.versions),
            "chosen": model.chosen,
            "finishing": finishing,
        }


def _all(served: model_pb2.ListModelsResponse) -> Iterator[tuple[model_pb2.Model, bool]]:
    yield from ((model, False) for model in served.models)
    yield from ((model, True) for model in served.finishing)


def change_record(change: model_pb2.ModelChange) -> dict[str, object]:
    """The versions are null where the model did not serve before, or serves no more."""
    return {
        "model": change.name,
        "from_version": change.from_version or None,
        "version": change.version or None,
    }


def change_words(change: model_pb2.ModelChange) -> str:
    if not change.version:
        return f"{change.name} serves no more. Scans in progress finish with it."
    if not change.from_version:
        return f"{change.name}: version {change.version} serves new scans."
    if change.from_version == change.version:
        return (
            f"{change.name}: version {change.version} serves new scans as its folder is now; "
            "scans in progress finish as they began."
        )
    return (
        f"{change.name}: version {change.version} serves new scans; scans in progress finish on "
        f"version {change.from_version}."
    )


@contextmanager
def waiting() -> Iterator[None]:
    """Tell, on a terminal, that the appliance loads."""
    err = Console(stderr=True)
    if not err.is_terminal:
        yield
        return
    with err.status("The appliance loads the models; scans go on meanwhile."):
        yield
