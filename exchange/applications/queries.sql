-- name: insert_application
-- Stores an application as it is submitted.
INSERT INTO application (id, programme_id, programme_version, buyer_id, amount_fen, purpose, status, submitted_at)
VALUES ($1, $2, $3, $4, $5, $6, 'submitted', $7);

-- part: applications
-- Applications with the names of whose they are and of what.
SELECT application.*, buyer.name AS buyer_name, programme.code AS programme_code, programme.issuer_id
FROM application
JOIN programme ON programme.id = application.programme_id
JOIN participant AS buyer ON buyer.id = application.buyer_id

-- name: page_of_applications
-- Applications submitted before one, newest first; null restricts nothing.
{applications}
WHERE application.id < $1
    AND ($2::bigint IS NULL OR application.buyer_id = $2)
    AND ($3::bigint IS NULL OR programme.issuer_id = $3)
    AND ($4::bigint IS NULL OR application.programme_id = $4)
    AND ($5::text IS NULL OR application.status = $5)
    AND ($6::bigint IS NULL OR application.id = $6)
ORDER BY application.id DESC
LIMIT $7;

-- name: lock_application
-- One application, locked.
{applications}
WHERE application.id = $1
FOR NO KEY UPDATE OF application;

-- name: lock_scored_applications
-- The applications of a programme that have a score and wait for its allocation, locked in order of ids.
{applications}
WHERE application.programme_id = $1 AND application.status = 'submitted' AND application.score IS NOT NULL
ORDER BY application.id
FOR NO KEY UPDATE OF application;

-- name: insert_application_steps
-- Steps of some applications, one of each; these follow in a statement of their own, which the database compares.
INSERT INTO application_step (
    application_id, number, from_status, to_status, actor_role, actor_id, key_id, amount_fen, score, reason, stepped_at)
SELECT step.*, $11
FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[],
    $9::integer[], $10::text[]) AS step;

-- name: save_applications
-- Applications as they stand after their last steps.
UPDATE application
SET status = now.status, step_count = now.step_count, score = now.score, approved_fen = now.approved_fen,
    voucher_id = now.voucher_id, reason = now.reason,
    decided_at = CASE WHEN now.status IN ('submitted', 'in_committee') THEN NULL ELSE $8::timestamptz END
FROM unnest($1::bigint[], $2::text[], $3::integer[], $4::integer[], $5::bigint[], $6::bigint[], $7::text[])
    AS now (id, status, step_count, score, approved_fen, voucher_id, reason)
WHERE application.id = now.id;

-- name: steps_of_application
-- The history of an application after a step, in order.
SELECT * FROM application_step WHERE application_id = $1 AND number > $2 ORDER BY number LIMIT $3;
