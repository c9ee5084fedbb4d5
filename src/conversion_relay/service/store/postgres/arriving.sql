-- Moving here from an embedded store: what there is, and rows by table. What is there stays.

-- name: is_empty
SELECT NOT (
    EXISTS (SELECT FROM events) OR EXISTS (SELECT FROM deliveries) OR EXISTS (SELECT FROM ledger)
    OR EXISTS (SELECT FROM requests) OR EXISTS (SELECT FROM flow) OR EXISTS (SELECT FROM alerts)
    OR EXISTS (SELECT FROM configurations) OR EXISTS (SELECT FROM lanes)
    OR EXISTS (SELECT FROM match_keys) OR EXISTS (SELECT FROM envelopes)
);

-- name: somebody_is_here
SELECT EXISTS (SELECT FROM nodes WHERE seen_at > now() - make_interval(secs => $1));

-- name: moves
SELECT origin, progress, finished_at IS NOT NULL FROM moves;

-- name: unfinished_move
SELECT EXISTS (SELECT FROM moves WHERE finished_at IS NULL);

-- name: begin_move
INSERT INTO moves (origin, begun_at, progress) VALUES ($1, now(), '');

-- name: keep_progress
UPDATE moves SET progress = $2 WHERE origin = $1;

-- name: finish_move
UPDATE moves SET finished_at = now() WHERE origin = $1;

-- name: raise_numbers
-- The sequence gives blocks of $2 numbers; the next one begins above all that came.
SELECT setval($1, (($3::bigint / $2::bigint) + 1) * $2::bigint, false);

-- name: raise_identities
SELECT
    setval(
        pg_get_serial_sequence('envelopes', 'id'),
        (SELECT 1 + coalesce(max(id), 0) FROM envelopes), false
    ),
    setval(
        pg_get_serial_sequence('requests', 'id'),
        (SELECT 1 + coalesce(max(id), 0) FROM requests), false
    ),
    setval(
        pg_get_serial_sequence('alerts', 'id'),
        (SELECT 1 + coalesce(max(id), 0) FROM alerts), false
    ),
    setval(
        pg_get_serial_sequence('configurations', 'id'),
        (SELECT 1 + coalesce(max(id), 0) FROM configurations), false
    );

-- name: counts_of_what_came
SELECT 'events, ' || disposition, count(*) FROM events GROUP BY disposition
UNION ALL
SELECT 'deliveries, ' || destination || ', ' || state, count(*)
FROM deliveries JOIN envelopes ON envelopes.id = deliveries.envelope GROUP BY destination, state
UNION ALL SELECT 'messageIds', count(*) FROM ledger
UNION ALL SELECT 'envelopes', count(*) FROM envelopes
UNION ALL SELECT 'lanes', count(*) FROM lanes
UNION ALL SELECT 'requests', count(*) FROM requests
UNION ALL SELECT 'attempts', count(*) FROM attempts
UNION ALL SELECT 'minutes of the flow', count(*) FROM flow
UNION ALL SELECT 'alerts', count(*) FROM alerts
UNION ALL SELECT 'configurations', count(*) FROM configurations
UNION ALL SELECT 'bonds of match keys', count(*) FROM match_key_bonds
UNION ALL SELECT 'counts of match keys', count(*) FROM match_key_counts
UNION ALL SELECT 'chunks of originals', count(*) FROM originals
UNION ALL SELECT 'chunks of hashes', count(*) FROM event_subjects
UNION ALL SELECT 'bodies', count(*) FROM bodies
UNION ALL SELECT 'match keys', count(*) FROM match_keys;

-- name: arrive_subject_key
INSERT INTO subject_key (id, sealed) SELECT 1, sealed FROM unnest($1::bytea[]) AS given (sealed)
ON CONFLICT (id) DO UPDATE SET sealed = excluded.sealed;

-- name: arrive_envelopes
INSERT INTO envelopes (id, destination, envelope) OVERRIDING SYSTEM VALUE
SELECT * FROM unnest($1::integer[], $2::text[], $3::text[])
ON CONFLICT DO NOTHING;

-- name: arrive_lanes
INSERT INTO lanes (destination, credential, condition, since, reason)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[])
ON CONFLICT DO NOTHING;

-- name: arrive_alerts
INSERT INTO alerts
    (id, rule, subject, severity, opened_at, notified_at, resolved_at, summary, advice, facts)
OVERRIDING SYSTEM VALUE
SELECT * FROM unnest(
    $1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[],
    $8::text[], $9::text[], $10::text[]
)
ON CONFLICT DO NOTHING;

-- name: arrive_configurations
INSERT INTO configurations (id, since, cause, fingerprint, rolled_back, refused, sealed)
OVERRIDING SYSTEM VALUE
SELECT * FROM unnest(
    $1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[]
)
ON CONFLICT DO NOTHING;

-- name: arrive_match_key_counts
INSERT INTO match_key_counts (day, destination, key, events, before, after)
SELECT * FROM unnest(
    $1::integer[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[]
);

-- name: arrive_match_key_bonds
INSERT INTO match_key_bonds (subject, source, other, expires_at)
SELECT * FROM unnest($1::bytea[], $2::text[], $3::bytea[], $4::bigint[])
ON CONFLICT DO NOTHING;

-- name: arrive_match_keys
INSERT INTO match_keys (subject, source, destination, expires_at, kinds, sealed)
SELECT * FROM unnest(
    $1::bytea[], $2::text[], $3::text[], $4::bigint[], $5::integer[], $6::bytea[]
)
ON CONFLICT DO NOTHING;

-- name: arrive_flow
INSERT INTO flow (minute, measure, labels, count)
SELECT * FROM unnest($1::integer[], $2::text[], $3::text[], $4::bigint[])
ON CONFLICT DO NOTHING;

-- name: arrive_requests
INSERT INTO requests
    (id, destination, sent_at, seconds, events, result, status, code, request_id, reason)
OVERRIDING SYSTEM VALUE
SELECT * FROM unnest(
    $1::bigint[], $2::text[], $3::bigint[], $4::double precision[], $5::integer[], $6::text[],
    $7::integer[], $8::bigint[], $9::text[], $10::text[]
)
ON CONFLICT DO NOTHING;

-- name: arrive_ledger_slots
INSERT INTO ledger_slots (slot, since, left_at)
SELECT * FROM unnest($1::integer[], $2::bigint[], $3::bigint[])
ON CONFLICT (slot) DO UPDATE SET since = excluded.since, left_at = excluded.left_at;

-- name: arrive_ledger
INSERT INTO ledger (message_id, source, slot, received_at, event)
SELECT * FROM unnest($1::text[], $2::text[], $3::integer[], $4::bigint[], $5::bigint[])
ON CONFLICT DO NOTHING;

-- name: arrive_events
INSERT INTO events
    (id, source, message_id, type, received_at, disposition, reason, warnings, rejections,
    suppressions)
SELECT * FROM unnest(
    $1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[],
    $8::text[], $9::text[], $10::text[]
)
ON CONFLICT DO NOTHING;

-- name: arrive_originals
INSERT INTO originals (first_event, last_event, sealed)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[])
ON CONFLICT DO NOTHING;

-- name: arrive_event_subjects
INSERT INTO event_subjects (first_event, hashes)
SELECT * FROM unnest($1::bigint[], $2::bytea[])
ON CONFLICT DO NOTHING;

-- name: arrive_deliveries
INSERT INTO deliveries
    (id, event, envelope, mapping, event_name, event_id, accepted_at, state, attempts, fence,
    due_at, claimed_at, first_unknown_at, settled_at, reason, value_micros, currency, request)
SELECT * FROM unnest(
    $1::bigint[], $2::bigint[], $3::integer[], $4::text[], $5::text[], $6::text[], $7::bigint[],
    $8::text[], $9::integer[], $10::integer[], $11::bigint[], $12::bigint[], $13::bigint[],
    $14::bigint[], $15::text[], $16::bigint[], $17::text[], $18::bigint[]
)
ON CONFLICT DO NOTHING;

-- name: arrive_bodies
INSERT INTO bodies (delivery, sealed)
SELECT * FROM unnest($1::bigint[], $2::bytea[])
ON CONFLICT DO NOTHING;

-- name: arrive_attempts
INSERT INTO attempts (delivery, request)
SELECT * FROM unnest($1::bigint[], $2::bigint[])
ON CONFLICT DO NOTHING;
