-- Keeping events, claiming and settling deliveries.

-- name: next_numbers
SELECT nextval($1::text::regclass);

-- name: keep_envelopes
INSERT INTO envelopes (destination, envelope)
SELECT * FROM unnest($1::text[], $2::text[]) AS given(destination, envelope)
ON CONFLICT DO NOTHING;

-- name: envelopes
SELECT id, destination, envelope FROM envelopes
WHERE (destination, envelope) IN (SELECT * FROM unnest($1::text[], $2::text[]));

-- name: lock_ledger_shared
SELECT pg_advisory_xact_lock_shared($1);

-- name: look
-- The current slot of the ledger, and the places (from 0) of those keys that were seen.
SELECT
    (SELECT slot FROM ledger_slots WHERE left_at IS NULL),
    ARRAY(
        SELECT asked.place - 1
        FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked(message_id, source, place)
        WHERE EXISTS (
            SELECT FROM ledger
            WHERE ledger.message_id = asked.message_id AND ledger.source = asked.source
        )
    );

-- name: events_known_as
SELECT ARRAY(
    SELECT DISTINCT ledger.event FROM ledger WHERE ledger.message_id = ANY($1::text[])
);

-- name: keep
-- Events with everything they lead to, and how many of them the ledger took: if those are not all,
-- another node was faster or the slot is no longer the current one, and all of it is undone. Keys
-- go in in order, so that two transactions that have some in common never wait for each other.
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(
        $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[],
        $9::text[], $10::text[], $11::text[]
    ) AS given(
        id, source, message_id, type, received_at, disposition, reason, warnings, rejections,
        suppressions
    )
),
seen AS (
    INSERT INTO ledger (message_id, source, slot, received_at, event)
    SELECT message_id, source, $1::integer, received_at, id FROM given
    WHERE EXISTS (SELECT FROM ledger_slots WHERE slot = $1::integer AND left_at IS NULL)
    ORDER BY message_id COLLATE "C", source COLLATE "C"
    ON CONFLICT DO NOTHING
    RETURNING 1
),
kept_events AS (
    INSERT INTO events (
        id, source, message_id, type, received_at, disposition, reason, warnings, rejections,
        suppressions
    )
    SELECT * FROM given
),
kept_originals AS (
    INSERT INTO originals (first_event, last_event, sealed)
    SELECT * FROM unnest($12::bigint[], $13::bigint[], $14::bytea[])
),
kept_subjects AS (
    INSERT INTO event_subjects (first_event, hashes)
    SELECT * FROM unnest($15::bigint[], $16::bytea[])
),
kept_bodies AS (
    INSERT INTO bodies (delivery, sealed)
    SELECT * FROM unnest($17::bigint[], $18::bytea[])
),
kept_deliveries AS (
    INSERT INTO deliveries (
        id, event, envelope, mapping, event_name, event_id, accepted_at, due_at, state,
        value_micros, currency
    )
    SELECT
        id, event, envelope, mapping, event_name, event_id, accepted_at, accepted_at, 'pending',
        value_micros, currency
    FROM unnest(
        $17::bigint[], $19::bigint[], $20::integer[], $21::text[], $22::text[], $23::text[],
        $24::bigint[], $25::bigint[], $26::text[]
    ) AS planned(
        id, event, envelope, mapping, event_name, event_id, accepted_at, value_micros, currency
    )
)
SELECT count(*) FROM seen;

-- name: heads
-- For each envelope of the destination, when the first of what waits is due, the earliest first;
-- looked for from the time $3 of the envelope $2, if it is among these.
SELECT envelopes.id, envelopes.envelope, first.due_at
FROM envelopes
LEFT JOIN unnest($2::integer[], $3::bigint[]) AS bound(envelope, since)
    ON bound.envelope = envelopes.id
LEFT JOIN LATERAL (
    SELECT deliveries.due_at, deliveries.id FROM deliveries
    WHERE deliveries.envelope = envelopes.id
        AND deliveries.due_at >= coalesce(bound.since, -9223372036854775808)
    ORDER BY deliveries.due_at, deliveries.id LIMIT 1
) AS first ON true
WHERE envelopes.destination = $1
ORDER BY first.due_at, first.id;

-- name: claim
-- Up to $2 deliveries of an envelope that became due from $5 on. What another node is claiming at
-- this moment is passed over. A claim whose lease ran out is a send of which nobody knows the
-- outcome. Ids go through an array, so that the planner expects few and looks each one up.
WITH chosen AS MATERIALIZED (
    SELECT id FROM deliveries
    WHERE envelope = $1 AND due_at BETWEEN $5 AND $3
    ORDER BY due_at, id LIMIT $2
    FOR UPDATE SKIP LOCKED
),
claimed AS (
    UPDATE deliveries SET
        state = 'claimed', fence = fence + 1, attempts = attempts + 1,
        first_unknown_at = coalesce(first_unknown_at, claimed_at),
        claimed_at = $3::bigint, due_at = $4::bigint
    FROM unnest(ARRAY(SELECT id FROM chosen)) WITH ORDINALITY AS picked(id, place)
    WHERE deliveries.id = picked.id
    RETURNING picked.place, deliveries.*
)
SELECT
    claimed.id, claimed.fence, owner.source, claimed.mapping, owner.message_id,
    claimed.event_name, claimed.event_id, claimed.attempts, claimed.accepted_at,
    claimed.first_unknown_at, content.sealed
FROM claimed
LEFT JOIN LATERAL (
    SELECT source, message_id FROM events WHERE id = claimed.event LIMIT 1
) AS owner ON true
LEFT JOIN LATERAL (
    SELECT sealed FROM bodies WHERE delivery = claimed.id LIMIT 1
) AS content ON true
ORDER BY claimed.place;

-- name: probe
-- Id, fence and envelope of one delivery: one that may have arrived already, the one that has been
-- due longest, a held one. The first rests after it was tried, so that one that the partner will
-- never answer does not stand for all the others.
WITH ours AS MATERIALIZED (
    SELECT id, envelope FROM envelopes WHERE destination = $1
)
SELECT id, fence, envelope FROM (
    SELECT 1 AS turn, found.*, ours.envelope
    FROM ours CROSS JOIN LATERAL (
        SELECT due_at AS since, id, fence FROM deliveries
        WHERE envelope = ours.id AND due_at <= $2 AND first_unknown_at IS NOT NULL
            AND coalesce(settled_at, 0) <= $3
        ORDER BY due_at, id LIMIT 1
    ) AS found
    UNION ALL
    SELECT 2, found.*, ours.envelope
    FROM ours CROSS JOIN LATERAL (
        SELECT due_at, id, fence FROM deliveries
        WHERE envelope = ours.id AND due_at <= $2
        ORDER BY due_at, id LIMIT 1
    ) AS found
    UNION ALL
    SELECT 3, found.*, ours.envelope
    FROM ours CROSS JOIN LATERAL (
        SELECT settled_at, id, fence FROM deliveries
        WHERE envelope = ours.id AND state = 'held'
        ORDER BY settled_at, id LIMIT 1
    ) AS found
) AS candidates
ORDER BY turn, since, id LIMIT 1;

-- name: claim_probe
-- Unless another node was faster. It is no attempt.
WITH claimed AS (
    UPDATE deliveries SET
        state = 'claimed', fence = fence + 1,
        first_unknown_at = coalesce(first_unknown_at, claimed_at),
        claimed_at = $3, due_at = $4
    WHERE id = $1 AND fence = $2 AND (due_at <= $3 OR state = 'held')
    RETURNING *
)
SELECT
    claimed.id, claimed.fence, events.source, claimed.mapping, events.message_id,
    claimed.event_name, claimed.event_id, claimed.attempts, claimed.accepted_at,
    claimed.first_unknown_at, bodies.sealed
FROM claimed
LEFT JOIN events ON events.id = claimed.event
LEFT JOIN bodies ON bodies.delivery = claimed.id;

-- name: settle
-- The ends of claims that are still those of the fences given, and the request in which they
-- travelled, if there was one; $17 are those that are still claimed after it. Done again after an
-- answer that was lost, it finds the request kept.
WITH sent AS (
    INSERT INTO requests
        (destination, sent_at, seconds, events, result, status, code, request_id, reason)
    SELECT $8::text, $9::bigint, $10, $11, $12, $13, $14::bigint, $15::text, $16::text
    WHERE $8::text IS NOT NULL AND NOT EXISTS (
        SELECT FROM requests
        WHERE sent_at = $9::bigint AND destination = $8::text AND seconds = $10 AND events = $11
            AND result = $12 AND request_id IS NOT DISTINCT FROM $15::text
    )
    RETURNING id
),
travelled AS (
    UPDATE deliveries SET request = (SELECT id FROM sent)
    FROM unnest($17::bigint[]) AS undecided(id)
    WHERE deliveries.id = undecided.id AND deliveries.state = 'claimed'
),
settled AS (
    UPDATE deliveries SET
        state = given.state,
        due_at = given.due_at,
        reason = given.reason,
        first_unknown_at = CASE
            WHEN coalesce(deliveries.first_unknown_at, given.unknown_at) > $7 THEN $7
            ELSE coalesce(deliveries.first_unknown_at, given.unknown_at)
        END,
        settled_at = $7::bigint,
        claimed_at = NULL,
        request = coalesce((SELECT id FROM sent), request)
    FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::bigint[], $5::text[], $6::bigint[])
        AS given(id, fence, state, due_at, reason, unknown_at)
    WHERE deliveries.id = given.id AND deliveries.fence = given.fence
        AND deliveries.state = 'claimed'
    RETURNING deliveries.id, deliveries.state
),
gone AS (
    DELETE FROM bodies USING settled
    WHERE bodies.delivery = settled.id AND settled.state = 'delivered'
)
SELECT count(*) FROM settled;

-- name: release
-- What is held of a destination goes on.
WITH chosen AS MATERIALIZED (
    SELECT id FROM deliveries
    WHERE state = 'held' AND envelope = ANY(ARRAY(SELECT id FROM envelopes WHERE destination = $1))
    ORDER BY id LIMIT $3
    FOR UPDATE
),
released AS (
    UPDATE deliveries SET state = 'pending', due_at = $2
    FROM unnest(ARRAY(SELECT id FROM chosen)) AS picked(id)
    WHERE deliveries.id = picked.id AND deliveries.state = 'held'
    RETURNING 1
)
SELECT count(*) FROM released;

-- name: totals
-- One statement, so that both counts are of one moment: of events without a destination.
SELECT NULL AS destination, disposition, sum(change)::bigint FROM event_counts
GROUP BY disposition HAVING sum(change) > 0
UNION ALL
SELECT destination, state, sum(change)::bigint
FROM delivery_counts JOIN envelopes ON envelopes.id = delivery_counts.envelope
GROUP BY destination, state HAVING sum(change) > 0;

-- name: deliveries_of
SELECT
    deliveries.id, events.message_id, destination, mapping, event_name, state, attempts,
    deliveries.reason, accepted_at, settled_at
FROM unnest($1::bigint[]) AS asked(id)
JOIN events ON events.id = asked.id
JOIN deliveries ON deliveries.event = events.id
    AND deliveries.id >= ((asked.id >> 36) << 36)
    AND deliveries.id < (((asked.id >> 36) + 1) << 36)
JOIN envelopes ON envelopes.id = deliveries.envelope
ORDER BY deliveries.id;

-- name: keep_lane
INSERT INTO lanes (destination, credential, condition, since, reason) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (destination) DO UPDATE SET
    credential = excluded.credential,
    condition = excluded.condition,
    since = excluded.since,
    reason = excluded.reason,
    revision = lanes.revision + 1,
    value = NULL;

-- name: lanes
SELECT destination, credential, condition, since, reason FROM lanes ORDER BY destination;
