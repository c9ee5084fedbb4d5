-- Moving elsewhere: the rows of each part, in the order of the keys that stand first in them. What
-- stands behind a question mark is the key of the last row that was read, and how many to read.

-- name: mark
SELECT origin, place, finished FROM moved;

-- name: set_mark
INSERT INTO moved (id, origin, place, finished) VALUES (1, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    origin = excluded.origin, place = excluded.place, finished = excluded.finished;

-- name: unmark
DELETE FROM moved;

-- name: counts
SELECT 'events, ' || disposition, count(*) FROM events GROUP BY disposition
UNION ALL
SELECT 'deliveries, ' || destination || ', ' || state, count(*)
FROM deliveries JOIN envelopes ON envelopes.id = deliveries.envelope GROUP BY destination, state
UNION ALL SELECT 'messageIds', count(*) FROM ledger
UNION ALL SELECT 'envelopes', count(*) FROM envelopes
UNION ALL SELECT 'lanes', count(*) FROM lanes
UNION ALL SELECT 'requests', count(*) FROM requests
UNION ALL
SELECT 'attempts', count(*) FROM attempts JOIN deliveries ON deliveries.id = attempts.delivery
UNION ALL SELECT 'minutes of the flow', count(*) FROM flow
UNION ALL SELECT 'alerts', count(*) FROM alerts
UNION ALL SELECT 'configurations', count(*) FROM configurations
UNION ALL SELECT 'bonds of match keys', count(*) FROM match_key_bonds
UNION ALL SELECT 'counts of match keys', count(*) FROM match_key_counts;

-- name: sizes
-- How many rows each part has, for whoever waits.
SELECT 'events', count(*) FROM events
UNION ALL SELECT 'originals', count(*) FROM originals
UNION ALL SELECT 'deliveries', count(*) FROM deliveries
UNION ALL SELECT 'attempts', count(*) FROM attempts
UNION ALL SELECT 'requests', count(*) FROM requests
UNION ALL SELECT 'flow', count(*) FROM flow
UNION ALL SELECT 'match_keys', count(*) FROM match_keys
UNION ALL SELECT 'ledger_0', count(*) FROM ledger_0
UNION ALL SELECT 'ledger_1', count(*) FROM ledger_1
UNION ALL SELECT 'ledger_2', count(*) FROM ledger_2;

-- name: part_envelopes
SELECT id, destination, envelope FROM envelopes WHERE id > ? ORDER BY id LIMIT ?;

-- name: part_lanes
SELECT destination, credential, condition, since, reason FROM lanes
WHERE destination > ? ORDER BY destination LIMIT ?;

-- name: part_alerts
SELECT
    id, rule, subject, severity, opened_at, notified_at, resolved_at, summary, advice, facts
FROM alerts WHERE id > ? ORDER BY id LIMIT ?;

-- name: part_configurations
SELECT id, since, cause, fingerprint, rolled_back, refused, sealed FROM configurations
WHERE id > ? ORDER BY id LIMIT ?;

-- name: part_requests
SELECT id, destination, sent_at, seconds, events, result, status, code, request_id, reason
FROM requests WHERE id > ? ORDER BY id LIMIT ?;

-- name: part_flow
SELECT minute, measure, labels, count FROM flow
WHERE (minute, measure, labels) > (?, ?, ?) ORDER BY minute, measure, labels LIMIT ?;

-- name: part_events
SELECT
    id, source, message_id, type, received_at, disposition, reason, warnings, rejections,
    suppressions
FROM events WHERE id > ? ORDER BY id LIMIT ?;

-- name: part_originals
-- With the hashes of whose they are, whether only the originals tell that, and with the events that
-- are there: [id, received_at] of each.
SELECT
    originals.first_event, last_event, sealed, hashes,
    originals.first_event < (SELECT subject_key.first_event FROM subject_key),
    (
        SELECT json_group_array(json_array(id, received_at) ORDER BY id) FROM events
        WHERE id BETWEEN originals.first_event AND last_event
    )
FROM originals LEFT JOIN event_subjects ON event_subjects.first_event = originals.first_event
WHERE originals.first_event > ? ORDER BY originals.first_event LIMIT ?;

-- name: part_deliveries
-- Behind what is moved as it is: what its body is bound to, and when its event was received.
SELECT
    deliveries.id, event, deliveries.envelope, mapping, event_name, event_id, accepted_at, state,
    attempts, fence, due_at, claimed_at, first_unknown_at, settled_at, deliveries.reason,
    value_micros, currency, request, body, source, message_id, destination, received_at
FROM deliveries
JOIN events ON events.id = event
JOIN envelopes ON envelopes.id = deliveries.envelope
WHERE deliveries.id > ? ORDER BY deliveries.id LIMIT ?;

-- name: part_attempts
SELECT delivery, attempts.request, received_at FROM attempts
JOIN deliveries ON deliveries.id = delivery
JOIN events ON events.id = deliveries.event
WHERE (delivery, attempts.request) > (?, ?) ORDER BY delivery, attempts.request LIMIT ?;

-- name: part_ledger_slots
-- Those that hold something, the oldest first: the number, and when it was left or began to be the
-- current one.
SELECT slot, since, state FROM ledger_slots
WHERE state <> 'empty' AND slot > ? ORDER BY state = 'current', since LIMIT ?;

-- name: part_ledger_0
SELECT message_id, source, received_at, event FROM ledger_0
WHERE (message_id, source) > (?, ?) ORDER BY message_id, source LIMIT ?;

-- name: part_ledger_1
SELECT message_id, source, received_at, event FROM ledger_1
WHERE (message_id, source) > (?, ?) ORDER BY message_id, source LIMIT ?;

-- name: part_ledger_2
SELECT message_id, source, received_at, event FROM ledger_2
WHERE (message_id, source) > (?, ?) ORDER BY message_id, source LIMIT ?;

-- name: part_match_keys
SELECT subject, source, destination, expires_at, kinds, sealed FROM match_keys
WHERE (subject, source, destination) > (?, ?, ?) ORDER BY subject, source, destination LIMIT ?;

-- name: part_bonds
SELECT subject, source, other, expires_at FROM match_key_bonds
WHERE (subject, source, other) > (?, ?, ?) ORDER BY subject, source, other LIMIT ?;

-- name: part_match_key_counts
SELECT day, destination, key, events, before, after FROM match_key_counts
WHERE (day, destination, key) > (?, ?, ?) ORDER BY day, destination, key LIMIT ?;
