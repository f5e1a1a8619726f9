"""Ask PyPI's database for known vulnerabilities of what the daemon needs (`make audit`).

pip-audit says that it found none, too, where an index answers and has no such database, and ends
with a traceback where nothing answers. Here it is said in so many words what could not be asked
about. Exits with 1 when a vulnerability is known, and only then.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
_ANSWER_S, _ALL_S = 5, 60


def ask(lock: Path) -> dict[str, Any] | None:
    """What pip-audit reports of a lock file; None when it cannot."""
    command = [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip"]
    command += ["--format", "json", "--progress-spinner", "off", "--timeout", str(_ANSWER_S)]
    try:
        ran = subprocess.run(
            [*command, "-r", str(lock)], capture_output=True, text=True, timeout=_ALL_S
        )
        report: dict[str, Any] = json.loads(ran.stdout)
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        return None
    return report


def words(report: dict[str, Any] | None) -> tuple[list[str], bool]:
    """A report in sentences, and whether it names a vulnerability."""
    packages = report["dependencies"] if report else []
    asked = [package for package in packages if "skip_reason" not in package]
    if not asked:
        return ["PyPI's database of vulnerabilities does not answer: nothing was audited."], False
    known = [
        f"{package['name']} {package['version']}: {found['id']}, "
        f"fixed in {', '.join(found['fix_versions']) or 'no version yet'}"
        for package in asked
        for found in package["vulns"]
    ]
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    lines = [f"Not audited, as the database has no answer: {', '.join(unknown)}."] * bool(unknown)
    lines += known or [f"No vulnerability is known of {len(asked)} packages."]
    return lines, bool(known)


def main() -> int:
    lines, vulnerable = words(ask(HERE / "base.txt"))
    print("\n".join(lines))
    return int(vulnerable)


if __name__ == "__main__":
    sys.exit(main())
