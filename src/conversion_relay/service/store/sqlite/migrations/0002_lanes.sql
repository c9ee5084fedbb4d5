-- Deliveries can be held and suppressed, a held lane can be probed, and lanes are remembered.

CREATE TABLE lanes (
    destination TEXT PRIMARY KEY,
    credential  TEXT NOT NULL, -- a fingerprint, never the credential
    condition   TEXT NOT NULL,
    since       INTEGER,
    reason      TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE deliveries_anew (
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

INSERT INTO deliveries_anew
SELECT
    id, event, envelope, mapping, event_name, event_id, accepted_at, state, attempts, fence,
    due_at, claimed_at, first_unknown_at, settled_at, reason, body
FROM deliveries;

DROP TABLE deliveries;
ALTER TABLE deliveries_anew RENAME TO deliveries;

CREATE INDEX deliveries_due ON deliveries (envelope, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX deliveries_claimed ON deliveries (claimed_at) WHERE claimed_at IS NOT NULL;
CREATE INDEX deliveries_held ON deliveries (envelope) WHERE state = 'held';
CREATE INDEX deliveries_unknown ON deliveries (envelope, due_at)
    WHERE due_at IS NOT NULL AND first_unknown_at IS NOT NULL;
CREATE INDEX deliveries_event ON deliveries (event);

CREATE TRIGGER delivery_kept AFTER INSERT ON deliveries BEGIN
    INSERT INTO delivery_counts VALUES (NEW.envelope, NEW.state, 1)
    ON CONFLICT DO UPDATE SET count = count + 1;
END;

-- A replay can find a use for an event that had none.
CREATE TRIGGER event_changed AFTER UPDATE OF disposition ON events
WHEN NEW.disposition <> OLD.disposition BEGIN
    UPDATE event_counts SET count = count - 1 WHERE disposition = OLD.disposition;
    INSERT INTO event_counts VALUES (NEW.disposition, 1)
    ON CONFLICT DO UPDATE SET count = count + 1;
END;

-- A replay with another mapping may change the envelope as well.
CREATE TRIGGER delivery_changed AFTER UPDATE OF state, envelope ON deliveries
WHEN NEW.state <> OLD.state OR NEW.envelope <> OLD.envelope BEGIN
    UPDATE delivery_counts SET count = count - 1
    WHERE envelope = OLD.envelope AND state = OLD.state;
    INSERT INTO delivery_counts VALUES (NEW.envelope, NEW.state, 1)
    ON CONFLICT DO UPDATE SET count = count + 1;
END;

CREATE TRIGGER delivery_removed AFTER DELETE ON deliveries BEGIN
    UPDATE delivery_counts SET count = count - 1
    WHERE envelope = OLD.envelope AND state = OLD.state;
END;
