-- What an event keeps back is noted; whose it is can be found; match keys are remembered and counted.

ALTER TABLE events ADD COLUMN suppressions TEXT; -- like rejections

-- Whose the events of a chunk of originals are: keyed hashes of their userId and anonymousId, never
-- the ids, 16 bytes for each event in order. They are looked through from end to end, because an index
-- would cost every event two pages of the log. Older chunks have none: their originals say it.
CREATE TABLE event_subjects (
    first_event INTEGER PRIMARY KEY REFERENCES originals (first_event) ON DELETE CASCADE,
    hashes      BLOB NOT NULL
) STRICT;

-- The key of these hashes: it stays when the key that seals it is changed.
CREATE TABLE subject_key (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    sealed      BLOB NOT NULL,
    first_event INTEGER NOT NULL -- events from here on have their hashes
) STRICT;

CREATE TABLE match_keys (
    subject     BLOB NOT NULL, -- keyed hash
    source      TEXT NOT NULL,
    destination TEXT NOT NULL,
    expires_at  INTEGER NOT NULL,
    kinds       INTEGER NOT NULL, -- how many match keys are in it
    sealed      BLOB NOT NULL,
    PRIMARY KEY (subject, source, destination)
) STRICT, WITHOUT ROWID;

CREATE INDEX match_keys_age ON match_keys (expires_at);

-- Whose match keys were learned together with whose: they are forgotten together too.
CREATE TABLE match_key_bonds (
    subject    BLOB NOT NULL,
    source     TEXT NOT NULL,
    other      BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (subject, source, other)
) STRICT, WITHOUT ROWID;

CREATE INDEX match_key_bonds_age ON match_key_bonds (expires_at);

-- How many events carried a match key as they came, and once what is remembered was filled in.
CREATE TABLE match_key_counts (
    day         INTEGER NOT NULL, -- since 1970, UTC
    destination TEXT NOT NULL,
    key         TEXT NOT NULL,
    events      INTEGER NOT NULL,
    before      INTEGER NOT NULL,
    after       INTEGER NOT NULL,
    PRIMARY KEY (day, destination, key)
) STRICT, WITHOUT ROWID;
