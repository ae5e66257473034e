-- Fewer bytes a window. What a row can be told from is computed: as columns of the same names as before, which take no
-- room. And what many attempts share is written once, and those that are too old to matter one by one are kept as sums.

-- What attempts came to.
CREATE TABLE outcome (
    outcome INTEGER PRIMARY KEY,
    word    TEXT NOT NULL, -- 'archived', 'nvr full'
    code    TEXT           -- the code that decided it, when one did: 'result -4'
) STRICT;

-- Nearly all attempts come to this: the numbers 0 and 1 take no room in a row.
INSERT INTO outcome VALUES (0, 'archived', NULL);

DROP VIEW attempts;
ALTER TABLE attempt RENAME TO wide_attempt;

INSERT INTO outcome (word, code)
SELECT DISTINCT outcome, code FROM wide_attempt WHERE outcome <> 'archived' OR code IS NOT NULL ORDER BY outcome, code;

CREATE TABLE attempt (
    attempt      INTEGER PRIMARY KEY,
    run          INTEGER NOT NULL REFERENCES run,
    device       INTEGER NOT NULL REFERENCES device,
    start        INTEGER NOT NULL, -- of the window
    seconds      INTEGER NOT NULL,
    end          INTEGER NOT NULL GENERATED ALWAYS AS (start + seconds) VIRTUAL,
    started      INTEGER NOT NULL,
    milliseconds INTEGER NOT NULL,
    bytes        INTEGER NOT NULL,
    outcome      INTEGER NOT NULL REFERENCES outcome,
    detail       TEXT
) STRICT;

INSERT INTO attempt (attempt, run, device, start, seconds, started, milliseconds, bytes, outcome, detail)
SELECT w.attempt, w.run, w.device, w.start, w.end - w.start, w.started, w.milliseconds, w.bytes, o.outcome, w.detail
FROM wide_attempt AS w JOIN outcome AS o ON o.word = w.outcome AND o.code IS w.code
ORDER BY w.attempt;

DROP TABLE wide_attempt;

CREATE VIEW attempts AS
SELECT a.attempt, a.run, a.device,
    replace(datetime(a.start, 'unixepoch'), ' ', 'T') || 'Z' AS from_utc,
    replace(datetime(a.end, 'unixepoch'), ' ', 'T') || 'Z' AS to_utc,
    replace(datetime(a.started, 'unixepoch'), ' ', 'T') || 'Z' AS started_utc,
    a.milliseconds, a.bytes, o.word AS outcome, o.code, a.detail
FROM attempt AS a JOIN outcome AS o ON o.outcome = a.outcome;

-- The sums of attempts that have been folded away.
CREATE TABLE attempt_day (
    day          INTEGER NOT NULL, -- in UTC, in which they began: days since 1970-01-01
    device       INTEGER NOT NULL REFERENCES device,
    outcome      INTEGER NOT NULL REFERENCES outcome,
    attempts     INTEGER NOT NULL,
    seconds      INTEGER NOT NULL, -- of their windows
    milliseconds INTEGER NOT NULL, -- that they took
    bytes        INTEGER NOT NULL,
    last_attempt INTEGER NOT NULL, -- the number of the newest one
    PRIMARY KEY (day, device, outcome)
) STRICT, WITHOUT ROWID;

-- The history asks for the newest attempts, which are hardly ever among these.
CREATE INDEX attempt_day_last_attempt ON attempt_day (last_attempt);

CREATE VIEW attempt_days AS
SELECT d.device, date(d.day * 86400, 'unixepoch') AS day_utc, o.word AS outcome, o.code, d.attempts,
    d.seconds AS window_seconds, d.milliseconds, d.bytes
FROM attempt_day AS d JOIN outcome AS o ON o.outcome = d.outcome;

DROP VIEW recordings;
ALTER TABLE recording RENAME TO wide_recording;

-- One row per published file. Rows of one device never overlap.
CREATE TABLE recording (
    device             INTEGER NOT NULL REFERENCES device,
    start              INTEGER NOT NULL,
    seconds            INTEGER NOT NULL CHECK (seconds > 0),
    end                INTEGER NOT NULL GENERATED ALWAYS AS (start + seconds) VIRTUAL,
    live               INTEGER NOT NULL CHECK (live IN (0, 1)),
    source             TEXT    NOT NULL GENERATED ALWAYS AS (CASE live WHEN 1 THEN 'live' ELSE 'nvr' END) VIRTUAL,
    folder             INTEGER NOT NULL REFERENCES folder,
    -- The name is what the next two and the row itself tell: 5_20261120T090000+0800_600s.flv. One that is not has own_name.
    quarters           INTEGER,   -- the local time's offset in the name: quarters of an hour east of UTC
    container          INTEGER CHECK (container IN (0, 1, 2)), -- flv, ts, mp4
    own_name           TEXT,
    name               TEXT    NOT NULL GENERATED ALWAYS AS (coalesce(own_name,
        device || '_' || strftime('%Y%m%dT%H%M%S', start + 900 * quarters, 'unixepoch')
        || printf('%s%02d%02d', CASE WHEN quarters < 0 THEN '-' ELSE '+' END, abs(quarters) / 4, abs(quarters) % 4 * 15)
        || '_' || seconds || 's' || CASE live WHEN 1 THEN '_live' ELSE '' END
        || CASE container WHEN 0 THEN '.flv' WHEN 1 THEN '.ts' WHEN 2 THEN '.mp4' END)) VIRTUAL,
    bytes              INTEGER NOT NULL,
    blake3             BLOB    NOT NULL CHECK (length(blake3) = 32),
    format             INTEGER NOT NULL REFERENCES format,
    media_milliseconds INTEGER NOT NULL,
    first_timestamp    INTEGER NOT NULL, -- milliseconds, as the stream counts them
    archived_at        INTEGER NOT NULL,
    clock_offset       INTEGER, -- of a live one: milliseconds that the platform's clock was ahead of this machine's; its
                                -- range is on the platform's clock
    note               TEXT,
    PRIMARY KEY (device, start)
) STRICT, WITHOUT ROWID;

-- What the names say is taken from them, and believed where the name that it makes is the same.
WITH
label AS (
    -- The offset follows the device, a _ and fifteen characters of local time.
    SELECT *, substr(name, length(device) + 17, 5) AS offset FROM wide_recording
),
said AS (
    SELECT *,
        CASE WHEN offset GLOB '[+-][0-9][0-9][0-9][0-9]' AND substr(offset, 4) % 15 = 0
            THEN (substr(offset, 2, 2) * 4 + substr(offset, 4) / 15) * CASE substr(offset, 1, 1) WHEN '-' THEN -1 ELSE 1 END
        END AS quarters,
        CASE WHEN name GLOB '*.flv' THEN 0 WHEN name GLOB '*.ts' THEN 1 WHEN name GLOB '*.mp4' THEN 2 END AS container
    FROM label
),
told AS (
    SELECT *,
        name IS device || '_' || strftime('%Y%m%dT%H%M%S', start + 900 * quarters, 'unixepoch')
            || printf('%s%02d%02d', CASE WHEN quarters < 0 THEN '-' ELSE '+' END, abs(quarters) / 4, abs(quarters) % 4 * 15)
            || '_' || (end - start) || 's' || CASE source WHEN 'live' THEN '_live' ELSE '' END
            || CASE container WHEN 0 THEN '.flv' WHEN 1 THEN '.ts' WHEN 2 THEN '.mp4' END AS is_told
    FROM said
)
INSERT INTO recording (device, start, seconds, live, folder, quarters, container, own_name, bytes, blake3, format,
    media_milliseconds, first_timestamp, archived_at, clock_offset, note)
SELECT device, start, end - start, source = 'live', folder, CASE WHEN is_told THEN quarters END,
    CASE WHEN is_told THEN container END, CASE WHEN is_told THEN NULL ELSE name END, bytes, blake3, format,
    media_milliseconds, first_timestamp, archived_at, clock_offset, note
FROM told ORDER BY device, start;

DROP TABLE wide_recording;

CREATE VIEW recordings AS
SELECT r.device,
    replace(datetime(r.start, 'unixepoch'), ' ', 'T') || 'Z' AS from_utc,
    replace(datetime(r.end, 'unixepoch'), ' ', 'T') || 'Z' AS to_utc,
    r.seconds, f.path || r.name AS path, r.bytes, lower(hex(r.blake3)) AS blake3,
    r.media_milliseconds, r.first_timestamp, k.video, k.audio, k.width, k.height, r.source, r.clock_offset,
    replace(datetime(r.archived_at, 'unixepoch'), ' ', 'T') || 'Z' AS archived_utc, r.note
FROM recording AS r JOIN folder AS f ON f.folder = r.folder JOIN format AS k ON k.format = r.format;
