-- Named queries: looking through what is kept, sending it again, discarding it.

-- name: stretch
-- The oldest event after the one named, the last of a stretch of so many, and the newest.
SELECT first, coalesce(last, newest), newest FROM (
    SELECT
        (SELECT id FROM events WHERE id > $1 ORDER BY id LIMIT 1) AS first,
        (SELECT id FROM events WHERE id > $1 ORDER BY id OFFSET $2 - 1 LIMIT 1) AS last,
        (SELECT id FROM events ORDER BY id DESC LIMIT 1) AS newest
) AS bounds;

-- name: spans_of_days
-- The first and the last event of each day that has some.
SELECT days.day, oldest.id, newest.id
FROM days
CROSS JOIN LATERAL (
    SELECT id FROM events
    WHERE id >= days.day::bigint << 36 AND id < (days.day::bigint + 1) << 36
    ORDER BY id LIMIT 1
) AS oldest
CROSS JOIN LATERAL (
    SELECT id FROM events
    WHERE id >= days.day::bigint << 36 AND id < (days.day::bigint + 1) << 36
    ORDER BY id DESC LIMIT 1
) AS newest
ORDER BY days.day;

-- name: before_newest
SELECT coalesce(
    (SELECT id FROM events WHERE source <> $1 ORDER BY id DESC OFFSET $2 LIMIT 1), 0
);

-- name: selected_events
SELECT
    id, source, message_id, type, received_at, disposition, reason, rejections, suppressions
FROM events
WHERE id BETWEEN $1 AND $2
    AND ($4::bigint IS NULL OR received_at >= $4)
    AND ($5::bigint IS NULL OR received_at < $5)
    AND ($6::text[] IS NULL OR message_id = ANY ($6) OR id = ANY ($7::bigint[]))
    AND (source <> $8 OR $6 IS NOT NULL OR ($9::text[] IS NULL AND $10::text[] IS NULL))
    AND (
        ($9 IS NULL AND $10 IS NULL)
        OR disposition = ANY ($10)
        OR (suppressions IS NOT NULL AND 'suppressed' = ANY ($10))
        OR EXISTS (
            SELECT FROM deliveries JOIN envelopes ON envelopes.id = deliveries.envelope
            WHERE deliveries.event = events.id
                AND deliveries.id >= events.id >> 36 << 36
                AND deliveries.id < (events.id >> 36) + 1 << 36
                AND deliveries.state = ANY ($9)
                AND ($11::text IS NULL OR envelopes.destination = $11)
                AND ($12::text IS NULL OR deliveries.mapping = $12)
        )
    )
ORDER BY id LIMIT $3;

-- name: deliveries_of_events
SELECT
    own.event, envelopes.envelope, own.event_id, own.first_unknown_at, own.id, events.message_id,
    envelopes.destination, own.mapping, own.event_name, own.state, own.attempts, own.reason,
    own.accepted_at, own.settled_at
FROM unnest($1::bigint[]) AS chosen (event)
CROSS JOIN LATERAL (
    SELECT * FROM deliveries
    WHERE deliveries.event = chosen.event
        AND deliveries.id >= chosen.event >> 36 << 36
        AND deliveries.id < (chosen.event >> 36) + 1 << 36
) AS own
JOIN events ON events.id = own.event
JOIN envelopes ON envelopes.id = own.envelope
ORDER BY own.id;

-- name: chunks_of
-- For each of these events the first event of the chunk that holds its original, if one does.
SELECT chosen.event, chunk.first_event
FROM unnest($1::bigint[]) AS chosen (event)
CROSS JOIN LATERAL (
    SELECT first_event, last_event FROM originals
    WHERE first_event BETWEEN chosen.event >> 36 << 36 AND chosen.event
    ORDER BY first_event DESC LIMIT 1
) AS chunk
WHERE chunk.last_event >= chosen.event;

-- name: originals_at
SELECT first_event, last_event, sealed FROM originals
WHERE first_event = ANY ($1::bigint[]) ORDER BY first_event;

-- name: body_of
SELECT events.source, events.message_id, envelopes.destination, deliveries.mapping, bodies.sealed
FROM deliveries
JOIN bodies ON bodies.delivery = deliveries.id
JOIN events ON events.id = deliveries.event
JOIN envelopes ON envelopes.id = deliveries.envelope
WHERE deliveries.id = $1;

-- name: owners_of_keys
-- For each (message_id, source), in order, the event that the ledger knows under it.
SELECT (
    SELECT ledger.event FROM ledger
    WHERE ledger.message_id = asked.message_id AND ledger.source = asked.source LIMIT 1
)
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked (message_id, source, place)
ORDER BY asked.place;

-- name: identities
SELECT id, source, message_id, received_at FROM events WHERE id = ANY ($1::bigint[]);

-- name: hold_events
-- Those that are there, until the end of the transaction: none is erased or gets another delivery.
SELECT id FROM events WHERE id = ANY ($1::bigint[]) ORDER BY id FOR NO KEY UPDATE;

-- name: hold_deliveries
SELECT id FROM deliveries WHERE id = ANY ($1::bigint[]) ORDER BY id FOR UPDATE;

-- name: know_as
-- Further keys of events; gives the events of those that were free.
INSERT INTO ledger (message_id, source, slot, received_at, event)
SELECT
    message_id, source, (SELECT slot FROM ledger_slots WHERE left_at IS NULL), received_at, event
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])
    AS given (message_id, source, received_at, event)
ORDER BY message_id COLLATE "C", source COLLATE "C"
ON CONFLICT DO NOTHING
RETURNING event;

-- name: unknow_as
DELETE FROM ledger USING unnest($1::text[], $2::text[], $3::bigint[])
    AS given (message_id, source, event)
WHERE ledger.message_id = given.message_id AND ledger.source = given.source
    AND ledger.event = given.event;

-- name: requeue_as_sent
-- What a person decided to send although it may have arrived begins anew; of all else the first
-- send whose outcome is unknown still counts.
UPDATE deliveries SET
    state = 'pending', due_at = $6, accepted_at = $6, attempts = 0, reason = NULL,
    first_unknown_at = CASE WHEN deliveries.state <> 'uncertain' THEN first_unknown_at END
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::integer[])
    AS seen (event, id, state, attempts)
WHERE deliveries.id = seen.id AND deliveries.event = seen.event
    AND deliveries.state = seen.state AND deliveries.attempts = seen.attempts
    AND deliveries.state = ANY ($5::text[])
RETURNING deliveries.event;

-- name: requeue_planned
-- What may have arrived keeps what the partner knows it by. A probe that came in between shows in
-- nothing else, for it is no attempt.
WITH requeued AS (
    UPDATE deliveries SET
        state = 'pending', due_at = $14, accepted_at = $14, attempts = 0, reason = NULL,
        first_unknown_at = CASE WHEN deliveries.state <> 'uncertain' THEN first_unknown_at END,
        envelope = seen.envelope, mapping = seen.mapping, event_name = seen.event_name,
        event_id = seen.event_id, value_micros = seen.value_micros, currency = seen.currency
    FROM unnest(
        $1::bigint[], $2::bigint[], $3::text[], $4::integer[], $5::integer[], $6::text[],
        $7::text[], $8::text[], $9::text[], $10::bytea[], $11::bigint[], $12::text[]
    ) AS seen (
        event, id, state, attempts, envelope, travels_in, mapping, event_name, event_id, sealed,
        value_micros, currency
    )
    WHERE deliveries.id = seen.id AND deliveries.event = seen.event
        AND deliveries.state = seen.state AND deliveries.attempts = seen.attempts
        AND deliveries.state = ANY ($13::text[])
        AND (
            first_unknown_at IS NULL OR deliveries.state = 'uncertain'
            OR (
                deliveries.event_name = seen.event_name
                AND deliveries.event_id IS NOT DISTINCT FROM seen.event_id
                AND seen.travels_in = (
                    SELECT envelopes.envelope FROM envelopes
                    WHERE envelopes.id = deliveries.envelope
                )
            )
        )
    RETURNING deliveries.id, deliveries.event, seen.sealed
),
replaced AS (
    INSERT INTO bodies (delivery, sealed) SELECT id, sealed FROM requeued
    ON CONFLICT (delivery) DO UPDATE SET sealed = excluded.sealed
)
SELECT event FROM requeued;

-- name: deliver_also
-- A further delivery of an event, unless there is one of this mapping or of this conversion,
-- whatever its destination was called.
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::bigint[], $2::bigint[], $3::text[], $4::integer[], $5::text[], $6::text[], $7::text[],
        $8::text[], $9::bytea[], $10::bigint[], $11::text[]
    ) AS given (
        event, id, destination, envelope, travels_in, mapping, event_name, event_id, sealed,
        value_micros, currency
    )
),
made AS (
    INSERT INTO deliveries (
        id, event, envelope, mapping, event_name, event_id, accepted_at, state, due_at,
        value_micros, currency
    )
    SELECT
        id, event, envelope, mapping, event_name, event_id, $12, 'pending', $12, value_micros,
        currency
    FROM given
    WHERE NOT EXISTS (
        SELECT FROM deliveries JOIN envelopes ON envelopes.id = deliveries.envelope
        WHERE deliveries.event = given.event
            AND deliveries.id >= given.event >> 36 << 36
            AND deliveries.id < (given.event >> 36) + 1 << 36
            AND (
                (envelopes.destination = given.destination AND deliveries.mapping = given.mapping)
                OR (
                    (
                        envelopes.destination = given.destination
                        OR envelopes.envelope = given.travels_in
                    )
                    AND deliveries.event_name = given.event_name
                    AND deliveries.event_id IS NOT DISTINCT FROM given.event_id
                )
            )
    )
    RETURNING id, event
),
kept AS (
    INSERT INTO bodies (delivery, sealed)
    SELECT made.id, given.sealed FROM made JOIN given USING (id)
)
SELECT event FROM made;

-- name: now_planned
UPDATE events SET disposition = 'planned', reason = NULL
WHERE id = ANY ($1::bigint[]) AND disposition <> 'planned';

-- name: discard
UPDATE deliveries SET state = 'suppressed', reason = $3, settled_at = $4
WHERE id = ANY ($1::bigint[]) AND state = ANY ($2::text[])
RETURNING id;
