-- How far back an NVR keeps footage, as answers showed it; nothing when they never did.
ALTER TABLE nvr_limit ADD COLUMN keeps_seconds INTEGER;

-- How each NVR fared in each run that asked it for anything: the history behind nvr_limit.
CREATE TABLE nvr_night (
    nvr        TEXT    NOT NULL,
    run        INTEGER NOT NULL REFERENCES run,
    playbacks  INTEGER NOT NULL, -- how many downloads it was believed to take at once, when the run ended
    calls      INTEGER NOT NULL,
    refused    INTEGER NOT NULL, -- of them, by the NVR: busy, overloaded, or offline
    left_alone INTEGER NOT NULL, -- how often it was left alone because it refused too many
    PRIMARY KEY (nvr, run)
) STRICT, WITHOUT ROWID;
