"""The command's entry: verbs, exit codes, and errors as one sentence."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer
from typer.exceptions import TyperException

from appliance.cli.build import build
from appliance.cli.calibrate import calibrate
from appliance.cli.config import app as config_app
from appliance.cli.demo import demo
from appliance.cli.doctor import doctor
from appliance.cli.evaluate import evaluate
from appliance.cli.fit_severity import fit_severity
from appliance.cli.models import app as models_app
from appliance.cli.phantom import phantom
from appliance.cli.reference import app as reference_app
from appliance.cli.report import report
from appliance.cli.review import app as review_app
from appliance.cli.send import send
from appliance.cli.serve import serve
from appliance.cli.watch import watch

_DEBUG, _TLS = "BREATHHOLD_DEBUG", "BREATHHOLD_TLS"
_INTERRUPTED = 130  # what typer makes of Ctrl-C

app = typer.Typer(
    name="breathhold",
    help="Scores COVID-19 pneumonia on chest CT while the patient is still on the table. "
    "Research software: not a diagnosis.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verb in (serve, demo, send, watch, report, phantom, evaluate, calibrate, build, doctor):
    app.command()(verb)
app.command()(fit_severity)
app.add_typer(config_app, name="config")
app.add_typer(models_app, name="models")
app.add_typer(review_app, name="review")
app.add_typer(reference_app, name="reference")


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option(help="Show where an error was raised.")] = False,
    tls_ca: Annotated[
        str, typer.Option(metavar="FILE", help="TLS: who signed the appliance's certificate, PEM.")
    ] = "",
    tls_certificate: Annotated[
        str, typer.Option(metavar="FILE", help="TLS: the certificate that says who calls, PEM.")
    ] = "",
    tls_key: Annotated[str, typer.Option(metavar="FILE", help="TLS: its private key, PEM.")] = "",
    tls_name: Annotated[
        str, typer.Option(help="TLS: the name in the appliance's certificate, if not its host.")
    ] = "",
) -> None:
    given = {"CA": tls_ca, "CERTIFICATE": tls_certificate, "KEY": tls_key, "NAME": tls_name}
    os.environ.update({f"{_TLS}_{part}": value for part, value in given.items() if value})
    if debug:
        os.environ[_DEBUG] = "1"


def run() -> None:
    """Run the command and leave with its exit code."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Run the command.

    Returns
    -------
    0 done, 1 failed, 2 used wrongly.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # products are small: threads only spin
    try:
        code = app(arguments, prog_name="breathhold", standalone_mode=False)
    except TyperException as error:
        return _complain(error.format_message(), error.exit_code)
    except typer.Abort:
        return _complain("Stopped.")
    except Exception as error:
        if os.environ.get(_DEBUG):
            raise
        return _complain(_sentence(error))
    if code == _INTERRUPTED:
        return _complain("Stopped.")
    return code if isinstance(code, int) else 0


def _complain(sentence: str, code: int = 1) -> int:
    if sentence:
        print("breathhold:", " ".join(sentence.split()), file=sys.stderr)
    return code


def _sentence(error: Exception) -> str:
    from appliance.cli.errors import expected

    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}"
    if isinstance(error, expected()):
        return str(error)
    return (
        f"an unexpected fault ({type(error).__name__}: {error}); "
        "run with --debug to see where it was raised"
    )
