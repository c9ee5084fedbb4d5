-- Named queries. Many rows travel as one JSON array, in or out: every step of a statement lets go of
-- the interpreter, and beside a busy event loop getting it back can take milliseconds.

-- name: last_ids
SELECT
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0),
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'deliveries'), 0);

-- name: envelopes
SELECT id, destination, envelope FROM envelopes;

-- name: known
-- Positions of the [message_id, source] pairs that the ledger knows.
SELECT json_group_array(asked.key)
FROM json_each(:pairs) AS asked
CROSS JOIN ledger
    ON ledger.message_id = asked.value ->> 0 AND ledger.source = asked.value ->> 1;

-- name: keep_ledger
INSERT INTO ledger (message_id, source, received_at, event) VALUES (?, ?, ?, ?);

-- name: keep_event
INSERT INTO events
    (id, source, message_id, type, received_at, disposition, reason, warnings, rejections)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: keep_originals
INSERT INTO originals (first_event, last_event, sealed) VALUES (?, ?, ?);

-- name: keep_envelope
INSERT INTO envelopes (id, destination, envelope) VALUES (?, ?, ?);

-- name: keep_delivery
INSERT INTO deliveries
    (id, event, envelope, mapping, event_name, event_id, accepted_at, state, due_at, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: due_envelope
-- The envelope of the delivery that has been due longest.
SELECT envelopes.id, envelopes.envelope
FROM envelopes
JOIN deliveries AS oldest ON oldest.id = (
    SELECT id FROM deliveries
    WHERE envelope = envelopes.id AND due_at IS NOT NULL
    ORDER BY due_at, id LIMIT 1
)
WHERE envelopes.destination = :destination AND oldest.due_at <= :now
ORDER BY oldest.due_at, oldest.id LIMIT 1;

-- name: due
-- The due deliveries as they will stand once claimed: one JSON array, and their bodies end to end.
-- Both are gathered in one pass, so they agree on the order, whatever it is; due_at restores it.
-- Nothing here may fail for one damaged row: an event that is not there, text that is no text.
SELECT
    CAST(
        json_group_array(
            json_array(
                due.due_at, due.id, length(due.body), events.source, due.mapping,
                events.message_id, due.event_name, due.event_id, due.fence + 1, due.attempts + 1,
                due.accepted_at, coalesce(due.first_unknown_at, due.claimed_at)
            )
        ) AS BLOB
    ),
    CAST(group_concat(due.body, '') AS BLOB)
FROM (
    SELECT * FROM deliveries
    WHERE envelope = :envelope AND due_at <= :now
    ORDER BY due_at, id LIMIT :limit
) AS due
LEFT JOIN events ON events.id = due.event;

-- name: claim
-- A claim whose lease ran out is a send of which nobody knows the outcome.
UPDATE deliveries SET
    state = 'claimed', fence = fence + 1, attempts = attempts + 1,
    first_unknown_at = coalesce(first_unknown_at, claimed_at),
    claimed_at = :now, due_at = :lease_until
WHERE id IN (
    SELECT id FROM deliveries
    WHERE envelope = :envelope AND due_at <= :now
    ORDER BY due_at, id LIMIT :limit
);

-- name: settle
-- Rows of [id, fence, state, due_at, reason, first_unknown_at].
UPDATE deliveries SET
    state = given.value ->> 2,
    due_at = given.value ->> 3,
    reason = given.value ->> 4,
    first_unknown_at = coalesce(first_unknown_at, given.value ->> 5),
    settled_at = :now,
    claimed_at = NULL,
    body = iif(given.value ->> 2 = 'delivered', NULL, body)
FROM json_each(:settlements) AS given
WHERE deliveries.id = given.value ->> 0
    AND deliveries.fence = given.value ->> 1
    AND deliveries.state = 'claimed';

-- name: release_claims
-- At the start nobody else owns the file: every claim belongs to a process that is gone.
UPDATE deliveries SET
    state = 'pending',
    due_at = claimed_at,
    first_unknown_at = coalesce(first_unknown_at, claimed_at),
    claimed_at = NULL
WHERE claimed_at IS NOT NULL;

-- name: pull_back
-- Whatever waits longer than any rule lets it: the clock was set back. It goes now, and its other
-- times must not lie ahead either.
UPDATE deliveries SET
    due_at = :now,
    accepted_at = min(accepted_at, :now),
    first_unknown_at = min(first_unknown_at, :now)
WHERE id IN (
    SELECT deliveries.id
    FROM envelopes CROSS JOIN deliveries ON deliveries.envelope = envelopes.id
    WHERE deliveries.due_at > :latest
);

-- name: next_due
SELECT min((
    SELECT min(due_at) FROM deliveries WHERE envelope = envelopes.id AND due_at IS NOT NULL
))
FROM envelopes WHERE destination = :destination;

-- name: totals
-- One statement, so that both counts are of one moment.
SELECT
    (SELECT json_group_array(json_array(disposition, count)) FROM event_counts WHERE count > 0),
    (
        SELECT json_group_array(json_array(destination, state, total)) FROM (
            SELECT destination, state, sum(count) AS total
            FROM delivery_counts JOIN envelopes ON envelopes.id = delivery_counts.envelope
            GROUP BY destination, state HAVING total > 0
        )
    );

-- name: deliveries_of
SELECT CAST(
    json_group_array(
        json_array(
            ledger.message_id, destination, mapping, event_name, state, attempts, reason
        ) ORDER BY deliveries.id
    ) AS BLOB
)
FROM (SELECT DISTINCT value FROM json_each(:message_ids)) AS asked
CROSS JOIN ledger ON ledger.message_id = asked.value
JOIN deliveries ON deliveries.event = ledger.event
JOIN envelopes ON envelopes.id = deliveries.envelope;

-- name: sealing_keys
SELECT key_id, proof FROM sealing_keys;

-- name: keep_sealing_key
INSERT INTO sealing_keys (key_id, proof) VALUES (?, ?) ON CONFLICT DO NOTHING;
