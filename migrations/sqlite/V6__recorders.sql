-- Which NVR serves a device: who says what is kept apart, because what the settings say comes first and may be taken back.
-- The program decides from these columns and the settings; `device.nvr` is only what the last run took.
-- Comments stand inside the statements, so that `.schema` shows them.
ALTER TABLE device ADD COLUMN puid TEXT /* the recorder, as the platform's list last said */;
ALTER TABLE device ADD COLUMN store_number INTEGER /* the store's number in that list */;
ALTER TABLE device ADD COLUMN online INTEGER /* whether that list showed it online: 1 or 0 */;

-- The two MAC addresses in the name of a device's media URL. The one that several devices share is their recorder's.
CREATE TABLE media_mac (
    device     INTEGER NOT NULL PRIMARY KEY REFERENCES device,
    first_mac  TEXT    NOT NULL,
    second_mac TEXT    NOT NULL,
    learned_at INTEGER NOT NULL -- when it was last another one
) STRICT;
