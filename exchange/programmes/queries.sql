-- name: insert_programme
-- Stores a programme, whose first version must follow in this transaction.
INSERT INTO programme (id, issuer_id, code, name, asset, status, budget_fen, version_last, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8);

-- name: insert_version
-- Stores a version of a programme's rules under a bit, a fresh one where that is null, and returns the bit.
WITH counted AS (
    UPDATE programme SET version_last = $2 WHERE id = $1
)
INSERT INTO programme_version (programme_id, version, ordinal, effective_from, effective_until, rules)
VALUES ($1, $2, coalesce($3, nextval('programme_version_ordinal')::integer), $4, $5, $6::text::jsonb)
RETURNING ordinal;

-- name: set_budget
-- Changes the budget of a programme to what its newest rules say, and its state to what its last step says.
UPDATE programme SET budget_fen = $2, status = $3, step_count = $4 WHERE id = $1;

-- name: insert_programme_step
-- A step of a programme; the programme follows in a statement of its own, which the database compares with this.
INSERT INTO programme_step (
    programme_id, number, from_status, to_status, actor_role, actor_id, returned_fen, reason, stepped_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: follow_programme_step
-- Brings a programme to where its last step leads.
UPDATE programme SET status = $2, step_count = $3 WHERE id = $1;

-- name: steps_of_programme
-- The history of a programme after a step, in order.
SELECT programme_id, number, from_status, to_status, actor_role, actor_id, returned_fen, reason, stepped_at
FROM programme_step
WHERE programme_id = $1 AND number > $2
ORDER BY number
LIMIT $3;

-- name: versions_of_programmes
-- Every version of the rules of one programme, or where it is null of all, in order; of drafts only where it is asked for.
SELECT programme.id AS programme_id, programme.code, programme.name, version.version, version.ordinal,
    version.effective_from, version.effective_until, version.rules::text AS rules
FROM programme JOIN programme_version AS version ON version.programme_id = programme.id
WHERE programme.id = coalesce($1::bigint, programme.id) AND ($2::boolean OR programme.status <> 'draft')
ORDER BY programme.id, version.version;

-- name: page_of_programmes
-- Programmes created before one, newest first, each with its newest rules that have begun, else those that begin first.
-- Drafts are seen by their issuer, and by who sees all.
SELECT programme.*, shown.version, shown.ordinal, shown.effective_from, shown.effective_until,
    shown.rules::text AS rules
FROM programme
JOIN LATERAL (
    SELECT * FROM programme_version WHERE programme_id = programme.id
    ORDER BY effective_from <= $3 DESC, CASE WHEN effective_from <= $3 THEN -version END, effective_from, version DESC
    LIMIT 1
) AS shown ON TRUE
WHERE programme.id < $1 AND ($4::text IS NULL OR programme.code = $4)
    AND (programme.status <> 'draft' OR $5::boolean OR programme.issuer_id = $6)
ORDER BY programme.id DESC
LIMIT $2;

-- name: programme_by_id
-- One programme with its newest rules that have begun, else those that begin first.
SELECT programme.*, shown.version, shown.ordinal, shown.effective_from, shown.effective_until,
    shown.rules::text AS rules
FROM programme
JOIN LATERAL (
    SELECT * FROM programme_version WHERE programme_id = programme.id
    ORDER BY effective_from <= $2 DESC, CASE WHEN effective_from <= $2 THEN -version END, effective_from, version DESC
    LIMIT 1
) AS shown ON TRUE
WHERE programme.id = $1;

-- name: lock_programme
-- Locks one programme: every issue and every change of it waits here. What it is, and its rules, is for a statement of
-- their own, which sees what was stored by the one that was waited for.
SELECT id FROM programme WHERE id = $1 FOR NO KEY UPDATE;
