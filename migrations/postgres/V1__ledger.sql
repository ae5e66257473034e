-- The ledger in PostgreSQL (15 or newer): the same tables, columns and views as in SQLite, so that the same statements and the
-- same questions of people read both. All times are seconds since 1970-01-01T00:00:00Z; ranges include "start" and exclude "end".
--
-- The rule that everything here serves: for every device, asked ∪ archived = archived ⊎ missing. So every second that
-- was asked for is in exactly one state: archived, or in one row of missing with its cause.
--
-- Integers are all BIGINT, and truth is 0 or 1. Texts are compared byte by byte, as SQLite does. What a thousand rows written at
-- once would refer to (runs, outcomes, formats, folders) is referred to without a foreign key: to check one is to lock the row
-- that all share, and nothing ever deletes one.

-- Times as people read them: 2026-11-20T01:00:00Z.
CREATE FUNCTION utc_text(second BIGINT) RETURNS TEXT LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN to_char(to_timestamp(second) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"');

CREATE TABLE utc_offset (
    zone     TEXT COLLATE "C" NOT NULL,
    start    BIGINT NOT NULL,
    "offset" BIGINT NOT NULL,
    before   BIGINT NOT NULL,
    label    TEXT   NOT NULL,
    PRIMARY KEY (zone, start)
);
COMMENT ON TABLE utc_offset IS 'the steps of each time zone that a device lives in, so that plain SQL can show local time';
COMMENT ON COLUMN utc_offset.zone IS 'IANA name';
COMMENT ON COLUMN utc_offset.start IS 'from when on this offset holds';
COMMENT ON COLUMN utc_offset.offset IS 'seconds east of UTC';
COMMENT ON COLUMN utc_offset.before IS 'the offset that held until then';
COMMENT ON COLUMN utc_offset.label IS 'the offset as people write it: +08:00';

-- Where cameras are unless something else is said; no clock change since 1991.
INSERT INTO utc_offset VALUES ('Asia/Shanghai', -62135596800, 28800, 28800, '+08:00');

CREATE TABLE nvr (
    nvr   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    store TEXT COLLATE "C",
    seen  BIGINT
);
COMMENT ON COLUMN nvr.nvr IS 'its name in the settings, or the platform''s puid';
COMMENT ON COLUMN nvr.store IS 'the store: its number where the list gives one, else its name';
COMMENT ON COLUMN nvr.seen IS 'when the platform last listed it';

CREATE TABLE device (
    device       BIGINT NOT NULL PRIMARY KEY,
    name         TEXT COLLATE "C",
    store        TEXT COLLATE "C",
    nvr          TEXT COLLATE "C",
    channel      BIGINT,
    zone         TEXT COLLATE "C" NOT NULL DEFAULT 'Asia/Shanghai',
    seen         BIGINT,
    puid         TEXT COLLATE "C",
    store_number BIGINT,
    online       BIGINT CHECK (online IN (0, 1))
);
COMMENT ON COLUMN device.device IS 'the platform''s number';
COMMENT ON COLUMN device.store IS 'the store''s name';
COMMENT ON COLUMN device.nvr IS 'by which NVR the last run took it to be served';
COMMENT ON COLUMN device.channel IS 'its channel on the NVR';
COMMENT ON COLUMN device.seen IS 'when the platform last listed it';
COMMENT ON COLUMN device.puid IS 'the recorder, as the platform''s list last said';
COMMENT ON COLUMN device.store_number IS 'the store''s number in that list';
COMMENT ON COLUMN device.online IS 'whether that list showed it online: 1 or 0';

CREATE TABLE media_mac (
    device     BIGINT NOT NULL PRIMARY KEY REFERENCES device,
    first_mac  TEXT COLLATE "C" NOT NULL,
    second_mac TEXT COLLATE "C" NOT NULL,
    learned_at BIGINT NOT NULL
);
COMMENT ON TABLE media_mac IS 'the two MAC addresses in the name of a device''s media URL; the one that several share is their recorder''s';
COMMENT ON COLUMN media_mac.learned_at IS 'when it was last another one';

CREATE TABLE asked (
    device BIGINT NOT NULL REFERENCES device,
    start  BIGINT NOT NULL,
    "end"  BIGINT NOT NULL CHECK (start < "end"),
    PRIMARY KEY (device, start)
);
COMMENT ON TABLE asked IS 'what was asked for, over all runs: the fewest ranges that hold it';

CREATE TABLE archived (
    device BIGINT NOT NULL REFERENCES device,
    start  BIGINT NOT NULL,
    "end"  BIGINT NOT NULL CHECK (start < "end"),
    PRIMARY KEY (device, start)
);
COMMENT ON TABLE archived IS 'what is archived: the fewest ranges that hold all recordings of the device';

CREATE TABLE missing (
    device      BIGINT NOT NULL REFERENCES device,
    start       BIGINT NOT NULL,
    "end"       BIGINT NOT NULL CHECK (start < "end"),
    cause       TEXT COLLATE "C" NOT NULL,
    attempts    BIGINT NOT NULL,
    last_code   TEXT COLLATE "C",
    last_detail TEXT COLLATE "C",
    last_try    TEXT COLLATE "C",
    from_utc    TEXT COLLATE "C",
    to_utc      TEXT COLLATE "C",
    from_local  TEXT COLLATE "C",
    to_local    TEXT COLLATE "C",
    PRIMARY KEY (device, start)
);
COMMENT ON TABLE missing IS 'what was asked for and is not archived. Rows of one device never overlap. Time that was never tried is one row however long; each tried window is a row of its own. Adjacent rows with the same cause are one gap: the row that begins it has from_utc and from_local, the row that ends it has to_utc and to_local, other rows have none';
COMMENT ON COLUMN missing.attempts IS 'over all runs';
COMMENT ON COLUMN missing.last_code IS 'the last code that decided an attempt: result -4';
COMMENT ON COLUMN missing.last_detail IS 'what else the last attempt had to say';
COMMENT ON COLUMN missing.last_try IS 'when the cause was last learned (UTC)';
-- What retention has deleted was asked for once and is no more: it is no part of the coverage.
CREATE INDEX pruned ON missing (device, start) WHERE cause = 'pruned';
-- What is being recorded is asked for at every start, and is hardly ever there.
CREATE INDEX being_recorded ON missing (device, start) WHERE cause = 'being recorded';
-- What a plan wants to know of what is missing, without the long rows around it: a start reads this of every camera.
CREATE INDEX narrow_missing ON missing (device, start, "end", cause, attempts);

CREATE TABLE folder (
    folder BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    path   TEXT COLLATE "C" NOT NULL UNIQUE
);
COMMENT ON COLUMN folder.path IS 'below the archive''s root, with a closing / unless empty';

CREATE TABLE format (
    format BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    video  TEXT COLLATE "C",
    audio  TEXT COLLATE "C",
    width  BIGINT,
    height BIGINT,
    UNIQUE NULLS NOT DISTINCT (video, audio, width, height)
);

-- What a recording is called that its row tells the name of: 5_20261120T090000+0800_600s.flv. Immutable, whatever to_char may
-- do with other patterns in other languages.
CREATE FUNCTION recording_name(device BIGINT, start BIGINT, seconds BIGINT, live BIGINT, quarters BIGINT, container BIGINT)
    RETURNS TEXT LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN device || '_' || to_char(to_timestamp(start + 900 * quarters) AT TIME ZONE 'UTC', 'YYYYMMDD"T"HH24MISS')
        || CASE WHEN quarters < 0 THEN '-' ELSE '+' END || to_char(abs(quarters) / 4, 'FM00')
        || to_char(abs(quarters) % 4 * 15, 'FM00') || '_' || seconds || 's' || CASE live WHEN 1 THEN '_live' ELSE '' END
        || CASE container WHEN 0 THEN '.flv' WHEN 1 THEN '.ts' WHEN 2 THEN '.mp4' END;

CREATE TABLE recording (
    device             BIGINT NOT NULL REFERENCES device,
    start              BIGINT NOT NULL,
    seconds            BIGINT NOT NULL CHECK (seconds > 0),
    "end"              BIGINT NOT NULL GENERATED ALWAYS AS (start + seconds) STORED,
    live               BIGINT NOT NULL CHECK (live IN (0, 1)),
    source             TEXT COLLATE "C" NOT NULL GENERATED ALWAYS AS (CASE live WHEN 1 THEN 'live' ELSE 'nvr' END) STORED,
    folder             BIGINT NOT NULL,
    quarters           BIGINT,
    container          BIGINT CHECK (container IN (0, 1, 2)),
    own_name           TEXT COLLATE "C",
    name               TEXT COLLATE "C" NOT NULL GENERATED ALWAYS AS
        (coalesce(own_name, recording_name(device, start, seconds, live, quarters, container))) STORED,
    bytes              BIGINT NOT NULL,
    blake3             BYTEA  NOT NULL CHECK (length(blake3) = 32),
    format             BIGINT NOT NULL,
    media_milliseconds BIGINT NOT NULL,
    first_timestamp    BIGINT NOT NULL,
    archived_at        BIGINT NOT NULL,
    clock_offset       BIGINT,
    note               TEXT COLLATE "C",
    PRIMARY KEY (device, start)
);
COMMENT ON TABLE recording IS 'one row per published file; rows of one device never overlap';
COMMENT ON COLUMN recording.quarters IS 'the local time''s offset in the name: quarters of an hour east of UTC';
COMMENT ON COLUMN recording.container IS '0: flv, 1: ts, 2: mp4';
COMMENT ON COLUMN recording.own_name IS 'the name, where it is not what the row tells';
COMMENT ON COLUMN recording.first_timestamp IS 'milliseconds, as the stream counts them';
COMMENT ON COLUMN recording.clock_offset IS 'of a live one: milliseconds that the platform''s clock was ahead of its host''s; its range is on the platform''s clock';

CREATE TABLE run (
    run              BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    started          BIGINT NOT NULL,
    ended            BIGINT,
    pid              BIGINT NOT NULL,
    host             TEXT COLLATE "C" NOT NULL,
    what             TEXT COLLATE "C" NOT NULL,
    exit             BIGINT,
    attempts         BIGINT,
    recordings       BIGINT,
    bytes            BIGINT,
    archived_seconds BIGINT,
    missing_seconds  BIGINT,
    recovered        BIGINT NOT NULL DEFAULT 0,
    source           TEXT COLLATE "C" NOT NULL DEFAULT 'nvr' CHECK (source IN ('nvr', 'live')),
    notes_publishing BIGINT NOT NULL DEFAULT 0
);
COMMENT ON COLUMN run.ended IS 'nothing while it runs, and for ever when it was cut off';
COMMENT ON COLUMN run.what IS 'the command or the job';
COMMENT ON COLUMN run.recovered IS '1 when what it left behind has been put right';
COMMENT ON COLUMN run.notes_publishing IS '1 when it writes into publishing first';

CREATE TABLE outcome (
    outcome BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    word    TEXT COLLATE "C" NOT NULL,
    code    TEXT COLLATE "C",
    UNIQUE NULLS NOT DISTINCT (word, code)
);
COMMENT ON TABLE outcome IS 'what attempts came to: a word, and the code that decided it, when one did';
INSERT INTO outcome VALUES (0, 'archived', NULL);

CREATE TABLE attempt (
    attempt      BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    run          BIGINT NOT NULL,
    device       BIGINT NOT NULL REFERENCES device,
    start        BIGINT NOT NULL,
    seconds      BIGINT NOT NULL,
    "end"        BIGINT NOT NULL GENERATED ALWAYS AS (start + seconds) STORED,
    started      BIGINT NOT NULL,
    milliseconds BIGINT NOT NULL,
    bytes        BIGINT NOT NULL,
    outcome      BIGINT NOT NULL,
    detail       TEXT COLLATE "C"
);
COMMENT ON COLUMN attempt.start IS 'of the window';

CREATE TABLE attempt_day (
    day          BIGINT NOT NULL,
    device       BIGINT NOT NULL REFERENCES device,
    outcome      BIGINT NOT NULL,
    attempts     BIGINT NOT NULL,
    seconds      BIGINT NOT NULL,
    milliseconds BIGINT NOT NULL,
    bytes        BIGINT NOT NULL,
    last_attempt BIGINT NOT NULL,
    PRIMARY KEY (day, device, outcome)
);
COMMENT ON TABLE attempt_day IS 'the sums of attempts that have been folded away';
COMMENT ON COLUMN attempt_day.day IS 'in UTC, in which they began: days since 1970-01-01';
COMMENT ON COLUMN attempt_day.seconds IS 'of their windows';
COMMENT ON COLUMN attempt_day.milliseconds IS 'that they took';
COMMENT ON COLUMN attempt_day.last_attempt IS 'the number of the newest one';
-- The history asks for the newest attempts, which are hardly ever among these.
CREATE INDEX attempt_day_last_attempt ON attempt_day (last_attempt);

CREATE TABLE nvr_limit (
    nvr           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    playbacks     BIGINT NOT NULL,
    probe_seconds BIGINT,
    calls         BIGINT NOT NULL,
    refused       BIGINT NOT NULL,
    learned_at    BIGINT NOT NULL,
    keeps_seconds BIGINT,
    left_alone    BIGINT NOT NULL DEFAULT 0
);
COMMENT ON TABLE nvr_limit IS 'what runs learned of how much each NVR can take: the next run starts with it';
COMMENT ON COLUMN nvr_limit.playbacks IS 'how many downloads it takes at once';
COMMENT ON COLUMN nvr_limit.probe_seconds IS 'how long was last waited before one more was tried; nothing before the first refusal';
COMMENT ON COLUMN nvr_limit.calls IS 'over all runs';
COMMENT ON COLUMN nvr_limit.refused IS 'of them, by the NVR: busy, overloaded, or offline';
COMMENT ON COLUMN nvr_limit.keeps_seconds IS 'how far back it keeps footage, as answers showed it; nothing when they never did';
COMMENT ON COLUMN nvr_limit.left_alone IS 'over all runs: how often it was left alone';

CREATE TABLE nvr_night (
    nvr        TEXT COLLATE "C" NOT NULL,
    run        BIGINT NOT NULL,
    playbacks  BIGINT NOT NULL,
    calls      BIGINT NOT NULL,
    refused    BIGINT NOT NULL,
    left_alone BIGINT NOT NULL,
    PRIMARY KEY (nvr, run)
);
COMMENT ON TABLE nvr_night IS 'how each NVR fared in each run that asked it for anything: the history behind nvr_limit';
COMMENT ON COLUMN nvr_night.playbacks IS 'how many downloads it was believed to take at once, when the run ended';
COMMENT ON COLUMN nvr_night.refused IS 'of them, by the NVR: busy, overloaded, or offline';
COMMENT ON COLUMN nvr_night.left_alone IS 'how often it was left alone because it refused too many';

CREATE TABLE publishing (
    path TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    live BIGINT NOT NULL CHECK (live IN (0, 1)),
    upload TEXT COLLATE "C"
);
COMMENT ON TABLE publishing IS 'files that are about to get their final names. A row is there before its file is, and goes in the transaction that writes the recording''s row: so the files that a crash leaves without one stand here, and nowhere else';
COMMENT ON COLUMN publishing.upload IS 'of the upload that brings it into an object store, the number that the store gave it: whoever comes after a crash aborts it before anything else';
COMMENT ON COLUMN publishing.path IS 'its name below the archive''s root, which says all else';
COMMENT ON COLUMN publishing.live IS '1 when a live run publishes it';

CREATE TABLE leaving (
    path   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    device BIGINT NOT NULL REFERENCES device,
    start  BIGINT NOT NULL,
    fate   TEXT COLLATE "C" NOT NULL CHECK (fate IN ('aside', 'deleted')),
    code   TEXT COLLATE "C",
    detail TEXT COLLATE "C"
);
COMMENT ON TABLE leaving IS 'files that are about to leave their final names; what of it is left after a crash is finished by the next start';
COMMENT ON COLUMN leaving.start IS 'of its recording';
COMMENT ON COLUMN leaving.fate IS 'aside: its row still stands; deleted: it is gone';
COMMENT ON COLUMN leaving.code IS 'of one that goes aside: what was found';

CREATE TABLE verify_round (
    round   BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    began   BIGINT NOT NULL,
    ended   BIGINT,
    device  BIGINT,
    reached BIGINT,
    files   BIGINT NOT NULL DEFAULT 0,
    bytes   BIGINT NOT NULL DEFAULT 0,
    corrupt BIGINT NOT NULL DEFAULT 0
);
COMMENT ON TABLE verify_round IS 'the rounds of verify --hash through the archive, recording by recording in the order of devices and time';
COMMENT ON COLUMN verify_round.ended IS 'when it had come round; nothing while it is under way';
COMMENT ON COLUMN verify_round.device IS 'how far it has come: to this one';
COMMENT ON COLUMN verify_round.reached IS 'and to this moment of its time';

CREATE TABLE uncatalogued (
    change BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    device BIGINT NOT NULL,
    start  BIGINT NOT NULL
);
COMMENT ON TABLE uncatalogued IS 'the recordings that the catalog in the archive''s root does not name yet';

CREATE TABLE catalog (
    segment BIGINT NOT NULL
);
CREATE UNIQUE INDEX one_catalog ON catalog ((true));
COMMENT ON TABLE catalog IS 'how far the catalog has come: one row, or none while it has to be written from the beginning';
COMMENT ON COLUMN catalog.segment IS 'the number of its newest recordings-….jsonl';

CREATE TABLE archive_mark (
    mark TEXT COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX one_archive_mark ON archive_mark ((true));
COMMENT ON TABLE archive_mark IS 'which archive the ledger is of: what stands in .archive-root in its root';

-- Sharing, which SQLite's ledger has none of. Who is alive is told by this server's clock alone.

CREATE TABLE host (
    host            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name            TEXT COLLATE "C" NOT NULL,
    machine         TEXT COLLATE "C" NOT NULL,
    pid             BIGINT NOT NULL,
    joined          TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    seen            TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    until           TIMESTAMPTZ NOT NULL,
    left_at         TIMESTAMPTZ,
    streams         BIGINT NOT NULL,
    backlog_seconds BIGINT NOT NULL DEFAULT 0,
    hungry          BIGINT NOT NULL DEFAULT 0 CHECK (hungry IN (0, 1)),
    again           BIGINT NOT NULL DEFAULT 0 CHECK (again IN (0, 1))
);
COMMENT ON TABLE host IS 'processes that share the work. One that was taken for dead joins again as another';
COMMENT ON COLUMN host.machine IS 'what its system calls itself: as in run.host';
COMMENT ON COLUMN host.seen IS 'when it was last heard of';
COMMENT ON COLUMN host.until IS 'for how long it holds what it leased, if it is not heard of again';
COMMENT ON COLUMN host.left_at IS 'when it left, or another host took an NVR from it';
COMMENT ON COLUMN host.streams IS 'how many downloads it can run at once';
COMMENT ON COLUMN host.backlog_seconds IS 'footage that it has leased and neither archived nor given up';
COMMENT ON COLUMN host.hungry IS '1 when it could do more than it has';
COMMENT ON COLUMN host.again IS '1 when it had been out of hearing before, as others may have been with it';
CREATE INDEX living_host ON host (host) WHERE left_at IS NULL;

CREATE TABLE nvr_share (
    nvr             TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    epoch           BIGINT NOT NULL DEFAULT 0,
    host            BIGINT,
    backlog_seconds BIGINT NOT NULL,
    loses_at        BIGINT,
    finished_at     TIMESTAMPTZ
);
COMMENT ON TABLE nvr_share IS 'what there is to do at each NVR, and which host does it';
COMMENT ON COLUMN nvr_share.epoch IS 'how often it was leased: what is written under an older lease is refused';
COMMENT ON COLUMN nvr_share.host IS 'who holds it, or held it and is dead; nothing when it is free';
COMMENT ON COLUMN nvr_share.backlog_seconds IS 'footage that is missing and may still come, over all its cameras';
COMMENT ON COLUMN nvr_share.loses_at IS 'when the first of it is overwritten, where that is known';
COMMENT ON COLUMN nvr_share.finished_at IS 'when nothing was left to do in this night''s work';
CREATE INDEX nvr_share_host ON nvr_share (host);
-- In the order in which hosts take what nobody holds.
CREATE INDEX unheld_share ON nvr_share (loses_at, backlog_seconds DESC, nvr)
    WHERE host IS NULL AND finished_at IS NULL AND backlog_seconds > 0;

CREATE TABLE writer (
    writer BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    wrote  BIGINT NOT NULL DEFAULT 0,
    at     TIMESTAMPTZ NOT NULL DEFAULT now()
) WITH (fillfactor = 10);
COMMENT ON TABLE writer IS 'one row for each connection that writes: the number of its last change. One that broke during a commit tells by it whether the commit came through';

-- The views for people.

CREATE VIEW gap AS
SELECT
    m.device,
    m.start,
    CASE WHEN m.to_utc IS NOT NULL THEN m."end" ELSE (
        SELECT n."end" FROM missing AS n
        WHERE n.device = m.device AND n.start > m.start AND n.to_utc IS NOT NULL ORDER BY n.start LIMIT 1
    ) END AS "end",
    m.cause,
    CASE WHEN m.to_utc IS NOT NULL THEN m.attempts ELSE (
        SELECT CAST(sum(n.attempts) AS BIGINT) FROM missing AS n
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
        ORDER BY n.last_try DESC NULLS LAST, n.start DESC LIMIT 1
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
SELECT device, from_utc, to_utc, from_local, to_local, "end" - start AS seconds, cause, attempts, last_code, last_try
FROM gap;
COMMENT ON VIEW gaps IS 'stretches of asked-for time without a recording, as long as they have one cause';

-- The device-local days of each zone in use, as far as anything was asked for. A day begins at the first second that
-- has its date, so days have 23 or 25 hours where clocks change.
CREATE VIEW local_day AS
WITH
span AS (
    SELECT d.zone, min(a.start) AS first, max(a."end") AS last
    FROM asked AS a JOIN device AS d ON d.device = a.device GROUP BY d.zone
),
-- A day more at either end, since no offset is longer.
number AS (
    SELECT s.zone, n.day FROM span AS s CROSS JOIN LATERAL generate_series(s.first / 86400 - 2, s.last / 86400 + 2) AS n (day)
),
midnight AS (
    SELECT n.zone, n.day, (
        -- Where clocks go back past midnight, it strikes twice: the first one counts.
        SELECT CASE WHEN n.day * 86400 - o.before < o.start THEN n.day * 86400 - o.before
            ELSE n.day * 86400 - o."offset" END
        FROM utc_offset AS o
        WHERE o.zone = n.zone AND o.start <= n.day * 86400 - o."offset"
        ORDER BY o.start DESC LIMIT 1
    ) AS at
    FROM number AS n
)
SELECT zone, to_char(DATE '1970-01-01' + CAST(day AS INTEGER), 'YYYY-MM-DD') AS day, at AS start,
    lead(at) OVER (PARTITION BY zone ORDER BY day) AS "end"
FROM midnight;

CREATE VIEW coverage AS
WITH
bounds AS MATERIALIZED (SELECT zone, day, start, "end" FROM local_day WHERE "end" IS NOT NULL),
asked_day AS (
    SELECT d.device, b.day, b.start, b."end",
        CAST(sum(least(a."end", b."end") - greatest(a.start, b.start)) AS BIGINT) AS asked_seconds
    FROM device AS d
    JOIN bounds AS b ON b.zone = d.zone
    JOIN asked AS a ON a.device = d.device AND a."end" > b.start AND a.start < b."end" AND a.start >= coalesce(
        (SELECT max(p.start) FROM asked AS p WHERE p.device = d.device AND p.start < b.start), b.start)
    GROUP BY d.device, b.day, b.start, b."end"
),
told AS (
    SELECT b.device, b.day, b.asked_seconds,
        (
            SELECT CAST(coalesce(sum(least(m."end", b."end") - greatest(m.start, b.start)), 0) AS BIGINT) FROM missing AS m
            WHERE m.device = b.device AND m."end" > b.start AND m.start < b."end" AND m.start >= coalesce(
                (SELECT max(p.start) FROM missing AS p WHERE p.device = b.device AND p.start < b.start), b.start)
        ) AS missing_seconds,
        (
            SELECT CAST(coalesce(sum(least(m."end", b."end") - greatest(m.start, b.start)), 0) AS BIGINT) FROM missing AS m
            WHERE m.cause = 'pruned' AND m.device = b.device AND m."end" > b.start AND m.start < b."end"
                AND m.start >= coalesce((SELECT max(p.start) FROM missing AS p
                    WHERE p.cause = 'pruned' AND p.device = b.device AND p.start < b.start), b.start)
        ) AS pruned_seconds
    FROM asked_day AS b
)
-- Rounded down, so that 100 means all of it.
SELECT device, day, asked_seconds - pruned_seconds AS asked_seconds, asked_seconds - missing_seconds AS archived_seconds,
    CAST((asked_seconds - missing_seconds) * 10000 / (asked_seconds - pruned_seconds) AS DOUBLE PRECISION) / 100 AS percent
FROM told WHERE asked_seconds > pruned_seconds;
COMMENT ON VIEW coverage IS 'each device and day of its local time: what was asked for, what of it is archived';

CREATE VIEW runs AS
SELECT r.run, utc_text(r.started) AS started_utc, utc_text(r.ended) AS ended_utc, r.ended - r.started AS seconds,
    r.what, r.source, r.exit,
    -- Only the newest run of a source on a machine can be under way, or one whose process is a host that lives.
    CASE WHEN r.ended IS NOT NULL THEN 'ended'
        WHEN r.run = (SELECT max(n.run) FROM run AS n WHERE n.source = r.source AND n.host = r.host) THEN 'unfinished'
        WHEN EXISTS (SELECT 1 FROM host AS h WHERE h.machine = r.host AND h.pid = r.pid AND h.left_at IS NULL
            AND h.until > clock_timestamp()) THEN 'unfinished'
        ELSE 'cut off' END AS state,
    r.attempts, r.recordings, r.bytes, r.archived_seconds, r.missing_seconds, r.pid, r.host
FROM run AS r;

CREATE VIEW recordings AS
SELECT r.device, utc_text(r.start) AS from_utc, utc_text(r."end") AS to_utc, r.seconds, f.path || r.name AS path, r.bytes,
    encode(r.blake3, 'hex') AS blake3, r.media_milliseconds, r.first_timestamp, k.video, k.audio, k.width, k.height, r.source,
    r.clock_offset, utc_text(r.archived_at) AS archived_utc, r.note
FROM recording AS r JOIN folder AS f ON f.folder = r.folder JOIN format AS k ON k.format = r.format;

CREATE VIEW attempts AS
SELECT a.attempt, a.run, a.device, utc_text(a.start) AS from_utc, utc_text(a."end") AS to_utc,
    utc_text(a.started) AS started_utc, a.milliseconds, a.bytes, o.word AS outcome, o.code, a.detail
FROM attempt AS a JOIN outcome AS o ON o.outcome = a.outcome;

CREATE VIEW attempt_days AS
SELECT d.device, to_char(DATE '1970-01-01' + CAST(d.day AS INTEGER), 'YYYY-MM-DD') AS day_utc, o.word AS outcome, o.code,
    d.attempts, d.seconds AS window_seconds, d.milliseconds, d.bytes
FROM attempt_day AS d JOIN outcome AS o ON o.outcome = d.outcome;

CREATE VIEW verify_rounds AS
SELECT round, utc_text(began) AS began_utc, utc_text(ended) AS ended_utc, device AS reached_device,
    utc_text(reached) AS reached_utc, files, bytes, corrupt
FROM verify_round;

CREATE TABLE filling (
    source TEXT COLLATE "C" NOT NULL
);
COMMENT ON TABLE filling IS 'a row while this is being filled from another ledger, from which one; it is no ledger before that is done';

CREATE VIEW hosts AS
SELECT h.host, h.name, h.machine, h.pid, to_char(h.joined AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS joined_utc,
    to_char(h.seen AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS seen_utc,
    CASE WHEN h.left_at IS NOT NULL THEN 'gone' WHEN h.until > clock_timestamp() THEN 'alive' ELSE 'not heard of' END AS state,
    h.streams, h.backlog_seconds, h.hungry, (SELECT count(*) FROM nvr_share AS s WHERE s.host = h.host) AS nvrs
FROM host AS h;
COMMENT ON VIEW hosts IS 'who shares the work, and how they are';
