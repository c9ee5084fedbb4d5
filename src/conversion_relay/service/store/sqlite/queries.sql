-- Named queries. Many rows travel as one JSON array, in or out: every step of a statement lets go of
-- the interpreter, and beside a busy event loop getting it back can take milliseconds.

-- name: last_ids
SELECT
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0),
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'deliveries'), 0);

-- name: envelopes
SELECT id, destination, envelope FROM envelopes;

-- name: ledger_slots
SELECT json_group_array(json_array(slot, state, since) ORDER BY slot) FROM ledger_slots;

-- name: known
-- Positions of the [message_id, source] pairs that this table of the ledger knows. Here and below
-- ledger_N stands for one of its tables.
SELECT json_group_array(asked.key)
FROM json_each(:pairs) AS asked
CROSS JOIN ledger_N AS ledger
    ON ledger.message_id = asked.value ->> 0 AND ledger.source = asked.value ->> 1;

-- name: events_of
SELECT json_group_array(ledger.event)
FROM (SELECT DISTINCT value FROM json_each(:message_ids)) AS asked
CROSS JOIN ledger_N AS ledger ON ledger.message_id = asked.value;

-- name: keep_ledger
INSERT INTO ledger_N (message_id, source, received_at, event) VALUES (?, ?, ?, ?);

-- name: keep_event
INSERT INTO events
    (id, source, message_id, type, received_at, disposition, reason, warnings, rejections,
    suppressions)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: keep_originals
INSERT INTO originals (first_event, last_event, sealed) VALUES (?, ?, ?);

-- name: keep_subjects
INSERT INTO event_subjects (first_event, hashes) VALUES (?, ?);

-- name: keep_envelope
-- A replay in the same transaction may have written it already, under the same id.
INSERT OR IGNORE INTO envelopes (id, destination, envelope) VALUES (?, ?, ?);

-- name: keep_delivery
INSERT INTO deliveries
    (id, event, envelope, mapping, event_name, event_id, accepted_at, state, due_at, body,
    value_micros, currency)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: due_envelope
-- The envelope of the delivery that has been due longest; those `kept_back` are not looked at.
SELECT envelopes.id, envelopes.envelope
FROM envelopes
JOIN deliveries AS oldest ON oldest.id = (
    SELECT id FROM deliveries
    WHERE envelope = envelopes.id AND due_at IS NOT NULL
        AND id NOT IN (SELECT value FROM json_each(:kept_back))
    ORDER BY due_at, id LIMIT 1
)
WHERE envelopes.destination = :destination AND oldest.due_at <= :now
ORDER BY oldest.due_at, oldest.id LIMIT 1;

-- name: due_ids
SELECT json_group_array(id) FROM (
    SELECT id FROM deliveries
    WHERE envelope = :envelope AND due_at <= :now
        AND id NOT IN (SELECT value FROM json_each(:kept_back))
    ORDER BY due_at, id LIMIT :limit
);

-- name: probe_ids
-- The envelope and id of one delivery: one that may have arrived already, the one that has been due
-- longest, a held one. The first rests after it was tried, so that one that the partner will never
-- answer does not stand for all the others.
WITH kept_back(id) AS MATERIALIZED (SELECT value FROM json_each(:kept_back)),
ours(id, envelope) AS MATERIALIZED (
    SELECT id, envelope FROM envelopes WHERE destination = :destination
)
SELECT envelope, json_array(id) FROM (
    SELECT 1 AS turn, deliveries.due_at AS since, deliveries.id, ours.envelope
    FROM ours CROSS JOIN deliveries ON deliveries.id = (
        SELECT id FROM deliveries
        WHERE envelope = ours.id AND due_at <= :now AND first_unknown_at IS NOT NULL
            AND coalesce(settled_at, 0) <= :rested AND id NOT IN kept_back
        ORDER BY due_at, id LIMIT 1
    )
    UNION ALL
    SELECT 2, deliveries.due_at, deliveries.id, ours.envelope
    FROM ours CROSS JOIN deliveries ON deliveries.id = (
        SELECT id FROM deliveries
        WHERE envelope = ours.id AND due_at <= :now AND id NOT IN kept_back
        ORDER BY due_at, id LIMIT 1
    )
    UNION ALL
    SELECT 3, deliveries.settled_at, deliveries.id, ours.envelope
    FROM ours CROSS JOIN deliveries ON deliveries.id = (
        SELECT id FROM deliveries
        WHERE envelope = ours.id AND state = 'held' AND id NOT IN kept_back
        ORDER BY settled_at, id LIMIT 1
    )
)
ORDER BY turn, since, id LIMIT 1;

-- name: as_claimed
-- These deliveries as they will stand once claimed: one JSON array, and their bodies end to end.
-- Both are gathered in one pass, so they agree on the order, whatever it is; due_at restores it.
-- Nothing here may fail for one damaged row: an event that is not there, text that is no text.
SELECT
    CAST(
        json_group_array(
            json_array(
                coalesce(due.due_at, 0), due.id, length(due.body), events.source, due.mapping,
                events.message_id, due.event_name, due.event_id, due.fence + 1,
                due.attempts + :counted, due.accepted_at,
                coalesce(due.first_unknown_at, due.claimed_at)
            )
        ) AS BLOB
    ),
    CAST(group_concat(due.body, '') AS BLOB)
FROM json_each(:ids) AS chosen
CROSS JOIN deliveries AS due ON due.id = chosen.value
LEFT JOIN events ON events.id = due.event;

-- name: claim
-- A claim whose lease ran out is a send of which nobody knows the outcome.
UPDATE deliveries SET
    state = 'claimed', fence = fence + 1, attempts = attempts + :counted,
    first_unknown_at = coalesce(first_unknown_at, claimed_at),
    claimed_at = :now, due_at = :lease_until
WHERE id IN (SELECT value FROM json_each(:ids));

-- name: settle
-- Rows of [id, fence, state, due_at, reason, first_unknown_at].
UPDATE deliveries SET
    state = given.value ->> 2,
    due_at = given.value ->> 3,
    reason = given.value ->> 4,
    first_unknown_at = min(coalesce(first_unknown_at, given.value ->> 5), :now),
    settled_at = :now,
    claimed_at = NULL,
    request = coalesce(:request, request),
    body = iif(given.value ->> 2 = 'delivered', NULL, body)
FROM json_each(:settlements) AS given
WHERE deliveries.id = given.value ->> 0
    AND deliveries.fence = given.value ->> 1
    AND deliveries.state = 'claimed';

-- name: claimed
-- Which of these settlements meet their claim: [id, fence] of each.
SELECT json_group_array(json_array(deliveries.id, fence))
FROM json_each(:settlements) AS given
CROSS JOIN deliveries ON deliveries.id = given.value ->> 0
WHERE fence = given.value ->> 1 AND state = 'claimed';

-- name: keep_leases
-- Rows of [id, fence, attempts, claimed_at, due_at, first_unknown_at], claimed while nothing could
-- be written.
UPDATE deliveries SET
    state = 'claimed',
    fence = given.value ->> 1,
    attempts = given.value ->> 2,
    claimed_at = given.value ->> 3,
    due_at = given.value ->> 4,
    first_unknown_at = given.value ->> 5
FROM json_each(:leases) AS given
WHERE deliveries.id = given.value ->> 0
    AND deliveries.fence = (given.value ->> 1) - 1
    AND deliveries.state IN ('pending', 'claimed', 'held');

-- name: delivery_bounds
SELECT min(id), max(id) FROM deliveries;

-- name: suspect
-- Whatever may still be sent may have arrived already; of these ids.
UPDATE deliveries SET first_unknown_at = :since
WHERE id BETWEEN :first AND :last
    AND first_unknown_at IS NULL AND (due_at IS NOT NULL OR state = 'held');

-- name: release
-- What is held of a destination goes on.
UPDATE deliveries SET state = 'pending', due_at = :now
WHERE state = 'held' AND envelope IN (
    SELECT id FROM envelopes WHERE destination = :destination
);

-- name: keep_lane
INSERT INTO lanes (destination, credential, condition, since, reason) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (destination) DO UPDATE SET
    credential = excluded.credential,
    condition = excluded.condition,
    since = excluded.since,
    reason = excluded.reason;

-- name: lanes
SELECT json_group_array(
    json_array(destination, credential, condition, since, reason) ORDER BY destination
)
FROM lanes;

-- name: release_claims
-- At the start nobody else owns the file: every claim belongs to a process that is gone.
UPDATE deliveries SET
    state = 'pending',
    due_at = claimed_at,
    first_unknown_at = coalesce(first_unknown_at, claimed_at),
    claimed_at = NULL
WHERE claimed_at IS NOT NULL;

-- name: pull_back
-- Whatever waits longer than any rule lets it: the clock was set back. It goes now, unless it is on
-- its way, and no send of it may lie ahead. When it was accepted stays: should the clock only be
-- behind for once, it would be too old afterwards.
UPDATE deliveries SET
    due_at = iif(state = 'claimed', :latest, :now),
    claimed_at = min(claimed_at, :now),
    first_unknown_at = min(first_unknown_at, :now)
WHERE id IN (
    SELECT deliveries.id
    FROM envelopes CROSS JOIN deliveries ON deliveries.envelope = envelopes.id
    WHERE deliveries.due_at > :latest
    LIMIT :most
);

-- name: pull_back_held
-- What is held has no time at which it goes, but a send of it must not lie ahead either.
UPDATE deliveries SET first_unknown_at = :now
WHERE id IN (
    SELECT deliveries.id
    FROM envelopes CROSS JOIN deliveries ON deliveries.envelope = envelopes.id
    WHERE deliveries.state = 'held' AND deliveries.first_unknown_at > :latest
    LIMIT :most
);

-- name: next_due
SELECT min((
    SELECT due_at FROM deliveries
    WHERE envelope = envelopes.id AND due_at IS NOT NULL
        AND id NOT IN (SELECT value FROM json_each(:kept_back))
    ORDER BY due_at LIMIT 1
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
            deliveries.id, events.message_id, destination, mapping, event_name, state, attempts,
            deliveries.reason, accepted_at, settled_at
        ) ORDER BY deliveries.id
    ) AS BLOB
)
FROM json_each(:events) AS asked
CROSS JOIN events ON events.id = asked.value
JOIN deliveries ON deliveries.event = events.id
JOIN envelopes ON envelopes.id = deliveries.envelope;

-- name: sealing_keys
SELECT key_id, proof FROM sealing_keys;

-- name: keep_sealing_key
INSERT INTO sealing_keys (key_id, proof) VALUES (?, ?) ON CONFLICT DO NOTHING;

-- Replay: looking through what is kept, sending it again, discarding it.

-- name: event_bounds
-- The oldest event, the oldest after the one named, and the newest.
SELECT
    (SELECT min(id) FROM events),
    (SELECT min(id) FROM events WHERE id > :after),
    (SELECT max(id) FROM events);

-- name: before_newest
SELECT coalesce(
    (SELECT id FROM events WHERE source <> :canary ORDER BY id DESC LIMIT 1 OFFSET :count), 0
);

-- name: selected_events
SELECT CAST(
    json_group_array(
        json_array(
            id, source, message_id, type, received_at, disposition, reason, rejections, suppressions
        ) ORDER BY id
    ) AS BLOB
)
FROM (
    SELECT * FROM events
    WHERE id BETWEEN :first AND :last
        AND (:since IS NULL OR received_at >= :since)
        AND (:until IS NULL OR received_at < :until)
        AND (
            :message_ids IS NULL
            OR message_id IN (SELECT value FROM json_each(:message_ids))
            OR id IN (SELECT value FROM json_each(:known_as))
        )
        AND (
            source <> :canary
            OR :message_ids IS NOT NULL
            OR (:states IS NULL AND :dispositions IS NULL)
        )
        AND (
            (:states IS NULL AND :dispositions IS NULL)
            OR disposition IN (SELECT value FROM json_each(:dispositions))
            OR (
                suppressions IS NOT NULL
                AND 'suppressed' IN (SELECT value FROM json_each(:dispositions))
            )
            OR EXISTS (
                SELECT 1 FROM deliveries JOIN envelopes ON envelopes.id = deliveries.envelope
                WHERE deliveries.event = events.id
                    AND deliveries.state IN (SELECT value FROM json_each(:states))
                    AND (:destination IS NULL OR envelopes.destination = :destination)
                    AND (:mapping IS NULL OR deliveries.mapping = :mapping)
            )
        )
    ORDER BY id LIMIT :limit
);

-- name: deliveries_of_events
SELECT CAST(
    json_group_array(
        json_array(
            deliveries.event, envelopes.envelope, event_id, first_unknown_at, deliveries.id,
            message_id, destination, mapping, event_name, state, attempts, deliveries.reason,
            accepted_at, settled_at
        ) ORDER BY deliveries.id
    ) AS BLOB
)
FROM json_each(:events) AS chosen
CROSS JOIN deliveries ON deliveries.event = chosen.value
JOIN events ON events.id = deliveries.event
JOIN envelopes ON envelopes.id = deliveries.envelope;

-- name: originals_of_events
SELECT first_event, last_event, sealed FROM originals
WHERE first_event IN (
    SELECT (SELECT max(first_event) FROM originals WHERE first_event <= chosen.value)
    FROM json_each(:events) AS chosen
)
ORDER BY first_event;

-- name: body_of
SELECT source, message_id, destination, mapping, body
FROM deliveries
JOIN events ON events.id = deliveries.event
JOIN envelopes ON envelopes.id = deliveries.envelope
WHERE deliveries.id = :delivery AND body IS NOT NULL;

-- name: identities
SELECT id, source, message_id, received_at FROM events
WHERE id IN (SELECT value FROM json_each(:events));

-- name: known_as
-- Which event this table of the ledger knows under this key.
SELECT event FROM ledger_N WHERE message_id = :message_id AND source = :source;

-- name: requeue_as_sent
-- What a person decided to send although it may have arrived begins anew; of all else the first
-- send whose outcome is unknown still counts.
UPDATE deliveries SET
    state = 'pending', due_at = :now, accepted_at = :now, attempts = 0, reason = NULL,
    first_unknown_at = iif(state = 'uncertain', NULL, first_unknown_at)
WHERE id = :id AND event = :event AND state = :state AND attempts = :attempts
    AND state IN (SELECT value FROM json_each(:before));

-- name: requeue_planned
-- What may have arrived keeps what the partner knows it by. A probe that came in between shows in
-- nothing else, for it is no attempt.
UPDATE deliveries SET
    state = 'pending', due_at = :now, accepted_at = :now, attempts = 0, reason = NULL,
    first_unknown_at = iif(state = 'uncertain', NULL, first_unknown_at),
    envelope = :envelope, mapping = :mapping, event_name = :event_name, event_id = :event_id,
    body = :body, value_micros = :value_micros, currency = :currency
WHERE id = :id AND event = :event AND state = :state AND attempts = :attempts
    AND state IN (SELECT value FROM json_each(:before))
    AND (
        first_unknown_at IS NULL OR state = 'uncertain'
        OR (
            event_name = :event_name AND event_id IS :event_id
            AND (SELECT envelope FROM envelopes WHERE id = deliveries.envelope) = :travels_in
        )
    );

-- name: deliver_also
-- A further delivery of an event, unless there is one of this mapping or of this conversion,
-- whatever its destination was called.
INSERT INTO deliveries
    (id, event, envelope, mapping, event_name, event_id, accepted_at, state, due_at, body,
    value_micros, currency)
SELECT
    :id, :event, :envelope, :mapping, :event_name, :event_id, :now, 'pending', :now, :body,
    :value_micros, :currency
WHERE NOT EXISTS (
    SELECT 1 FROM deliveries JOIN envelopes ON envelopes.id = deliveries.envelope
    WHERE deliveries.event = :event AND (
        (envelopes.destination = :destination AND deliveries.mapping = :mapping)
        OR (
            (envelopes.destination = :destination OR envelopes.envelope = :travels_in)
            AND deliveries.event_name = :event_name AND deliveries.event_id IS :event_id
        )
    )
);

-- name: now_planned
UPDATE events SET disposition = 'planned', reason = NULL
WHERE id = :event AND disposition <> 'planned';

-- name: discard
UPDATE deliveries SET state = 'suppressed', reason = :reason, settled_at = :now
WHERE id IN (SELECT value FROM json_each(:deliveries))
    AND state IN (SELECT value FROM json_each(:before))
RETURNING id;

-- name: sealed_with
-- Whether anything was sealed with this key: four bytes of a sealed value name it.
SELECT
    EXISTS (SELECT 1 FROM originals WHERE substr(sealed, 2, 4) = :key_id)
    OR EXISTS (SELECT 1 FROM deliveries WHERE body IS NOT NULL AND substr(body, 2, 4) = :key_id)
    OR EXISTS (SELECT 1 FROM match_keys WHERE substr(sealed, 2, 4) = :key_id);

-- name: forget_sealing_key
DELETE FROM sealing_keys WHERE key_id = :key_id;

-- name: enter_slot
UPDATE ledger_slots SET state = :state, since = :since WHERE slot = :slot;

-- name: forget_some
-- The first :limit ids, when there are more.
DELETE FROM ledger_N WHERE (message_id, source) < (
    SELECT message_id, source FROM ledger_N ORDER BY message_id, source LIMIT 1 OFFSET :limit
);

-- name: forget_rest
DELETE FROM ledger_N;

-- name: pull_back_ledger
-- What seems to have happened later than now: the clock was set back. A table that was left is only
-- kept longer: should the clock just be behind for once, its ids would be forgotten afterwards.
UPDATE ledger_slots SET since = :now WHERE since > :now AND state = 'current';

-- name: outlived
-- The next events of a disposition: how many were looked at, the last of them, and which may go.
WITH looked AS MATERIALIZED (
    SELECT id, received_at FROM events
    WHERE disposition = :disposition AND (received_at, id) > (:received_at, :id)
        AND received_at <= :latest
    ORDER BY received_at, id LIMIT :limit
)
SELECT
    count(*),
    (SELECT received_at FROM looked ORDER BY received_at DESC, id DESC LIMIT 1),
    (SELECT id FROM looked ORDER BY received_at DESC, id DESC LIMIT 1),
    json_group_array(id) FILTER (
        WHERE NOT EXISTS (
            SELECT 1 FROM deliveries
            WHERE deliveries.event = looked.id AND (
                state IN ('pending', 'claimed', 'held')
                OR state IN ('dead', 'uncertain', 'suppressed')
                    AND coalesce(settled_at, accepted_at) > :latest_dead
            )
        )
    )
FROM looked;

-- name: remove_deliveries
DELETE FROM deliveries WHERE event IN (SELECT value FROM json_each(:events));

-- name: remove_events
DELETE FROM events WHERE id IN (SELECT value FROM json_each(:events));

-- name: chunks_of
-- The originals that hold these events.
SELECT json_group_array(DISTINCT first_event)
FROM json_each(:events) AS gone
JOIN originals ON originals.first_event = (
    SELECT max(first_event) FROM originals WHERE first_event <= gone.value
) AND originals.last_event >= gone.value;

-- name: remove_originals
DELETE FROM originals
WHERE first_event IN (SELECT value FROM json_each(:chunks)) AND NOT EXISTS (
    SELECT 1 FROM events WHERE events.id BETWEEN first_event AND last_event
);

-- name: mark_to_thin
INSERT INTO originals_to_thin
SELECT first_event FROM originals WHERE first_event IN (SELECT value FROM json_each(:chunks))
ON CONFLICT DO NOTHING;

-- name: to_thin
-- Chunks with the ids of the events that are left of them.
SELECT first_event, last_event, sealed, (
    SELECT json_group_array(id) FROM events WHERE id BETWEEN first_event AND last_event
)
FROM originals_to_thin JOIN originals USING (first_event)
ORDER BY first_event LIMIT :limit;

-- name: keep_thinned
-- Unless more of its events went meanwhile.
UPDATE originals SET sealed = :sealed
WHERE first_event = :first_event AND :left = (
    SELECT count(*) FROM events WHERE id BETWEEN first_event AND last_event
);

-- name: unmark_to_thin
DELETE FROM originals_to_thin WHERE first_event = :first_event;
