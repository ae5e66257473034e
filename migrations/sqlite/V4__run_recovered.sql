-- A run that was cut off, or failed, may leave published files without a row. A later run that has looked for them says so.
ALTER TABLE run ADD COLUMN recovered INTEGER NOT NULL DEFAULT 0; -- 1 when what it left behind has been put right
