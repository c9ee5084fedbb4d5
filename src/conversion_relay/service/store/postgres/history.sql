-- The past besides events: requests, counts, alerts, configurations. As in events.sql.
-- Pages tell in every row where they ended; one that found nothing gives no row.

-- name: attempts
SELECT destination, sent_at, seconds, events, result, status, code, request_id, reason
FROM requests
WHERE id IN (
    SELECT request FROM attempts WHERE delivery = $1
    UNION SELECT request FROM deliveries WHERE id = $1
)
ORDER BY sent_at, id;

-- name: newest_requests
SELECT destination, sent_at, seconds, events, result, status, code, request_id, reason
FROM requests WHERE sent_at >= $1 AND sent_at < $2
ORDER BY sent_at DESC, id DESC LIMIT $3;

-- name: answers
-- Since, until, step; after which request, how many: what came back, added up.
WITH page AS MATERIALIZED (
    SELECT * FROM requests
    WHERE sent_at < $2 AND (sent_at, id) > ($4::bigint, $5::bigint)
    ORDER BY sent_at, id LIMIT $6
),
last AS (SELECT sent_at, id FROM page ORDER BY sent_at DESC, id DESC LIMIT 1)
SELECT
    last.sent_at, last.id, (page.sent_at - $1::bigint) / $3::bigint AS step, destination, result,
    status, code, count(*), sum(events)
FROM page CROSS JOIN last
GROUP BY 1, 2, 3, 4, 5, 6, 7;

-- name: waiting
-- What is pending is either put off, or due since it was accepted: the first by due_at is the oldest
-- of these, or due later than the oldest of those was accepted. Few are claimed at a time.
WITH waiting AS MATERIALIZED (
    SELECT envelope, state, sum(change)::bigint AS count FROM delivery_counts
    WHERE state IN ('pending', 'claimed', 'held')
    GROUP BY envelope, state HAVING sum(change) > 0
),
aged AS (
    SELECT waiting.*, CASE state
        WHEN 'pending' THEN least(
            (
                SELECT due_at FROM deliveries
                WHERE deliveries.envelope = waiting.envelope AND due_at IS NOT NULL
                    AND deliveries.state = 'pending'
                ORDER BY due_at LIMIT 1
            ),
            (
                SELECT min(accepted_at) FROM deliveries
                WHERE deliveries.envelope = waiting.envelope AND deliveries.state = 'pending'
                    AND due_at <> accepted_at
            )
        )
        WHEN 'held' THEN (
            SELECT min(accepted_at) FROM deliveries
            WHERE deliveries.envelope = waiting.envelope AND deliveries.state = 'held'
        )
        ELSE (
            SELECT min(accepted_at) FROM deliveries
            WHERE deliveries.envelope = waiting.envelope AND claimed_at IS NOT NULL
        )
    END AS oldest
    FROM waiting
)
SELECT destination, state, sum(count)::bigint, min(oldest)
FROM aged JOIN envelopes ON envelopes.id = aged.envelope
GROUP BY destination, state
ORDER BY destination COLLATE "C", state COLLATE "C";

-- name: waiting_places
-- Where something waits for a destination: day, envelope, and the query that reads it.
SELECT
    day, delivery_counts.envelope, CASE state WHEN 'held' THEN 'held_value' ELSE 'waiting_value' END AS query
FROM delivery_counts JOIN envelopes ON envelopes.id = delivery_counts.envelope
WHERE destination = $1 AND state IN ('pending', 'claimed', 'held')
GROUP BY 1, 2, 3 HAVING sum(change) > 0;

-- name: waiting_value
-- Of the next that are due in an envelope, with ids from $2 to $3: what they are worth.
WITH page AS MATERIALIZED (
    SELECT id, due_at AS moment, event, value_micros, currency FROM deliveries
    WHERE envelope = $1 AND due_at IS NOT NULL AND id >= $2 AND id < $3
        AND (due_at, id) > ($4::bigint, $5::bigint)
    ORDER BY due_at, id LIMIT $6
),
worth AS (
    SELECT currency, sum(value_micros)::bigint AS value_micros
    FROM page JOIN events ON events.id = page.event AND events.id >= $2 AND events.id < $3
    WHERE currency IS NOT NULL AND source <> $7 GROUP BY currency
)
SELECT last.moment, last.id, worth.currency, worth.value_micros
FROM (SELECT moment, id FROM page ORDER BY moment DESC, id DESC LIMIT 1) AS last
LEFT JOIN worth ON true;

-- name: held_value
-- The same of what is held.
WITH page AS MATERIALIZED (
    SELECT id, accepted_at AS moment, event, value_micros, currency FROM deliveries
    WHERE envelope = $1 AND state = 'held' AND id >= $2 AND id < $3
        AND (accepted_at, id) > ($4::bigint, $5::bigint)
    ORDER BY accepted_at, id LIMIT $6
),
worth AS (
    SELECT currency, sum(value_micros)::bigint AS value_micros
    FROM page JOIN events ON events.id = page.event AND events.id >= $2 AND events.id < $3
    WHERE currency IS NOT NULL AND source <> $7 GROUP BY currency
)
SELECT last.moment, last.id, worth.currency, worth.value_micros
FROM (SELECT moment, id FROM page ORDER BY moment DESC, id DESC LIMIT 1) AS last
LEFT JOIN worth ON true;

-- name: days_between
SELECT day FROM days WHERE day BETWEEN $1 AND $2 ORDER BY day;

-- name: outcomes
-- Of the deliveries of the next events received before $3, with ids from $1 to $2: what became of
-- them, added up. `late` is how many of the bounds are shorter than it took, if not all are.
WITH page AS MATERIALIZED (
    SELECT id, source, received_at FROM events
    WHERE disposition = 'planned' AND id >= $1 AND id < $2 AND received_at < $3
        AND (received_at, id) > ($4::bigint, $5::bigint)
    ORDER BY received_at, id LIMIT $6
),
told AS (
    SELECT
        source, envelope, mapping, event_name, state, currency, value_micros,
        CASE state WHEN 'delivered' THEN greatest(0, settled_at - received_at) END AS lateness
    FROM page JOIN deliveries
        ON deliveries.event = page.id AND deliveries.id >= $1 AND deliveries.id < $2
    WHERE source <> $7
),
added AS (
    SELECT
        source, envelope, mapping, event_name, state, currency,
        nullif(width_bucket(lateness - 1, $8::bigint[]), cardinality($8::bigint[])) AS late,
        count(*) AS total, coalesce(sum(value_micros), 0)::bigint AS value_micros,
        coalesce(max(lateness), 0) AS longest
    FROM told GROUP BY 1, 2, 3, 4, 5, 6, 7
)
SELECT
    last.received_at, last.id, source, destination, mapping, event_name, state, late, currency,
    total, value_micros, 0 AS unvalued, longest
FROM (SELECT received_at, id FROM page ORDER BY received_at DESC, id DESC LIMIT 1) AS last
LEFT JOIN (added JOIN envelopes ON envelopes.id = added.envelope) ON true;

-- name: moments
-- Of the next deliveries, with ids from $1 to $2 of a day that begins with $3: how many were
-- received, and how many arrived, in each step since $4 until $5.
WITH page AS MATERIALIZED (
    SELECT id, event, state, settled_at FROM deliveries
    WHERE id >= $1 AND id < $2 ORDER BY id LIMIT $7
),
found AS MATERIALIZED (
    SELECT received_at, state, settled_at
    FROM page JOIN events ON events.id = page.event AND events.id >= $3 AND events.id < $2
    WHERE source <> $8
),
steps AS (
    SELECT step, sum(received)::bigint AS received, sum(delivered)::bigint AS delivered FROM (
        SELECT (received_at - $4::bigint) / $6::bigint AS step, 1 AS received, 0 AS delivered
        FROM found WHERE received_at >= $4 AND received_at < $5
        UNION ALL
        SELECT (settled_at - $4::bigint) / $6::bigint, 0, 1
        FROM found WHERE state = 'delivered' AND settled_at >= $4 AND settled_at < $5
    ) AS counted
    GROUP BY step
)
SELECT last.id, step, received, delivered
FROM (SELECT max(id) AS id FROM page HAVING count(*) > 0) AS last LEFT JOIN steps ON true;

-- name: add_flow
-- In the order of their keys, so that no two nodes wait for each other.
INSERT INTO flow (minute, measure, labels, count)
SELECT minute, measure, labels, sum(count)
FROM unnest($1::integer[], $2::text[], $3::text[], $4::bigint[])
    AS given (minute, measure, labels, count)
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
ON CONFLICT (minute, measure, labels) DO UPDATE SET count = flow.count + excluded.count;

-- name: flow
SELECT
    (minute - $1::integer) / $3::integer AS step, measure COLLATE "C" AS measure,
    labels COLLATE "C" AS labels, sum(count)::bigint
FROM flow WHERE minute >= $1 AND minute < $2
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- name: keep_alert
-- A new one takes the place of one that is open for the same.
INSERT INTO alerts
    (rule, subject, severity, opened_at, notified_at, resolved_at, summary, advice, facts)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (rule, subject) WHERE resolved_at IS NULL DO UPDATE SET
    severity = excluded.severity, opened_at = excluded.opened_at,
    notified_at = excluded.notified_at, summary = excluded.summary, advice = excluded.advice,
    facts = excluded.facts
RETURNING id;

-- name: change_alert
UPDATE alerts SET
    severity = $2, opened_at = $3, notified_at = $4, resolved_at = $5, summary = $6, advice = $7,
    facts = $8
WHERE id = $1;

-- name: alerts
SELECT * FROM (
    SELECT
        id, rule, subject, severity, opened_at, notified_at, resolved_at, summary, advice, facts
    FROM alerts ORDER BY resolved_at IS NOT NULL, opened_at DESC, id DESC
    LIMIT greatest($1, (SELECT count(*) FROM alerts WHERE resolved_at IS NULL))
) AS told
ORDER BY opened_at DESC, id DESC;

-- name: keep_version
INSERT INTO configurations (since, cause, fingerprint, rolled_back, refused, sealed)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING id;

-- name: change_version
-- It may be gone by now.
INSERT INTO configurations (id, since, cause, fingerprint, rolled_back, refused, sealed)
OVERRIDING SYSTEM VALUE VALUES ($7, $1, $2, $3, $4, $5, $6)
ON CONFLICT (id) DO UPDATE SET refused = excluded.refused
RETURNING id;

-- name: versions
-- Without a limit all.
SELECT id, since, cause, fingerprint, rolled_back, refused, sealed FROM configurations
ORDER BY id DESC LIMIT $1::bigint;

-- name: version
SELECT id, since, cause, fingerprint, rolled_back, refused, sealed FROM configurations
WHERE id = $1;

-- name: seal_version_anew
UPDATE configurations SET sealed = $2 WHERE id = $1;

-- name: remove_version
DELETE FROM configurations WHERE id = $1;

-- name: database_size
SELECT pg_database_size(current_database());

-- name: may_see_log
SELECT has_function_privilege('pg_ls_waldir()', 'execute');

-- name: log_size
SELECT coalesce(sum(size), 0)::bigint FROM pg_ls_waldir();

-- name: holders
-- Who keeps this database from clearing away old rows: what it is, its name, its state, for how many
-- seconds (NULL: only the age of the oldest transaction it needs is known, in transactions). Vacuum
-- does not hold itself back.
SELECT
    CASE backend_type WHEN 'walsender' THEN 'standby' ELSE 'session' END AS kind,
    application_name AS name, coalesce(state, '') AS state,
    extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds,
    greatest(age(backend_xmin), age(backend_xid))::bigint AS transactions
FROM pg_stat_activity
WHERE (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)
    AND (datname = current_database() OR backend_type = 'walsender')
    AND pid <> pg_backend_pid() AND backend_type <> 'autovacuum worker'
    AND pid NOT IN (SELECT pid FROM pg_stat_progress_vacuum)
UNION ALL
SELECT
    'prepared', '', '', extract(epoch FROM clock_timestamp() - prepared)::float8,
    age(transaction)::bigint
FROM pg_prepared_xacts WHERE database = current_database()
UNION ALL
SELECT
    'slot', slot_name, CASE WHEN active THEN 'active' ELSE 'inactive' END, NULL,
    age(xmin)::bigint
FROM pg_replication_slots WHERE xmin IS NOT NULL;

-- name: transactions_so_far
-- The database's clock in seconds, and the number of its next transaction.
SELECT
    extract(epoch FROM clock_timestamp())::float8,
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint;

-- name: sealing_keys
-- With whether a node may be sealing with it: one that has lost its way to the database for some
-- minutes, or has just begun, too.
SELECT key_id, proof, used_at > clock_timestamp() - interval '10 minutes' FROM sealing_keys;

-- name: known_sealing_keys
SELECT key_id FROM sealing_keys;

-- name: keep_sealing_key
INSERT INTO sealing_keys (key_id, proof) VALUES ($1, $2)
ON CONFLICT (key_id) DO UPDATE SET used_at = excluded.used_at;

-- name: forget_sealing_key
DELETE FROM sealing_keys WHERE key_id = $1;

-- name: sealed_with
-- Whether anything was sealed with this key: four bytes of a sealed value name it.
SELECT
    EXISTS (SELECT 1 FROM bodies WHERE substring(sealed FROM 2 FOR 4) = $1)
    OR EXISTS (SELECT 1 FROM originals WHERE substring(sealed FROM 2 FOR 4) = $1)
    OR EXISTS (SELECT 1 FROM match_keys WHERE substring(sealed FROM 2 FOR 4) = $1);

-- name: bounded
-- No statement of this transaction takes longer from now on.
SELECT set_config('statement_timeout', $1, true);
