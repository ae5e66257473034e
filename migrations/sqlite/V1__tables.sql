-- The ledger's tables. All times are seconds since 1970-01-01T00:00:00Z; ranges include `start` and exclude `end`.
--
-- The rule that everything here serves: for every device, asked ∪ archived = archived ⊎ missing. So every second that
-- was asked for is in exactly one state: archived, or in one row of `missing` with its cause.

-- "arcl": how a ledger is told from any other SQLite database.
PRAGMA application_id = 1634886508;

-- The steps of each time zone that a device lives in, so that plain SQL can show local time.
CREATE TABLE utc_offset (
    zone   TEXT    NOT NULL, -- IANA name
    start  INTEGER NOT NULL, -- from when on this offset holds
    offset INTEGER NOT NULL, -- seconds east of UTC
    before INTEGER NOT NULL, -- the offset that held until then
    label  TEXT    NOT NULL, -- the offset as people write it: +08:00
    PRIMARY KEY (zone, start)
) STRICT, WITHOUT ROWID;

-- Where cameras are unless something else is said; no clock change since 1991.
INSERT INTO utc_offset VALUES ('Asia/Shanghai', -62135596800, 28800, 28800, '+08:00');

CREATE TABLE nvr (
    nvr   TEXT NOT NULL PRIMARY KEY, -- its name in the settings, or the platform's puid
    store TEXT,                      -- the store's name
    seen  INTEGER                    -- when the platform last listed it
) STRICT, WITHOUT ROWID;

CREATE TABLE device (
    device  INTEGER NOT NULL PRIMARY KEY, -- the platform's number
    name    TEXT,
    store   TEXT,                         -- the store's name
    nvr     TEXT REFERENCES nvr,
    channel INTEGER,                      -- its channel on the NVR
    zone    TEXT NOT NULL DEFAULT 'Asia/Shanghai',
    seen    INTEGER                       -- when the platform last listed it
) STRICT;

-- What was asked for, over all runs: the fewest ranges that hold it.
CREATE TABLE asked (
    device INTEGER NOT NULL REFERENCES device,
    start  INTEGER NOT NULL,
    end    INTEGER NOT NULL CHECK (start < end),
    PRIMARY KEY (device, start)
) STRICT, WITHOUT ROWID;

-- What is archived: the fewest ranges that hold all recordings of the device.
CREATE TABLE archived (
    device INTEGER NOT NULL REFERENCES device,
    start  INTEGER NOT NULL,
    end    INTEGER NOT NULL CHECK (start < end),
    PRIMARY KEY (device, start)
) STRICT, WITHOUT ROWID;

-- What was asked for and is not archived. Rows of one device never overlap. Time that was never tried is one row
-- however long; each tried window is a row of its own.
--
-- Adjacent rows with the same cause are one gap. The row that begins a gap has `from_utc` and `from_local`, the row
-- that ends it has `to_utc` and `to_local`, other rows have none: so the view of all gaps neither sorts nor formats,
-- which would take it most of its time.
CREATE TABLE missing (
    device      INTEGER NOT NULL REFERENCES device,
    start       INTEGER NOT NULL,
    end         INTEGER NOT NULL CHECK (start < end),
    cause       TEXT    NOT NULL,
    attempts    INTEGER NOT NULL, -- over all runs
    last_code   TEXT,             -- the last code that decided an attempt: 'result -4'
    last_detail TEXT,             -- what else the last attempt had to say
    last_try    TEXT,             -- when the cause was last learned (UTC)
    from_utc    TEXT,
    to_utc      TEXT,
    from_local  TEXT,
    to_local    TEXT,
    PRIMARY KEY (device, start)
) STRICT, WITHOUT ROWID;

-- Names that many recordings share are written once.
CREATE TABLE folder (
    folder INTEGER PRIMARY KEY,
    path   TEXT NOT NULL UNIQUE -- below the archive's root, with a closing / unless empty
) STRICT;

CREATE TABLE format (
    format INTEGER PRIMARY KEY,
    video  TEXT,
    audio  TEXT,
    width  INTEGER,
    height INTEGER
) STRICT;

-- One row per published file. Rows of one device never overlap.
CREATE TABLE recording (
    device             INTEGER NOT NULL REFERENCES device,
    start              INTEGER NOT NULL,
    end                INTEGER NOT NULL CHECK (start < end),
    folder             INTEGER NOT NULL REFERENCES folder,
    name               TEXT    NOT NULL,
    bytes              INTEGER NOT NULL,
    blake3             BLOB    NOT NULL CHECK (length(blake3) = 32),
    format             INTEGER NOT NULL REFERENCES format,
    media_milliseconds INTEGER NOT NULL,
    first_timestamp    INTEGER NOT NULL, -- milliseconds, as the stream counts them
    source             TEXT    NOT NULL CHECK (source IN ('nvr', 'live')),
    archived_at        INTEGER NOT NULL,
    note               TEXT,
    PRIMARY KEY (device, start)
) STRICT, WITHOUT ROWID;

CREATE TABLE run (
    run              INTEGER PRIMARY KEY,
    started          INTEGER NOT NULL,
    ended            INTEGER,         -- nothing while it runs, and for ever when it was cut off
    pid              INTEGER NOT NULL,
    host             TEXT    NOT NULL,
    what             TEXT    NOT NULL, -- the command or the job
    exit             INTEGER,
    attempts         INTEGER,
    recordings       INTEGER,
    bytes            INTEGER,
    archived_seconds INTEGER,
    missing_seconds  INTEGER
) STRICT;

CREATE TABLE attempt (
    attempt      INTEGER PRIMARY KEY,
    run          INTEGER NOT NULL REFERENCES run,
    device       INTEGER NOT NULL REFERENCES device,
    start        INTEGER NOT NULL, -- of the window
    end          INTEGER NOT NULL,
    started      INTEGER NOT NULL,
    milliseconds INTEGER NOT NULL,
    bytes        INTEGER NOT NULL,
    outcome      TEXT    NOT NULL,
    code         TEXT,
    detail       TEXT
) STRICT;
