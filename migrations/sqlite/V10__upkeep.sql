-- For those who look after what is archived: verify, which finds files that are not what they were, and prune.

-- Files that are about to leave their final names. What of it is left after a crash is finished by the next start.
CREATE TABLE leaving (
    path   TEXT    NOT NULL PRIMARY KEY,                       -- its name below the archive's root
    device INTEGER NOT NULL REFERENCES device,
    start  INTEGER NOT NULL,                                   -- of its recording
    fate   TEXT    NOT NULL CHECK (fate IN ('aside', 'deleted')), -- aside: its row still stands; deleted: it is gone
    code   TEXT,                                               -- of one that goes aside: what was found
    detail TEXT
) STRICT, WITHOUT ROWID;

-- The rounds of verify --hash through the archive, recording by recording in the order of devices and time.
CREATE TABLE verify_round (
    round   INTEGER PRIMARY KEY,
    began   INTEGER NOT NULL,
    ended   INTEGER,                                           -- when it had come round; nothing while it is under way
    device  INTEGER,                                           -- how far it has come: to this one
    reached INTEGER,                                           -- and to this moment of its time
    files   INTEGER NOT NULL DEFAULT 0,                        -- read in it
    bytes   INTEGER NOT NULL DEFAULT 0,
    corrupt INTEGER NOT NULL DEFAULT 0                         -- of the files
) STRICT;

CREATE VIEW verify_rounds AS
SELECT round,
    replace(datetime(began, 'unixepoch'), ' ', 'T') || 'Z' AS began_utc,
    replace(datetime(ended, 'unixepoch'), ' ', 'T') || 'Z' AS ended_utc,
    device AS reached_device,
    replace(datetime(reached, 'unixepoch'), ' ', 'T') || 'Z' AS reached_utc,
    files, bytes, corrupt
FROM verify_round;

-- What retention has deleted was asked for once and is no more: it is no part of the coverage.
CREATE INDEX pruned ON missing (device, start) WHERE cause = 'pruned';

DROP VIEW coverage;
CREATE VIEW coverage AS
WITH
bounds AS MATERIALIZED (SELECT zone, day, start, end FROM local_day WHERE end IS NOT NULL),
asked_day AS (
    SELECT d.device, b.day, sum(min(a.end, b.end) - max(a.start, b.start)) AS asked_seconds,
        (
            SELECT coalesce(sum(min(m.end, b.end) - max(m.start, b.start)), 0) FROM missing AS m
            WHERE m.device = d.device AND m.end > b.start AND m.start < b.end AND m.start >= coalesce(
                (SELECT max(p.start) FROM missing AS p WHERE p.device = d.device AND p.start < b.start), b.start)
        ) AS missing_seconds,
        -- By its own index, which is empty or short: looked for among all that is missing it takes twenty times as long.
        (
            SELECT coalesce(sum(min(m.end, b.end) - max(m.start, b.start)), 0) FROM missing AS m INDEXED BY pruned
            WHERE m.cause = 'pruned' AND m.device = d.device AND m.end > b.start AND m.start < b.end
                AND m.start >= coalesce((SELECT max(p.start) FROM missing AS p INDEXED BY pruned
                    WHERE p.cause = 'pruned' AND p.device = d.device AND p.start < b.start), b.start)
        ) AS pruned_seconds
    -- CROSS keeps the order of the joins: ranges are sought by day, not days by range.
    FROM device AS d
    CROSS JOIN bounds AS b
    CROSS JOIN asked AS a
    WHERE b.zone = d.zone AND a.device = d.device AND a.end > b.start AND a.start < b.end AND a.start >= coalesce(
        (SELECT max(p.start) FROM asked AS p WHERE p.device = d.device AND p.start < b.start), b.start)
    GROUP BY d.device, b.day
)
-- Rounded down, so that 100 means all of it.
SELECT device, day, asked_seconds - pruned_seconds AS asked_seconds, asked_seconds - missing_seconds AS archived_seconds,
    (asked_seconds - missing_seconds) * 10000 / (asked_seconds - pruned_seconds) / 100.0 AS percent
FROM asked_day WHERE asked_seconds > pruned_seconds;
