-- Times are microseconds since 1970, UTC.

-- One row for each key that ever sealed here; its proof shows at the start whether the key is at hand.
CREATE TABLE sealing_keys (
    key_id TEXT PRIMARY KEY,
    proof  BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    id          INTEGER PRIMARY KEY AUTOINCREMENT, -- never reused: the ledger remembers it
    source      TEXT NOT NULL,
    message_id  TEXT NOT NULL,
    type        TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    disposition TEXT NOT NULL,
    reason      TEXT,
    warnings    TEXT, -- JSON: [[destination, mapping, field, reason], ...], never a value
    rejections  TEXT  -- the same
) STRICT;

-- The bytes of the events from first_event to last_event, compressed and sealed together.
CREATE TABLE originals (
    first_event INTEGER PRIMARY KEY,
    last_event  INTEGER NOT NULL,
    sealed      BLOB NOT NULL
) STRICT;

-- Which events were seen; outlives the events themselves.
CREATE TABLE ledger (
    message_id  TEXT NOT NULL,
    source      TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    event       INTEGER NOT NULL,
    PRIMARY KEY (message_id, source)
) STRICT, WITHOUT ROWID;

-- What deliveries must share to travel together; few rows.
CREATE TABLE envelopes (
    id          INTEGER PRIMARY KEY,
    destination TEXT NOT NULL,
    envelope    TEXT NOT NULL,
    UNIQUE (destination, envelope)
) STRICT;

CREATE TABLE deliveries (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    event            INTEGER NOT NULL REFERENCES events (id),
    envelope         INTEGER NOT NULL REFERENCES envelopes (id),
    mapping          TEXT NOT NULL,
    event_name       TEXT NOT NULL,
    event_id         TEXT,
    accepted_at      INTEGER NOT NULL,
    state            TEXT NOT NULL,
    attempts         INTEGER NOT NULL DEFAULT 0,
    fence            INTEGER NOT NULL DEFAULT 0,
    due_at           INTEGER, -- when it may be claimed: its retry, or the end of its lease
    claimed_at       INTEGER,
    first_unknown_at INTEGER,
    settled_at       INTEGER,
    reason           TEXT,
    body             BLOB,    -- sealed; gone once delivered
    CHECK ((due_at IS NOT NULL) = (state IN ('pending', 'claimed'))),
    CHECK ((claimed_at IS NOT NULL) = (state = 'claimed')),
    CHECK ((body IS NULL) = (state = 'delivered'))
) STRICT;

CREATE INDEX deliveries_due ON deliveries (envelope, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX deliveries_claimed ON deliveries (claimed_at) WHERE claimed_at IS NOT NULL;
CREATE INDEX deliveries_event ON deliveries (event);

-- Totals are kept by triggers, because counting millions of rows on every look is too slow.
CREATE TABLE event_counts (
    disposition TEXT PRIMARY KEY,
    count       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE delivery_counts (
    envelope INTEGER NOT NULL REFERENCES envelopes (id),
    state    TEXT NOT NULL,
    count    INTEGER NOT NULL,
    PRIMARY KEY (envelope, state)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER event_kept AFTER INSERT ON events BEGIN
    INSERT INTO event_counts VALUES (NEW.disposition, 1)
    ON CONFLICT DO UPDATE SET count = count + 1;
END;

CREATE TRIGGER event_removed AFTER DELETE ON events BEGIN
    UPDATE event_counts SET count = count - 1 WHERE disposition = OLD.disposition;
END;

CREATE TRIGGER delivery_kept AFTER INSERT ON deliveries BEGIN
    INSERT INTO delivery_counts VALUES (NEW.envelope, NEW.state, 1)
    ON CONFLICT DO UPDATE SET count = count + 1;
END;

CREATE TRIGGER delivery_changed AFTER UPDATE OF state ON deliveries
WHEN NEW.state <> OLD.state BEGIN
    UPDATE delivery_counts SET count = count - 1
    WHERE envelope = OLD.envelope AND state = OLD.state;
    INSERT INTO delivery_counts VALUES (NEW.envelope, NEW.state, 1)
    ON CONFLICT DO UPDATE SET count = count + 1;
END;

CREATE TRIGGER delivery_removed AFTER DELETE ON deliveries BEGIN
    UPDATE delivery_counts SET count = count - 1
    WHERE envelope = OLD.envelope AND state = OLD.state;
END;
