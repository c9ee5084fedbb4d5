-- Named queries: configurations that nodes agree on.

-- name: propose
INSERT INTO proposals (node, fingerprint, sealed, proposed_at)
VALUES ($1, $2, $3, clock_timestamp())
ON CONFLICT ((result IS NULL)) WHERE result IS NULL DO NOTHING
RETURNING id;

-- name: forget_proposals
DELETE FROM proposals WHERE result IS NOT NULL AND proposed_at < clock_timestamp() - $1::interval;

-- name: vote
INSERT INTO votes (proposal, node, reason)
SELECT id, $2, $3 FROM proposals WHERE id = $1 AND result IS NULL
ON CONFLICT (proposal, node) DO UPDATE SET reason = excluded.reason;

-- name: decide
UPDATE proposals SET result = $2, reason = $3 WHERE id = $1 AND result IS NULL RETURNING id;

-- name: proposal
SELECT id, node, fingerprint, CASE WHEN id = $1 THEN NULL ELSE sealed END AS sealed,
    clock_timestamp() - proposed_at AS age, result, reason
FROM proposals ORDER BY id DESC LIMIT 1;

-- name: votes
SELECT node, reason FROM votes WHERE proposal = $1;
