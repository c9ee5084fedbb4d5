-- Times are microseconds since 1970, UTC, as in the embedded store.
--
-- An id is 2^36 times the day (UTC) on which its event was received, counted from 1970, plus a
-- number that no other has that day. So whatever belongs to an event lies in the partitions of its
-- day, an id alone says in which, and ids grow with time. They fit the 53 bits of a number in JSON.
-- Partitions are made by the service, ahead of time, and dropped once their day is outlived.

CREATE SEQUENCE event_numbers INCREMENT BY 10000 MINVALUE 0 MAXVALUE 68719460000 CYCLE;
CREATE SEQUENCE delivery_numbers INCREMENT BY 10000 MINVALUE 0 MAXVALUE 68719460000 CYCLE;

-- One row for each key that ever sealed here; its proof shows at the start whether the key is at hand.
-- Nodes that seal with it say so with every sign of life, by the database's clock.
CREATE TABLE sealing_keys (
    key_id  text PRIMARY KEY,
    proof   bytea NOT NULL,
    used_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE events (
    id           bigint PRIMARY KEY,
    source       text NOT NULL,
    message_id   text NOT NULL,
    type         text NOT NULL,
    received_at  bigint NOT NULL,
    disposition  text NOT NULL,
    reason       text,
    warnings     text, -- JSON: [[destination, mapping, field, reason], ...], never a value
    rejections   text, -- the same
    suppressions text  -- the same
) PARTITION BY RANGE (id);

CREATE INDEX events_age ON events (disposition, received_at, id);

-- The bytes of the events from first_event to last_event, compressed and sealed together.
CREATE TABLE originals (
    first_event bigint PRIMARY KEY,
    last_event  bigint NOT NULL,
    sealed      bytea NOT NULL,
    thin        boolean NOT NULL DEFAULT false -- it still holds the bytes of events that are gone
) PARTITION BY RANGE (first_event);

ALTER TABLE originals ALTER COLUMN sealed SET STORAGE EXTERNAL;
CREATE INDEX originals_thin ON originals (first_event) WHERE thin;

-- Whose the events of a chunk are: keyed hashes of their userId and anonymousId, never the ids, 16
-- bytes for each event in order.
CREATE TABLE event_subjects (
    first_event bigint PRIMARY KEY,
    hashes      bytea NOT NULL
) PARTITION BY RANGE (first_event);

-- The key of these hashes: it stays when the key that seals it is changed.
CREATE TABLE subject_key (
    id     integer PRIMARY KEY CHECK (id = 1),
    sealed bytea NOT NULL
);

-- What deliveries must share to travel together; few rows.
CREATE TABLE envelopes (
    id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    destination text NOT NULL,
    envelope    text NOT NULL,
    UNIQUE (destination, envelope)
);

CREATE TABLE deliveries (
    id               bigint PRIMARY KEY, -- of the day of its event
    event            bigint NOT NULL,
    envelope         integer NOT NULL,
    mapping          text NOT NULL,
    event_name       text NOT NULL,
    event_id         text,
    accepted_at      bigint NOT NULL,
    state            text NOT NULL,
    attempts         integer NOT NULL DEFAULT 0,
    fence            integer NOT NULL DEFAULT 0,
    due_at           bigint, -- when it may be claimed: its retry, or the end of its lease
    claimed_at       bigint,
    first_unknown_at bigint,
    settled_at       bigint,
    reason           text,
    value_micros     bigint, -- millionths of the currency's unit
    currency         text,
    request          bigint, -- the last in which it travelled
    CHECK ((due_at IS NOT NULL) = (state IN ('pending', 'claimed'))),
    CHECK ((claimed_at IS NOT NULL) = (state = 'claimed'))
) PARTITION BY RANGE (id);

CREATE INDEX deliveries_due ON deliveries (envelope, due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX deliveries_claimed ON deliveries (envelope, accepted_at) WHERE claimed_at IS NOT NULL;
CREATE INDEX deliveries_unknown ON deliveries (envelope, due_at, id)
    WHERE due_at IS NOT NULL AND first_unknown_at IS NOT NULL;
CREATE INDEX deliveries_put_off ON deliveries (envelope, state, accepted_at)
    WHERE state = 'held' OR (due_at <> accepted_at AND state = 'pending');
CREATE INDEX deliveries_held ON deliveries (envelope, settled_at, id) WHERE state = 'held';
CREATE INDEX deliveries_held_unknown ON deliveries (envelope, first_unknown_at)
    WHERE state = 'held' AND first_unknown_at IS NOT NULL;
CREATE INDEX deliveries_event ON deliveries (event);
CREATE INDEX deliveries_undelivered ON deliveries ((coalesce(settled_at, accepted_at)))
    WHERE state IN ('dead', 'uncertain', 'suppressed');

-- What a delivery would send, sealed; gone once it is delivered. Apart, so that a claim and its end
-- copy a small row.
CREATE TABLE bodies (
    delivery bigint PRIMARY KEY,
    sealed   bytea NOT NULL
) PARTITION BY RANGE (delivery);

ALTER TABLE bodies ALTER COLUMN sealed SET STORAGE EXTERNAL;

-- Requests in which a delivery travelled before the last: there is a row only for what was tried
-- again.
CREATE TABLE attempts (
    delivery bigint NOT NULL,
    request  bigint NOT NULL,
    PRIMARY KEY (delivery, request)
) PARTITION BY RANGE (delivery);

-- Which days have partitions.
CREATE TABLE days (
    day integer PRIMARY KEY
);

-- Which events were seen; outlives the events themselves. The table of the current slot gets new
-- ids; of the others they are only looked for. A slot changes under the lock that every append
-- shares, so that a key is unique over all of them.
CREATE TABLE ledger (
    message_id  text NOT NULL,
    source      text NOT NULL,
    slot        integer NOT NULL,
    received_at bigint NOT NULL,
    event       bigint NOT NULL,
    PRIMARY KEY (message_id, source, slot)
) PARTITION BY LIST (slot);

CREATE TABLE ledger_slots (
    slot    integer PRIMARY KEY,
    since   bigint, -- when it became the current one; of the first: when it was first looked at
    left_at bigint  -- when another did
);

INSERT INTO ledger_slots (slot) VALUES (0);
CREATE TABLE ledger_0 PARTITION OF ledger FOR VALUES IN (0);

-- Counts are kept as changes that only the sweep adds up: no two transactions wait for one row.
CREATE TABLE event_counts (
    day         integer NOT NULL,
    disposition text NOT NULL,
    change      bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

CREATE TABLE delivery_counts (
    day      integer NOT NULL,
    envelope integer NOT NULL,
    state    text NOT NULL,
    change   bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

CREATE FUNCTION count_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP IN ('DELETE', 'UPDATE') THEN
        INSERT INTO event_counts
        SELECT id >> 36, disposition, -count(*) FROM gone GROUP BY 1, 2;
    END IF;
    IF TG_OP IN ('INSERT', 'UPDATE') THEN
        INSERT INTO event_counts
        SELECT id >> 36, disposition, count(*) FROM here GROUP BY 1, 2;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER events_kept AFTER INSERT ON events
    REFERENCING NEW TABLE AS here FOR EACH STATEMENT EXECUTE FUNCTION count_events();
CREATE TRIGGER events_changed AFTER UPDATE ON events
    REFERENCING OLD TABLE AS gone NEW TABLE AS here
    FOR EACH STATEMENT EXECUTE FUNCTION count_events();
CREATE TRIGGER events_removed AFTER DELETE ON events
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION count_events();

CREATE FUNCTION count_deliveries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP IN ('DELETE', 'UPDATE') THEN
        INSERT INTO delivery_counts
        SELECT id >> 36, envelope, state, -count(*) FROM gone GROUP BY 1, 2, 3;
    END IF;
    IF TG_OP IN ('INSERT', 'UPDATE') THEN
        INSERT INTO delivery_counts
        SELECT id >> 36, envelope, state, count(*) FROM here GROUP BY 1, 2, 3;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF EXISTS (SELECT FROM gone WHERE request IS NOT NULL) THEN
            INSERT INTO attempts
            SELECT id, gone.request FROM gone JOIN here USING (id)
            WHERE gone.request <> here.request
            ON CONFLICT DO NOTHING;
        END IF;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER deliveries_kept AFTER INSERT ON deliveries
    REFERENCING NEW TABLE AS here FOR EACH STATEMENT EXECUTE FUNCTION count_deliveries();
CREATE TRIGGER deliveries_changed AFTER UPDATE ON deliveries
    REFERENCING OLD TABLE AS gone NEW TABLE AS here
    FOR EACH STATEMENT EXECUTE FUNCTION count_deliveries();
CREATE TRIGGER deliveries_removed AFTER DELETE ON deliveries
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION count_deliveries();

CREATE TABLE match_keys (
    subject     bytea NOT NULL, -- keyed hash
    source      text NOT NULL,
    destination text NOT NULL,
    expires_at  bigint NOT NULL,
    kinds       integer NOT NULL, -- how many match keys are in it
    sealed      bytea NOT NULL,
    PRIMARY KEY (subject, source, destination)
);

CREATE INDEX match_keys_age ON match_keys (expires_at);

-- Whose match keys were learned together with whose: they are forgotten together too.
CREATE TABLE match_key_bonds (
    subject    bytea NOT NULL,
    source     text NOT NULL,
    other      bytea NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (subject, source, other)
);

CREATE INDEX match_key_bonds_age ON match_key_bonds (expires_at);

-- How many events carried a match key as they came, and once what is remembered was filled in; as
-- changes, like the other counts.
CREATE TABLE match_key_counts (
    day         integer NOT NULL, -- since 1970, UTC
    destination text NOT NULL,
    key         text NOT NULL,
    events      bigint NOT NULL,
    before      bigint NOT NULL,
    after       bigint NOT NULL
);

CREATE INDEX match_key_counts_day ON match_key_counts (day);

CREATE TABLE requests (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    destination text NOT NULL,
    sent_at     bigint NOT NULL,
    seconds     double precision NOT NULL,
    events      integer NOT NULL,
    result      text NOT NULL,
    status      integer, -- of HTTP
    code        bigint,  -- of the partner
    request_id  text,    -- the same
    reason      text
);

CREATE INDEX requests_age ON requests (sent_at, id);

CREATE TABLE flow (
    minute  integer NOT NULL, -- since 1970
    measure text NOT NULL,
    labels  text NOT NULL,    -- JSON: [value, ...]
    count   bigint NOT NULL,
    PRIMARY KEY (minute, measure, labels)
);

CREATE TABLE alerts (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule        text NOT NULL,
    subject     text NOT NULL,
    severity    text NOT NULL,
    opened_at   bigint NOT NULL,
    notified_at bigint NOT NULL,
    resolved_at bigint,
    summary     text NOT NULL,
    advice      text NOT NULL,
    facts       text NOT NULL -- JSON
);

CREATE UNIQUE INDEX alerts_open ON alerts (rule, subject) WHERE resolved_at IS NULL;

CREATE TABLE configurations (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    since       bigint NOT NULL,
    cause       text NOT NULL,
    fingerprint text NOT NULL,
    rolled_back text,
    refused     text,
    sealed      bytea NOT NULL
);

-- What the nodes share. Here the database's own clock counts, so that theirs may differ.

CREATE TABLE nodes (
    node          text PRIMARY KEY,
    role          text NOT NULL,
    release       text NOT NULL,
    address       text NOT NULL,
    started_at    timestamptz NOT NULL,
    seen_at       timestamptz NOT NULL,
    clock_offset  double precision NOT NULL, -- seconds by which its clock is ahead
    configuration text,                      -- the fingerprint of what it runs
    readings      text NOT NULL              -- JSON: how far its counters have counted
);

-- Work that one node does for all: it has it until then, and may say so again.
CREATE TABLE duties (
    duty  text PRIMARY KEY,
    node  text NOT NULL,
    until timestamptz NOT NULL
);

-- Lanes are one value for all nodes, changed by whoever saw the latest.
CREATE TABLE lanes (
    destination text PRIMARY KEY,
    credential  text NOT NULL, -- a fingerprint, never the credential
    condition   text NOT NULL,
    since       bigint,
    reason      text,
    revision    bigint NOT NULL DEFAULT 0,
    value       text           -- JSON of the whole lane; NULL of one that only its condition is known of
);

-- A configuration takes effect once every node that is there said that it can run it.
CREATE TABLE proposals (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node        text NOT NULL,
    fingerprint text NOT NULL,
    sealed      bytea NOT NULL,
    proposed_at timestamptz NOT NULL,
    result      text, -- adopted or refused; NULL while it is open
    reason      text
);

CREATE UNIQUE INDEX proposals_open ON proposals ((result IS NULL)) WHERE result IS NULL;

CREATE TABLE votes (
    proposal bigint NOT NULL REFERENCES proposals (id) ON DELETE CASCADE,
    node     text NOT NULL,
    reason   text, -- why not; NULL: it can run it
    PRIMARY KEY (proposal, node)
);

-- What was moved here from an embedded store; while `finished_at` is missing, nobody works with it.
CREATE TABLE moves (
    origin      text PRIMARY KEY,
    begun_at    timestamptz NOT NULL,
    finished_at timestamptz,
    progress    text NOT NULL -- JSON
);
