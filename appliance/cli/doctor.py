"""``breathhold doctor``: what this machine can run, and why not the rest."""

from __future__ import annotations

import typer

from appliance.cli.options import Config, Json, State


def doctor(json: Json = False, config: Config = None, state: State = None) -> None:
    """Say what this machine can run, and why not the rest."""
    from appliance.cli.checking.checks import examine
    from appliance.cli.configuration import configured
    from appliance.cli.showing.output import console, print_json
    from appliance.cli.showing.tables_doctor import checks_view

    checks = examine(configured(config, state=state))
    healthy = all(check.ok for check in checks if check.needed)
    if json:
        for check in checks:
            print_json(check.record())
        print_json({"event": "doctor", "ok": healthy})
    else:
        console().print(checks_view(checks, healthy=healthy))
    raise typer.Exit(0 if healthy else 1)
