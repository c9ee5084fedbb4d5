-- What happened stays known: requests and their answers, what conversions are worth, counts by the
-- minute, alerts, configurations.

ALTER TABLE deliveries ADD COLUMN value_micros INTEGER; -- millionths of the currency's unit
ALTER TABLE deliveries ADD COLUMN currency TEXT;
ALTER TABLE deliveries ADD COLUMN request INTEGER;      -- the last in which it travelled

-- What deliveries before this one are worth was not kept.
CREATE TABLE worth_known (first_delivery INTEGER NOT NULL) STRICT;
INSERT INTO worth_known SELECT 1 + coalesce(max(id), 0) FROM deliveries;

-- The oldest of what waits is found at once. What waits for its first send is due when it was
-- accepted, so that only the others need an index beside deliveries_due: an ordinary delivery is
-- never in it, and costs no more than before.
CREATE INDEX deliveries_put_off ON deliveries (envelope, state, accepted_at)
    WHERE state = 'held' OR (due_at <> accepted_at AND state = 'pending');
DROP INDEX deliveries_held;

-- The newest row is never removed, so that no id comes twice.
CREATE TABLE requests (
    id          INTEGER PRIMARY KEY,
    destination TEXT NOT NULL,
    sent_at     INTEGER NOT NULL,
    seconds     REAL NOT NULL,
    events      INTEGER NOT NULL,
    result      TEXT NOT NULL,
    status      INTEGER, -- of HTTP
    code        INTEGER, -- of the partner
    request_id  TEXT,    -- the same
    reason      TEXT
) STRICT;

CREATE INDEX requests_age ON requests (sent_at);

-- Requests in which a delivery travelled before the last: there is a row only for what was tried
-- again.
CREATE TABLE attempts (
    delivery INTEGER NOT NULL,
    request  INTEGER NOT NULL,
    PRIMARY KEY (delivery, request)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER delivery_tried_again AFTER UPDATE OF request ON deliveries
WHEN OLD.request <> NEW.request BEGIN
    INSERT INTO attempts VALUES (OLD.id, OLD.request) ON CONFLICT DO NOTHING;
END;

CREATE TABLE flow (
    minute  INTEGER NOT NULL, -- since 1970
    measure TEXT NOT NULL,
    labels  TEXT NOT NULL,    -- JSON: [value, ...]
    count   INTEGER NOT NULL,
    PRIMARY KEY (minute, measure, labels)
) STRICT, WITHOUT ROWID;

CREATE TABLE alerts (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    rule        TEXT NOT NULL,
    subject     TEXT NOT NULL,
    severity    TEXT NOT NULL,
    opened_at   INTEGER NOT NULL,
    notified_at INTEGER NOT NULL,
    resolved_at INTEGER,
    summary     TEXT NOT NULL,
    advice      TEXT NOT NULL,
    facts       TEXT NOT NULL -- JSON
) STRICT;

CREATE UNIQUE INDEX alerts_open ON alerts (rule, subject) WHERE resolved_at IS NULL;

CREATE TABLE configurations (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    since       INTEGER NOT NULL,
    cause       TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    rolled_back TEXT,
    refused     TEXT,
    sealed      BLOB NOT NULL
) STRICT;
