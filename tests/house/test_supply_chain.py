"""What is installed: locked by hash, under terms that somebody has agreed to, and listed."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
SUPPLY = ROOT / ".venv-supply"
AUDIT = ROOT / "requirements" / "audit.py"
with_supply = pytest.mark.skipif(
    not (SUPPLY / ".installed").exists(), reason="`make test` sets the tools up, where it can"
)


@pytest.mark.parametrize("lock", ["base.txt", "dev.txt", "supply.txt", "fuzz.txt"])
def test_every_package_is_locked_by_hash(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text()
    entries = [entry for entry in re.split(r"\n(?=\S)", text) if entry.strip()]
    assert entries
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._-]+==\S+( ;.*)? \\\n +--hash=sha256:[0-9a-f]{64}", entry), (
            entry
        )


def test_every_licence_of_the_base_is_agreed_to() -> None:
    script = ROOT / "requirements" / "licences.py"
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "numpy" in ran.stdout


def test_a_licence_nobody_agreed_to_is_refused(tmp_path: Path) -> None:
    """Hypothesis is under MPL-2.0 and no part of the base."""
    lock = tmp_path / "lock.txt"
    lock.write_text("numpy==1\nhypothesis==1\n")
    script = ROOT / "requirements" / "licences.py"
    ran = subprocess.run([sys.executable, script, str(lock)], capture_output=True, text=True)
    assert ran.returncode == 1
    assert "hypothesis" in ran.stderr
    assert "numpy" not in ran.stderr


def locked() -> dict[tuple[str, str], set[str]]:
    """Name and version of each package of the base, with the hashes of its files."""
    text = (ROOT / "requirements" / "base.txt").read_text()
    entries = re.findall(r"^([\w.-]+)==([^\s;]+)((?:.*\\\n)+.*)", text, re.MULTILINE)
    return {
        (name, version): {*re.findall(r"sha256:(\w+)", hashes)} for name, version, hashes in entries
    }


@with_supply
def test_the_bill_of_materials_is_the_lock(tmp_path: Path) -> None:
    """Each package with its version and every hash, and none besides."""
    path = tmp_path / "bom.json"
    ran = subprocess.run(["make", "sbom", f"BOM={path}"], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    bill = json.loads(path.read_text())
    listed = {
        (part["name"], part["version"]): {
            one["content"] for place in part["externalReferences"] for one in place["hashes"]
        }
        for part in bill["components"]
    }
    assert listed == locked()
    assert len(listed) == len(bill["components"]) > 50
    assert bill["metadata"]["component"]["name"] == "breathhold"


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", AUDIT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_known_vulnerability_is_named(audit: ModuleType) -> None:
    """In a report as pip-audit makes it."""
    found = {"id": "PYSEC-2026-1", "fix_versions": ["2.0"], "aliases": [], "description": ""}
    asked = {"name": "one", "version": "1.0", "vulns": [found]}
    skipped = {"name": "two", "skip_reason": "Dependency not found on PyPI"}
    lines, vulnerable = audit.words({"dependencies": [asked, skipped]})
    assert vulnerable
    assert "one 1.0: PYSEC-2026-1, fixed in 2.0" in lines
    assert any("Not audited" in line and "two" in line for line in lines)
    lines, vulnerable = audit.words({"dependencies": [{**asked, "vulns": []}]})
    assert (lines, vulnerable) == (["No vulnerability is known of 1 packages."], False)


def test_a_database_that_knows_no_package_has_audited_nothing(audit: ModuleType) -> None:
    lines, vulnerable = audit.words({"dependencies": [{"name": "two", "skip_reason": "not found"}]})
    assert not vulnerable
    assert "nothing was audited" in lines[0]


def run_audit(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SUPPLY / "bin" / "python", AUDIT],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


@with_supply
def test_an_audit_without_a_network_fails_nothing_and_says_so() -> None:
    ran = run_audit(https_proxy="http://127.0.0.1:9", HTTPS_PROXY="http://127.0.0.1:9")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "nothing was audited" in ran.stdout


@with_supply
def test_no_vulnerability_of_the_base_is_known() -> None:
    ran = run_audit()
    if "nothing was audited" in ran.stdout:
        pytest.skip(ran.stdout.strip())
    assert ran.returncode == 0, ran.stdout
