-- The views for people with sqlite3. They use nothing that Debian 12's sqlite3 (3.40) does not know.

-- Gaps as numbers: adjacent missing rows with one cause are one row. What retention has deleted is no gap.
CREATE VIEW gap AS
SELECT
    m.device,
    m.start,
    CASE WHEN m.to_utc IS NOT NULL THEN m.end ELSE (
        SELECT n.end FROM missing AS n
        WHERE n.device = m.device AND n.start > m.start AND n.to_utc IS NOT NULL ORDER BY n.start LIMIT 1
    ) END AS end,
    m.cause,
    CASE WHEN m.to_utc IS NOT NULL THEN m.attempts ELSE (
        SELECT sum(n.attempts) FROM missing AS n
        WHERE n.device = m.device AND n.start BETWEEN m.start AND (
            SELECT l.start FROM missing AS l
            WHERE l.device = m.device AND l.start > m.start AND l.to_utc IS NOT NULL ORDER BY l.start LIMIT 1
        )
    ) END AS attempts,
    CASE WHEN m.to_utc IS NOT NULL THEN m.last_code ELSE (
        SELECT n.last_code FROM missing AS n
        WHERE n.device = m.device AND n.start BETWEEN m.start AND (
            SELECT l.start FROM missing AS l
            WHERE l.device = m.device AND l.start > m.start AND l.to_utc IS NOT NULL ORDER BY l.start LIMIT 1
        )
        ORDER BY n.last_try DESC, n.start DESC LIMIT 1
    ) END AS last_code,
    CASE WHEN m.to_utc IS NOT NULL THEN m.last_try ELSE (
        SELECT max(n.last_try) FROM missing AS n
        WHERE n.device = m.device AND n.start BETWEEN m.start AND (
            SELECT l.start FROM missing AS l
            WHERE l.device = m.device AND l.start > m.start AND l.to_utc IS NOT NULL ORDER BY l.start LIMIT 1
        )
    ) END AS last_try,
    m.from_utc,
    CASE WHEN m.to_utc IS NOT NULL THEN m.to_utc ELSE (
        SELECT n.to_utc FROM missing AS n
        WHERE n.device = m.device AND n.start > m.start AND n.to_utc IS NOT NULL ORDER BY n.start LIMIT 1
    ) END AS to_utc,
    m.from_local,
    CASE WHEN m.to_utc IS NOT NULL THEN m.to_local ELSE (
        SELECT n.to_local FROM missing AS n
        WHERE n.device = m.device AND n.start > m.start AND n.to_utc IS NOT NULL ORDER BY n.start LIMIT 1
    ) END AS to_local
FROM missing AS m
WHERE m.from_utc IS NOT NULL AND m.cause <> 'pruned';

CREATE VIEW gaps AS
SELECT device, from_utc, to_utc, from_local, to_local, end - start AS seconds, cause, attempts, last_code, last_try
FROM gap;

-- The device-local days of each zone in use, as far as anything was asked for. A day begins at the first second that
-- has its date, so days have 23 or 25 hours where clocks change.
CREATE VIEW local_day AS
WITH RECURSIVE
span (zone, first, last) AS (
    SELECT d.zone, min(a.start), max(a.end) FROM asked AS a JOIN device AS d ON d.device = a.device GROUP BY d.zone
),
-- A day more at either end, since no offset is longer.
number (zone, day, last) AS (
    SELECT zone, first / 86400 - 2, last / 86400 + 2 FROM span
    UNION ALL
    SELECT zone, day + 1, last FROM number WHERE day < last
),
midnight (zone, day, at) AS (
    SELECT n.zone, n.day, (
        -- Where clocks go back past midnight, it strikes twice: the first one counts.
        SELECT CASE WHEN n.day * 86400 - o.before < o.start THEN n.day * 86400 - o.before
            ELSE n.day * 86400 - o.offset END
        FROM utc_offset AS o
        WHERE o.zone = n.zone AND o.start <= n.day * 86400 - o.offset
        ORDER BY o.start DESC LIMIT 1
    )
    FROM number AS n
)
SELECT zone, date(day * 86400, 'unixepoch') AS day, at AS start,
    lead(at) OVER (PARTITION BY zone ORDER BY day) AS end
FROM midnight;

CREATE VIEW coverage AS
WITH
bounds AS MATERIALIZED (SELECT zone, day, start, end FROM local_day WHERE end IS NOT NULL),
asked_day AS (
    SELECT d.device, b.day, sum(min(a.end, b.end) - max(a.start, b.start)) AS asked_seconds,
        (
            SELECT coalesce(sum(min(m.end, b.end) - max(m.start, b.start)), 0) FROM missing AS m
            WHERE m.device = d.device AND m.end > b.start AND m.start < b.end AND m.start >= coalesce(
                (SELECT max(p.start) FROM missing AS p WHERE p.device = d.device AND p.start < b.start), b.start)
        ) AS missing_seconds
    -- CROSS keeps the order of the joins: ranges are sought by day, not days by range.
    FROM device AS d
    CROSS JOIN bounds AS b
    CROSS JOIN asked AS a
    WHERE b.zone = d.zone AND a.device = d.device AND a.end > b.start AND a.start < b.end AND a.start >= coalesce(
        (SELECT max(p.start) FROM asked AS p WHERE p.device = d.device AND p.start < b.start), b.start)
    GROUP BY d.device, b.day
)
-- Rounded down, so that 100 means all of it.
SELECT device, day, asked_seconds, asked_seconds - missing_seconds AS archived_seconds,
    (asked_seconds - missing_seconds) * 10000 / asked_seconds / 100.0 AS percent
FROM asked_day;

CREATE VIEW runs AS
SELECT run,
    replace(datetime(started, 'unixepoch'), ' ', 'T') || 'Z' AS started_utc,
    replace(datetime(ended, 'unixepoch'), ' ', 'T') || 'Z' AS ended_utc,
    ended - started AS seconds,
    what, exit,
    -- Only the newest run can be under way: the next one starts when its process is gone.
    CASE WHEN ended IS NOT NULL THEN 'ended' WHEN run = (SELECT max(run) FROM run) THEN 'unfinished'
        ELSE 'cut off' END AS state,
    attempts, recordings, bytes, archived_seconds, missing_seconds, pid, host
FROM run;

CREATE VIEW recordings AS
SELECT r.device,
    replace(datetime(r.start, 'unixepoch'), ' ', 'T') || 'Z' AS from_utc,
    replace(datetime(r.end, 'unixepoch'), ' ', 'T') || 'Z' AS to_utc,
    r.end - r.start AS seconds, f.path || r.name AS path, r.bytes, lower(hex(r.blake3)) AS blake3,
    r.media_milliseconds, r.first_timestamp, k.video, k.audio, k.width, k.height, r.source,
    replace(datetime(r.archived_at, 'unixepoch'), ' ', 'T') || 'Z' AS archived_utc, r.note
FROM recording AS r JOIN folder AS f ON f.folder = r.folder JOIN format AS k ON k.format = r.format;

CREATE VIEW attempts AS
SELECT a.attempt, a.run, a.device,
    replace(datetime(a.start, 'unixepoch'), ' ', 'T') || 'Z' AS from_utc,
    replace(datetime(a.end, 'unixepoch'), ' ', 'T') || 'Z' AS to_utc,
    replace(datetime(a.started, 'unixepoch'), ' ', 'T') || 'Z' AS started_utc,
    a.milliseconds, a.bytes, a.outcome, a.code, a.detail
FROM attempt AS a;
