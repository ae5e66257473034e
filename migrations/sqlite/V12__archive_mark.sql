-- Which archive the ledger is of: what stands in `.archive-root` in its root. One row, or none while no run has looked.
CREATE TABLE archive_mark (
    mark TEXT NOT NULL
) STRICT;
