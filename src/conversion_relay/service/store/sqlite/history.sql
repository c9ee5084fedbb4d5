-- The past besides events: requests, counts, alerts, configurations. As in queries.sql.

-- name: next_request
SELECT 1 + coalesce(max(id), 0) FROM requests;

-- name: keep_request
-- Without an id it gets the next one.
INSERT INTO requests
    (id, destination, sent_at, seconds, events, result, status, code, request_id, reason)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING;

-- name: travelled_in
-- Deliveries that are still claimed after this request.
UPDATE deliveries SET request = :request
WHERE id IN (SELECT value FROM json_each(:deliveries)) AND state = 'claimed';

-- name: attempts
SELECT json_group_array(
    json_array(
        destination, sent_at, seconds, events, result, status, code, request_id, reason
    ) ORDER BY sent_at, id
)
FROM requests WHERE id IN (
    SELECT request FROM attempts WHERE delivery = :delivery
    UNION SELECT request FROM deliveries WHERE id = :delivery
);

-- name: newest_requests
SELECT json_group_array(
    json_array(
        destination, sent_at, seconds, events, result, status, code, request_id, reason
    ) ORDER BY sent_at DESC, id DESC
)
FROM (
    SELECT * FROM requests WHERE sent_at >= :since AND sent_at < :until
    ORDER BY sent_at DESC, id DESC LIMIT :limit
);

-- name: answers
-- Of the next requests: the last of them, and what came back, added up.
WITH page AS MATERIALIZED (
    SELECT * FROM requests WHERE (sent_at, id) > (:at, :id) AND sent_at < :until
    ORDER BY sent_at, id LIMIT :limit
)
SELECT
    (SELECT json_array(sent_at, id) FROM page ORDER BY sent_at DESC, id DESC LIMIT 1),
    (
        SELECT json_group_array(
            json_array(step, destination, result, status, code, requests, events)
        )
        FROM (
            SELECT
                (sent_at - :since) / :step AS step, destination, result, status, code,
                count(*) AS requests, sum(events) AS events
            FROM page GROUP BY 1, 2, 3, 4, 5
        )
    );

-- name: waiting
-- Counts are kept by triggers. What is pending is either put off, or due since it was accepted: the
-- first by due_at is the oldest of these, or due later than the oldest of those was accepted. Few
-- are claimed at a time.
WITH waiting(envelope, state, count) AS MATERIALIZED (
    SELECT envelope, state, count FROM delivery_counts
    WHERE count > 0 AND state IN ('pending', 'claimed', 'held')
),
claimed(envelope, oldest) AS MATERIALIZED (
    SELECT envelope, min(accepted_at) FROM deliveries
    WHERE claimed_at IS NOT NULL GROUP BY envelope
),
oldest(envelope, state, moment) AS MATERIALIZED (
    SELECT envelope, state, (
        SELECT due_at FROM deliveries
        WHERE deliveries.envelope = waiting.envelope AND due_at IS NOT NULL
            AND deliveries.state = 'pending'
        ORDER BY due_at LIMIT 1
    )
    FROM waiting WHERE state = 'pending'
    UNION ALL
    SELECT envelope, state, (
        SELECT min(accepted_at) FROM deliveries
        WHERE deliveries.envelope = waiting.envelope AND deliveries.state = 'pending'
            AND (state = 'held' OR (due_at <> accepted_at AND state = 'pending'))
    )
    FROM waiting WHERE state = 'pending'
    UNION ALL
    SELECT envelope, state, (
        SELECT min(accepted_at) FROM deliveries
        WHERE deliveries.envelope = waiting.envelope AND deliveries.state = 'held'
    )
    FROM waiting WHERE state = 'held'
    UNION ALL
    SELECT envelope, 'claimed', oldest FROM claimed
)
SELECT json_group_array(json_array(destination, state, total, moment)) FROM (
    SELECT
        destination, state, sum(count) AS total,
        min((
            SELECT min(moment) FROM oldest
            WHERE oldest.envelope = waiting.envelope AND oldest.state = waiting.state
        )) AS moment
    FROM waiting JOIN envelopes ON envelopes.id = waiting.envelope
    GROUP BY destination, state ORDER BY destination, state
);

-- name: waiting_value
-- Of the next that are due in this envelope: the last of them, and what they are worth.
WITH page AS MATERIALIZED (
    SELECT id, due_at, event, value_micros, currency FROM deliveries
    WHERE envelope = :envelope AND due_at IS NOT NULL AND (due_at, id) > (:at, :id)
    ORDER BY due_at, id LIMIT :limit
)
SELECT
    (SELECT json_array(due_at, id) FROM page ORDER BY due_at DESC, id DESC LIMIT 1),
    (
        SELECT json_group_array(json_array(currency, value_micros)) FROM (
            SELECT currency, sum(value_micros) AS value_micros
            FROM page JOIN events ON events.id = page.event
            WHERE currency IS NOT NULL AND source <> :canary GROUP BY currency
        )
    );

-- name: held_value
-- The same of what is held.
WITH page AS MATERIALIZED (
    SELECT id, accepted_at, event, value_micros, currency FROM deliveries
    WHERE envelope = :envelope AND state = 'held' AND (accepted_at, id) > (:at, :id)
    ORDER BY accepted_at, id LIMIT :limit
)
SELECT
    (SELECT json_array(accepted_at, id) FROM page ORDER BY accepted_at DESC, id DESC LIMIT 1),
    (
        SELECT json_group_array(json_array(currency, value_micros)) FROM (
            SELECT currency, sum(value_micros) AS value_micros
            FROM page JOIN events ON events.id = page.event
            WHERE currency IS NOT NULL AND source <> :canary GROUP BY currency
        )
    );

-- name: envelopes_of
SELECT json_group_array(id) FROM envelopes WHERE destination = :destination;

-- name: outcomes
-- Of the deliveries of the next events: the last of these, and what became of them, added up.
WITH page AS MATERIALIZED (
    SELECT id, received_at FROM events
    WHERE disposition = 'planned' AND (received_at, id) > (:at, :id) AND received_at < :until
    ORDER BY received_at, id LIMIT :limit
),
bounds(number, bound) AS MATERIALIZED (SELECT key, value FROM json_each(:bounds)),
told AS (
    SELECT
        source, envelope AS travels_in, mapping, event_name, state, currency, value_micros,
        currency IS NULL AND deliveries.id < (SELECT first_delivery FROM worth_known) AS unvalued,
        iif(state = 'delivered', max(0, settled_at - page.received_at), NULL) AS lateness
    FROM page
    CROSS JOIN deliveries ON deliveries.event = page.id
    CROSS JOIN events ON events.id = page.id
    WHERE source <> :canary
)
SELECT
    (SELECT json_array(received_at, id) FROM page ORDER BY received_at DESC, id DESC LIMIT 1),
    (
        SELECT json_group_array(
            json_array(
                source, destination, mapping, event_name, state, late, currency, total, value,
                unvalued, longest
            )
        )
        FROM (
            SELECT
                source, travels_in, mapping, event_name, state, currency,
                (SELECT min(number) FROM bounds WHERE bound >= lateness) AS late,
                count(*) AS total, coalesce(sum(value_micros), 0) AS value,
                sum(unvalued) AS unvalued,
                coalesce(max(lateness), 0) AS longest
            FROM told GROUP BY 1, 2, 3, 4, 5, 6, 7
        )
        JOIN envelopes ON envelopes.id = travels_in
    );

-- name: moments
-- Of these deliveries: how many were received, and how many arrived, in each step.
SELECT json_group_array(json_array(step, received, delivered)) FROM (
    SELECT step, sum(received) AS received, sum(delivered) AS delivered FROM (
        SELECT (received_at - :since) / :step AS step, 1 AS received, 0 AS delivered
        FROM deliveries CROSS JOIN events ON events.id = event
        WHERE deliveries.id BETWEEN :first AND :last
            AND received_at >= :since AND received_at < :until AND source <> :canary
        UNION ALL
        SELECT (settled_at - :since) / :step, 0, 1
        FROM deliveries CROSS JOIN events ON events.id = event
        WHERE deliveries.id BETWEEN :first AND :last AND state = 'delivered'
            AND settled_at >= :since AND settled_at < :until AND source <> :canary
    )
    GROUP BY step
);

-- name: following_delivery
SELECT min(id) FROM deliveries WHERE id >= :first;

-- name: add_flow
-- Rows of [minute, measure, labels, count].
INSERT INTO flow (minute, measure, labels, count)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(:counts) WHERE true
ON CONFLICT (minute, measure, labels) DO UPDATE SET count = count + excluded.count;

-- name: flow
SELECT json_group_array(json_array(step, measure, labels, total)) FROM (
    SELECT (minute - :since) / :step AS step, measure, labels, sum(count) AS total
    FROM flow WHERE minute >= :since AND minute < :until
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
);

-- name: keep_alert
-- A new one takes the place of one that is open for the same.
INSERT INTO alerts
    (rule, subject, severity, opened_at, notified_at, resolved_at, summary, advice, facts)
VALUES
    (:rule, :subject, :severity, :opened_at, :notified_at, :resolved_at, :summary, :advice, :facts)
ON CONFLICT (rule, subject) WHERE resolved_at IS NULL DO UPDATE SET
    severity = excluded.severity, opened_at = excluded.opened_at,
    notified_at = excluded.notified_at, summary = excluded.summary, advice = excluded.advice,
    facts = excluded.facts
RETURNING id;

-- name: change_alert
UPDATE alerts SET
    severity = :severity, opened_at = :opened_at, notified_at = :notified_at,
    resolved_at = :resolved_at, summary = :summary, advice = :advice, facts = :facts
WHERE id = :id;

-- name: alerts
SELECT json_group_array(
    json_array(
        id, rule, subject, severity, opened_at, notified_at, resolved_at, summary, advice, facts
    ) ORDER BY opened_at DESC, id DESC
)
FROM (
    SELECT * FROM alerts ORDER BY resolved_at IS NOT NULL, opened_at DESC, id DESC
    LIMIT max(:limit, (SELECT count(*) FROM alerts WHERE resolved_at IS NULL))
);

-- name: keep_version
INSERT INTO configurations (id, since, cause, fingerprint, rolled_back, refused, sealed)
VALUES (nullif(:id, 0), :since, :cause, :fingerprint, :rolled_back, :refused, :sealed)
ON CONFLICT (id) DO UPDATE SET refused = excluded.refused
RETURNING id;

-- name: versions
SELECT id, since, cause, fingerprint, rolled_back, refused, sealed FROM configurations
ORDER BY id DESC LIMIT :limit;

-- name: version
SELECT id, since, cause, fingerprint, rolled_back, refused, sealed FROM configurations WHERE id = :id;

-- name: seal_version_anew
UPDATE configurations SET sealed = :sealed WHERE id = :id;

-- name: remove_version
DELETE FROM configurations WHERE id = :id;

-- name: remove_attempts
DELETE FROM attempts WHERE delivery IN (
    SELECT id FROM deliveries WHERE event IN (SELECT value FROM json_each(:events))
);

-- name: expire_requests
DELETE FROM requests WHERE id IN (
    SELECT id FROM requests WHERE sent_at <= :oldest ORDER BY sent_at LIMIT :limit
) AND id < (SELECT max(id) FROM requests);

-- name: expire_flow
DELETE FROM flow WHERE (minute, measure, labels) IN (
    SELECT minute, measure, labels FROM flow WHERE minute < :oldest
    ORDER BY minute, measure, labels LIMIT :limit
);

-- name: expire_alerts
DELETE FROM alerts WHERE id IN (
    SELECT id FROM alerts WHERE resolved_at <= :oldest LIMIT :limit
);

-- name: expire_versions
DELETE FROM configurations WHERE id IN (
    SELECT id FROM configurations ORDER BY id DESC LIMIT :limit OFFSET :kept
);
