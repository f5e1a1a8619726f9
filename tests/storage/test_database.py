import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from appliance.cli.main import main
from appliance.storage.database import MIGRATIONS, connect, migrate, transaction
from appliance.storage.errors import ResultsVersionError
from appliance.storage.results import CourseScan, Origin, ResultsStore
from breathhold.v1 import triage_pb2, types_pb2

VERSION_1 = Path(__file__).with_name("version_1.sql")


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(str(tmp_path / "db"), 0.1)) as connection:
        yield connection


def version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_a_change_is_durable_before_it_returns(connection: sqlite3.Connection) -> None:
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
    assert connection.execute("PRAGMA busy_timeout").fetchone() == (100,)


@pytest.mark.parametrize("older", range(len(MIGRATIONS)))
def test_every_older_database_is_brought_to_the_newest(tmp_path: Path, older: int) -> None:
    with closing(connect(str(tmp_path / "db"), 0.1)) as connection:
        migrate(connection, MIGRATIONS[:older])
    with ResultsStore(tmp_path / "db") as store:
        assert store.summaries(10).summaries == ()
    with closing(connect(str(tmp_path / "db"), 0.1)) as connection:
        assert version(connection) == len(MIGRATIONS)


def test_a_migration_keeps_what_is_there(connection: sqlite3.Connection) -> None:
    first = ("CREATE TABLE t (a INTEGER)", "INSERT INTO t VALUES (7)")
    second = ("ALTER TABLE t ADD COLUMN b INTEGER", "UPDATE t SET b = a + 1")
    migrate(connection, [first])
    migrate(connection, [first, second])
    migrate(connection, [first, second])
    assert version(connection) == 2
    assert connection.execute("SELECT a, b FROM t").fetchall() == [(7, 8)]


def test_a_migration_that_fails_changes_nothing(connection: sqlite3.Connection) -> None:
    steps = [("CREATE TABLE t (a INTEGER)",), ("CREATE TABLE u (a INTEGER)", "nonsense")]
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, steps)
    assert version(connection) == 0
    assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == []


def test_a_newer_database_is_refused_with_a_sentence(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(ResultsVersionError, match="newer Breathhold"):
        migrate(connection)
    assert version(connection) == len(MIGRATIONS) + 1
    assert not connection.in_transaction


def test_a_transaction_is_undone_by_an_exception(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE t (a INTEGER)")
    values = iter([(1,), (2,), ("too", "many")])
    with pytest.raises(sqlite3.ProgrammingError), transaction(connection):
        connection.executemany("INSERT INTO t VALUES (?)", values)
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_scans_of_the_first_version_belong_to_no_patient(tmp_path: Path) -> None:
    summary = triage_pb2.ScanSummary(scan_id="a", series_instance_uid="1.2").SerializeToString()
    report = types_pb2.Report(scan_id="a", slices=7)
    row = ("a", "1.1", "1.2", "CT", 1, -1.0, 3, 1.0, 2.0, summary, report.SerializeToString())
    with closing(sqlite3.connect(tmp_path / "db", isolation_level=None)) as connection:
        connection.executescript(VERSION_1.read_text())
        connection.execute(f"INSERT INTO scans VALUES ({','.join('?' * 11)})", row)
    with ResultsStore(tmp_path / "db") as store:
        assert store.report("a") == report
        assert store.patient_key("a") == ""
        assert store.course("") == []
        later = types_pb2.Report(scan_id="a", series_instance_uid="1.2", slices=8)
        line = triage_pb2.ScanSummary(scan_id="a", series_instance_uid="1.2")
        store.save_report(later, [], line, Origin("key", 3.0))
        assert store.course("key") == [CourseScan(later, 3.0)]


def test_a_database_of_the_first_version_becomes_what_a_new_one_is(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "old")) as connection:
        connection.executescript(VERSION_1.read_text())
    schemas = []
    for name in ("old", "new"):
        ResultsStore(tmp_path / name).close()
        with closing(sqlite3.connect(tmp_path / name)) as connection:
            rows = connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name")
            schemas.append([(table, " ".join((sql or "").split())) for table, sql in rows])
    assert schemas[0] == schemas[1]


def test_a_daemon_does_not_start_on_a_newer_database(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    ResultsStore(state / "results.sqlite").close()
    with closing(sqlite3.connect(state / "results.sqlite")) as connection:
        connection.execute("PRAGMA user_version = 99")
    address = ("--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
    assert main(["serve", *address, "--state", str(state)]) == 1
    assert "newer Breathhold (version 99" in capsys.readouterr().err
