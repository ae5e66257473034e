-- Live recordings. A run records from NVRs or live; one of each may go on at once.
ALTER TABLE run ADD COLUMN source TEXT NOT NULL DEFAULT 'nvr' CHECK (source IN ('nvr', 'live'));

ALTER TABLE recording ADD COLUMN clock_offset INTEGER /* of a live one: milliseconds that the platform's clock was ahead of
    this machine's; its range is on the platform's clock */;

DROP VIEW runs;
CREATE VIEW runs AS
SELECT run,
    replace(datetime(started, 'unixepoch'), ' ', 'T') || 'Z' AS started_utc,
    replace(datetime(ended, 'unixepoch'), ' ', 'T') || 'Z' AS ended_utc,
    ended - started AS seconds,
    what, source, exit,
    -- Only the newest run of a source can be under way: the next one starts when its process is gone.
    CASE WHEN ended IS NOT NULL THEN 'ended'
        WHEN run = (SELECT max(n.run) FROM run AS n WHERE n.source = r.source) THEN 'unfinished'
        ELSE 'cut off' END AS state,
    attempts, recordings, bytes, archived_seconds, missing_seconds, pid, host
FROM run AS r;

DROP VIEW recordings;
CREATE VIEW recordings AS
SELECT r.device,
    replace(datetime(r.start, 'unixepoch'), ' ', 'T') || 'Z' AS from_utc,
    replace(datetime(r.end, 'unixepoch'), ' ', 'T') || 'Z' AS to_utc,
    r.end - r.start AS seconds, f.path || r.name AS path, r.bytes, lower(hex(r.blake3)) AS blake3,
    r.media_milliseconds, r.first_timestamp, k.video, k.audio, k.width, k.height, r.source, r.clock_offset,
    replace(datetime(r.archived_at, 'unixepoch'), ' ', 'T') || 'Z' AS archived_utc, r.note
FROM recording AS r JOIN folder AS f ON f.folder = r.folder JOIN format AS k ON k.format = r.format;
