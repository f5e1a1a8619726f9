"""``breathhold build``: plans for a GPU, ahead of the daemon."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.errors import CliError
from appliance.cli.options import Json


class RuntimeName(enum.StrEnum):
    """What builds."""

    TENSORRT = "tensorrt"
    TENSORRT_RTX = "tensorrt-rtx"


class PrecisionName(enum.StrEnum):
    """What is built."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


def build(
    model: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL]...", help="By default every model.")
    ] = None,
    runtime: Annotated[
        RuntimeName | None, typer.Option(help="By default the first that is installed.")
    ] = None,
    target: Annotated[
        str, typer.Option(metavar="SM", help="sm_89 or the like; CURRENT is this machine's GPU.")
    ] = "CURRENT",
    precision: Annotated[
        list[PrecisionName] | None,
        typer.Option(
            help="May be given again; by default fp16, and int8 where it passed its gate."
        ),
    ] = None,
    models: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Model repository; by default the shipped.")
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            envvar="BREATHHOLD_ENGINES",
            help="Where plans are kept; by default where the daemon looks for them.",
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Build and time also what has been already.")
    ] = False,
    json: Json = False,
) -> None:
    """Build plans of the models for a GPU, and keep them where the daemon finds them.

    TensorRT builds on the GPU itself; TensorRT-RTX also for GPUs that are not here.
    On the box with the GPU int8 is then timed against fp16, and the faster one will serve.
    """
    from appliance.cli.building.plans import Order, Outcome, run_build
    from appliance.cli.showing.output import print_json

    order = Order(
        names=tuple(model or ()),
        runtime=runtime.value if runtime else None,
        target=target,
        precisions=tuple(one.value for one in precision or ()),
        repository=models,
        cache=cache,
        again=again,
    )
    failed = []
    for outcome in run_build(order):
        if json:
            print_json(outcome.record)
        elif isinstance(outcome, Outcome) and outcome.plan:
            print(outcome.plan.path)
        if outcome.fault:
            failed.append(outcome.fault)
    if failed:
        raise CliError("; ".join(failed))
