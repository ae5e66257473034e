-- What runs learned of how much each NVR can take: the next run starts with it.
CREATE TABLE nvr_limit (
    nvr           TEXT    NOT NULL PRIMARY KEY,
    playbacks     INTEGER NOT NULL, -- how many downloads it takes at once
    probe_seconds INTEGER,          -- how long was last waited before one more was tried; nothing before the first refusal
    calls         INTEGER NOT NULL, -- over all runs
    refused       INTEGER NOT NULL, -- of them, by the NVR: busy, overloaded, or offline
    learned_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
