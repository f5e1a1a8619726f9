"""``breathhold models``: which models an appliance serves, and others in their place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.options import DEFAULT_TO, Json, To

if TYPE_CHECKING:
    from breathhold.v1 import model_pb2

app = typer.Typer(
    no_args_is_help=True,
    help="Show which models a running appliance serves, and put other versions in their place. "
    "Scans in progress finish with the versions they began with.",
)
Name = Annotated[str, typer.Argument(metavar="MODEL", help="Its name, as `models list` shows it.")]


@app.command("list")
def list_models(to: To = DEFAULT_TO, json: Json = False) -> None:
    """Show the models that serve, and the versions there are."""
    from appliance.cli.connection import connect
    from appliance.cli.showing.models import models_view, served_records
    from appliance.cli.showing.output import console, print_json

    with connect(to) as client:
        served = client.served()
    if not json:
        console().print(models_view(served))
        return
    for record in served_records(served):
        print_json(record)


@app.command("use")
def use(
    name: Name,
    version: Annotated[int, typer.Argument(min=1, help="The version to serve.")],
    to: To = DEFAULT_TO,
    json: Json = False,
) -> None:
    """Infer new scans with a version that the repository holds; this holds over restarts."""
    from appliance.cli.connection import connect
    from appliance.cli.showing.models import waiting

    with connect(to) as client, waiting():
        changes = client.use_model(name, version)
    _tell(changes, json=json, nothing=f"{name}: version {version} served already.")


@app.command("rollback")
def rollback(name: Name, to: To = DEFAULT_TO, json: Json = False) -> None:
    """Infer new scans with the version that served before; this holds over restarts."""
    from appliance.cli.connection import connect
    from appliance.cli.showing.models import waiting

    with connect(to) as client, waiting():
        changes = client.roll_back_model(name)
    _tell(changes, json=json, nothing="")


@app.command("reload")
def reload(to: To = DEFAULT_TO, json: Json = False) -> None:
    """Infer new scans with what the repository describes now, as after `review train`."""
    from appliance.cli.connection import connect
    from appliance.cli.showing.models import waiting

    with connect(to) as client, waiting():
        changes = client.reload_models()
    _tell(changes, json=json, nothing="The repository describes what serves already.")


def _tell(changes: list[model_pb2.ModelChange], *, json: bool, nothing: str) -> None:
    from appliance.cli.showing.models import change_record, change_words
    from appliance.cli.showing.output import console, print_json

    if json:
        for change in changes:
            print_json(change_record(change))
    elif changes:
        for change in changes:
            console().print(change_words(change))
    else:
        console().print(nothing)
