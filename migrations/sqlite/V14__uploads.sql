-- The upload that brings a file into an object store, by the number that the store gave it: whoever comes after a crash, on this
-- host or another, aborts it before anything else, so that it can never be completed.
ALTER TABLE publishing ADD COLUMN upload TEXT;
