-- The catalog in the archive's root says again what the ledger knows and no file tells, so that a lost ledger can be made anew.

-- The recordings that it does not name yet, in the order in which they came.
CREATE TABLE uncatalogued (
    change INTEGER PRIMARY KEY,
    device INTEGER NOT NULL,
    start  INTEGER NOT NULL -- of the recording
) STRICT;

-- How far it has come: one row, or none while it has to be written from the beginning.
CREATE TABLE catalog (
    segment INTEGER NOT NULL -- the number of its newest recordings-….jsonl
) STRICT;
