"""The results database: its tables, how an older one becomes a current one, its errors."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from appliance.storage.errors import (
    ResultsBusyError,
    ResultsConflictError,
    ResultsCorruptError,
    ResultsError,
    ResultsUnavailableError,
    ResultsVersionError,
)

#: Each step is a list of statements and raises `user_version` by one. Steps
#: that were released never change; a new schema is a new step.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE scans (
            scan_id TEXT PRIMARY KEY,
            study_uid TEXT NOT NULL,
            series_uid TEXT NOT NULL,
            station TEXT NOT NULL,
            priority INTEGER NOT NULL,
            severity REAL NOT NULL,  -- PO in percent; -1 without a score
            state INTEGER NOT NULL,
            opened_unix_s REAL NOT NULL,
            updated_unix_s REAL NOT NULL,
            summary BLOB NOT NULL,  -- breathhold.v1.ScanSummary
            report BLOB  -- breathhold.v1.Report
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE UNIQUE INDEX scans_series ON scans (series_uid)",
        "CREATE INDEX scans_worst_first ON scans (priority, severity, scan_id)",
        "CREATE INDEX scans_state ON scans (state)",
        """
        CREATE TABLE masks (
            scan_id TEXT NOT NULL REFERENCES scans ON DELETE CASCADE,
            kind INTEGER NOT NULL,
            position_mm REAL NOT NULL,
            sop_uid TEXT NOT NULL,
            mask BLOB NOT NULL,  -- breathhold.v1.SliceMask
            PRIMARY KEY (scan_id, kind, sop_uid)
        ) STRICT
        """,
        "CREATE INDEX masks_foot_to_head ON masks (scan_id, kind, position_mm, sop_uid)",
    ),
    (
        # A salted hash, never an id; empty when no patient was named, or before this version.
        "ALTER TABLE scans ADD COLUMN patient_key TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE scans ADD COLUMN acquired_unix_s REAL",
        "CREATE INDEX scans_course ON scans (patient_key, acquired_unix_s) WHERE patient_key <> ''",
    ),
    (
        # Since when a report is kept, by the box's own time; empty until that was looked at.
        "ALTER TABLE scans ADD COLUMN kept_s REAL",
        "CREATE INDEX scans_kept ON scans (kept_s, scan_id)",
        """
        CREATE TABLE box_time (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            now_s REAL NOT NULL,
            believed_unix_s REAL,
            believed_s REAL
        ) STRICT
        """,
    ),
    (
        # Since when damaged logs and files lie aside, by the box's own time.
        """
        CREATE TABLE set_aside (
            name TEXT PRIMARY KEY,
            kept_s REAL NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
    ),
)


def connect(path: str, busy_timeout_s: float) -> sqlite3.Connection:
    """Open a database for durable writing, in autocommit mode, usable from any thread.

    Raises
    ------
    sqlite3.Error
    """
    connection = sqlite3.connect(
        path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Commit what is done inside, or nothing of it when an exception leaves it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def migrate(
    connection: sqlite3.Connection, migrations: Sequence[Sequence[str]] = MIGRATIONS
) -> None:
    """Bring a database of any older version to the newest one, all steps or none.

    Raises
    ------
    ResultsVersionError
        When it is of a newer version; nothing is changed.
    sqlite3.Error
    """
    if _version(connection) == len(migrations):
        return
    with transaction(connection):
        version = _version(connection)
        if version > len(migrations):
            raise ResultsVersionError(
                f"the results database was written by a newer Breathhold (version {version}, "
                f"this one reads version {len(migrations)}): start the newer one, "
                "or choose another state folder"
            )
        for step in migrations[version:]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(migrations)}")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Raise SQLite's and the system's errors by our names."""
    try:
        yield
    except sqlite3.Error as error:
        raise _named(path, error) from error
    except OSError as error:
        raise ResultsUnavailableError(f"the results database {path}: {error}") from error


def _named(path: Path, error: sqlite3.Error) -> ResultsError:
    primary = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    kinds: dict[int, type[ResultsError]] = {
        sqlite3.SQLITE_BUSY: ResultsBusyError,
        sqlite3.SQLITE_LOCKED: ResultsBusyError,
        sqlite3.SQLITE_CORRUPT: ResultsCorruptError,
        sqlite3.SQLITE_NOTADB: ResultsCorruptError,
        sqlite3.SQLITE_CONSTRAINT: ResultsConflictError,
    }
    kind = kinds.get(primary, ResultsUnavailableError)
    return kind(f"the results database {path}: {error}")
