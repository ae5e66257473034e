-- So that a start after a crash looks at nothing but what the crash can have left.

-- Files that are about to get their final name. A row is on disk before its file is renamed, and goes in the transaction that
-- writes the recording's row: so the files that a crash leaves without one stand here, and nowhere else.
CREATE TABLE publishing (
    path TEXT    NOT NULL PRIMARY KEY,             -- its name below the archive's root, which says all else
    live INTEGER NOT NULL CHECK (live IN (0, 1))   -- 1 when a live run publishes it
) STRICT, WITHOUT ROWID;

-- A run of an older version did not do so: what it left when it was cut off may lie anywhere, and is looked for once. From now
-- on `recovered` is of such runs alone.
ALTER TABLE run ADD COLUMN notes_publishing INTEGER NOT NULL DEFAULT 0 /* 1 when it writes into publishing first */;

-- What is being recorded is asked for at every start, and is hardly ever there.
CREATE INDEX being_recorded ON missing (device, start) WHERE cause = 'being recorded';

-- So is this, which was summed up over all nights each time.
ALTER TABLE nvr_limit ADD COLUMN left_alone INTEGER NOT NULL DEFAULT 0 /* over all runs: how often it was left alone */;
UPDATE nvr_limit AS l SET left_alone =
    (SELECT coalesce(sum(n.left_alone), 0) FROM nvr_night AS n WHERE n.nvr = l.nvr);
