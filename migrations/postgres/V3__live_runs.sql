-- Live runs of many machines, which SQLite's ledger has none of: whose cameras they record. Who is alive is told by this server's
-- clock alone.

CREATE TABLE live_run (
    live_run BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token     TEXT COLLATE "C" NOT NULL UNIQUE DEFAULT gen_random_uuid()::TEXT,
    machine   TEXT COLLATE "C" NOT NULL,
    pid       BIGINT NOT NULL,
    joined    TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    seen      TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    until     TIMESTAMPTZ NOT NULL,
    beats     BIGINT NOT NULL DEFAULT 0,
    left_at   TIMESTAMPTZ
);
COMMENT ON TABLE live_run IS 'live runs. One that was taken for dead joins again as another';
COMMENT ON COLUMN live_run.token IS 'what it writes into the lock of its folder, so that whoever has that lock next knows it to be gone';
COMMENT ON COLUMN live_run.machine IS 'what its system calls itself: as in run.host';
COMMENT ON COLUMN live_run.seen IS 'when it was last heard of';
COMMENT ON COLUMN live_run.until IS 'for how long its cameras are its own, if it is not heard of again';
COMMENT ON COLUMN live_run.beats IS 'how often it was heard of since it joined: who sees that grow knows it to be alive';
COMMENT ON COLUMN live_run.left_at IS 'when it left, or was taken for dead';
CREATE INDEX living_live_run ON live_run (live_run) WHERE left_at IS NULL;

CREATE TABLE live_camera (
    device    BIGINT NOT NULL PRIMARY KEY,
    live_run BIGINT NOT NULL
);
COMMENT ON TABLE live_camera IS 'which live run records which camera; a row goes when its run leaves or is taken for dead';
CREATE INDEX live_camera_run ON live_camera (live_run);

CREATE VIEW live_runs AS
SELECT h.live_run, h.machine, h.pid, to_char(h.joined AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS joined_utc,
    to_char(h.seen AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS seen_utc,
    CASE WHEN h.left_at IS NOT NULL THEN 'gone' WHEN h.until > clock_timestamp() THEN 'alive' ELSE 'not heard of' END AS state,
    (SELECT count(*) FROM live_camera AS c WHERE c.live_run = h.live_run) AS cameras
FROM live_run AS h;
COMMENT ON VIEW live_runs IS 'live runs, and how they are';
