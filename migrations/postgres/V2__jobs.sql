-- What is to be done at an NVR is said by job, so that hosts with different jobs can work side by side. Who holds an NVR is said once,
-- for all jobs.

ALTER TABLE host
    ADD COLUMN job    BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN asked  BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN served BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN what   TEXT COLLATE "C" NOT NULL DEFAULT '';
COMMENT ON COLUMN host.job IS 'which job it does: the same number for the same words and the same cameras';
COMMENT ON COLUMN host.asked IS 'the same number for the same cameras and the same time';
COMMENT ON COLUMN host.served IS 'the same number for the same cameras that are leased with the same NVRs';
COMMENT ON COLUMN host.what IS 'its job in the words of whoever asked for it: as in run.what';

CREATE TABLE nvr_job (
    nvr             TEXT COLLATE "C" NOT NULL,
    job             BIGINT NOT NULL,
    devices         BIGINT[] NOT NULL DEFAULT '{}',
    held_by         BIGINT,
    backlog_seconds BIGINT NOT NULL DEFAULT 0,
    loses_at        BIGINT,
    finished_at     TIMESTAMPTZ,
    PRIMARY KEY (nvr, job)
);
COMMENT ON TABLE nvr_job IS 'what there is to do at each NVR for each job that hosts work on';
COMMENT ON COLUMN nvr_job.devices IS 'the cameras of the job that are leased with this NVR; of all jobs, a camera is leased with one';
COMMENT ON COLUMN nvr_job.held_by IS 'the host of nvr_share that holds the NVR, whichever its job';
COMMENT ON COLUMN nvr_job.backlog_seconds IS 'footage that is missing and may still come, over all its cameras';
COMMENT ON COLUMN nvr_job.loses_at IS 'when the first of it is overwritten, where that is known';
COMMENT ON COLUMN nvr_job.finished_at IS 'when nothing was left to do for this job';
-- In the order in which hosts take what nobody holds.
CREATE INDEX unheld_nvr ON nvr_job (job, loses_at, backlog_seconds DESC, nvr)
    WHERE held_by IS NULL AND finished_at IS NULL AND backlog_seconds > 0;

DROP INDEX unheld_share;
ALTER TABLE nvr_share DROP COLUMN backlog_seconds, DROP COLUMN loses_at, DROP COLUMN finished_at;
COMMENT ON TABLE nvr_share IS 'which host holds which NVR';

CREATE OR REPLACE VIEW hosts AS
SELECT h.host, h.name, h.machine, h.pid, to_char(h.joined AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS joined_utc,
    to_char(h.seen AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS seen_utc,
    CASE WHEN h.left_at IS NOT NULL THEN 'gone' WHEN h.until > clock_timestamp() THEN 'alive' ELSE 'not heard of' END AS state,
    h.streams, h.backlog_seconds, h.hungry, (SELECT count(*) FROM nvr_share AS s WHERE s.host = h.host) AS nvrs, h.what
FROM host AS h;
