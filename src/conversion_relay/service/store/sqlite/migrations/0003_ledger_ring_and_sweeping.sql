-- The ledger becomes a ring of tables, and what is finished can be found by its age and removed.

-- Which events were seen; outlives the events themselves. All three are alike.
ALTER TABLE ledger RENAME TO ledger_0;

CREATE TABLE ledger_1 (
    message_id  TEXT NOT NULL,
    source      TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    event       INTEGER NOT NULL,
    PRIMARY KEY (message_id, source)
) STRICT, WITHOUT ROWID;

CREATE TABLE ledger_2 (
    message_id  TEXT NOT NULL,
    source      TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    event       INTEGER NOT NULL,
    PRIMARY KEY (message_id, source)
) STRICT, WITHOUT ROWID;

CREATE TABLE ledger_slots (
    slot  INTEGER PRIMARY KEY,
    state TEXT NOT NULL, -- current: new ids go in; left: looked in only; empty: neither
    since INTEGER        -- when it came to this state; of the first: when it was first looked at
) STRICT;

INSERT INTO ledger_slots VALUES (0, 'current', NULL), (1, 'empty', NULL), (2, 'empty', NULL);

CREATE INDEX events_age ON events (disposition, received_at);

-- Chunks that still hold the bytes of events that are gone.
CREATE TABLE originals_to_thin (
    first_event INTEGER PRIMARY KEY REFERENCES originals (first_event) ON DELETE CASCADE
) STRICT;

-- For questions about few ids. A join with it inside an aggregate would read all of it.
CREATE VIEW ledger AS
SELECT message_id, source, received_at, event FROM ledger_0
UNION ALL SELECT message_id, source, received_at, event FROM ledger_1
UNION ALL SELECT message_id, source, received_at, event FROM ledger_2;
