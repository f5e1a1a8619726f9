"""``python -m appliance.cli``: the command without its installed script."""

from appliance.cli.main import run

run()
