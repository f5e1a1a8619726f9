-- The tables as the first version of the results database made them; never changed.
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
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX scans_series ON scans (series_uid);
CREATE INDEX scans_worst_first ON scans (priority, severity, scan_id);
CREATE INDEX scans_state ON scans (state);
CREATE TABLE masks (
    scan_id TEXT NOT NULL REFERENCES scans ON DELETE CASCADE,
    kind INTEGER NOT NULL,
    position_mm REAL NOT NULL,
    sop_uid TEXT NOT NULL,
    mask BLOB NOT NULL,  -- breathhold.v1.SliceMask
    PRIMARY KEY (scan_id, kind, sop_uid)
) STRICT;
CREATE INDEX masks_foot_to_head ON masks (scan_id, kind, position_mm, sop_uid);
PRAGMA user_version = 1;
