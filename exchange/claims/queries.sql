-- name: lock_claimant
-- Who claims opens one claim after the other: a statement after this one sees every claim opened before it.
SELECT id FROM participant WHERE id = $1 FOR NO KEY UPDATE;

-- name: lock_receivables
-- Locks what a claimant has to claim of some assets, in order of ids, as the hour that adds to it does.
SELECT id FROM ledger_account
WHERE participant_id = $1 AND asset = ANY ($2::text[]) AND purpose = 'receivable' AND reference = 0
ORDER BY id
FOR NO KEY UPDATE;

-- name: open_claim
-- Makes one open claim of everything a claimant may claim now and has not; without a claim's amount where there is
-- nothing. Where the rules that lines were held under limit in how many claims those of a contract (lease) may be, its
-- last ones are given once it is wholly settled; of the contracts that wait, told: how many, and the first end.
WITH limited AS (
    SELECT version, (rules ->> 'max_claims_per_contract')::integer AS claims_max
    FROM programme_version
    WHERE programme_id = $2 AND rules ->> 'max_claims_per_contract' IS NOT NULL
), free AS (
    SELECT DISTINCT capture.lease_id, capture.programme_version, limited.claims_max
    FROM voucher_capture AS capture
    JOIN limited ON limited.version = capture.programme_version
    WHERE capture.programme_id = $2 AND capture.claimant_id = $4 AND capture.claim_id IS NULL
), waiting AS MATERIALIZED (
    SELECT free.lease_id, free.programme_version, lease.ends_hour
    FROM free
    CROSS JOIN LATERAL (
        -- A rejected claim has no lines. With all the claims it may have, a contract has no line that is free.
        SELECT count(DISTINCT claim_id) AS claims
        FROM voucher_capture
        WHERE lease_id = free.lease_id AND programme_id = $2 AND programme_version = free.programme_version
    ) AS made
    LEFT JOIN lease ON lease.id = free.lease_id
    WHERE made.claims >= free.claims_max - 1 AND (lease.next_settlement_hour = lease.ends_hour) IS NOT TRUE
), lines AS (
    SELECT lease_id, delivery_hour, voucher_id, amount_fen
    FROM voucher_capture
    WHERE programme_id = $2 AND claimant_id = $4 AND claim_id IS NULL
        AND (lease_id, programme_version) NOT IN (SELECT lease_id, programme_version FROM waiting)
    ORDER BY lease_id, delivery_hour, voucher_id
    FOR NO KEY UPDATE
), opened AS (
    INSERT INTO claim (id, programme_id, programme_version, claimant_id, amount_fen, status, opened_at)
    SELECT $1, $2, $3, $4, sum(amount_fen), 'open', $5
    FROM lines HAVING count(*) > 0
    RETURNING amount_fen
), bound AS (
    UPDATE voucher_capture AS capture SET claim_id = $1
    FROM lines
    WHERE capture.lease_id = lines.lease_id AND capture.delivery_hour = lines.delivery_hour
        AND capture.voucher_id = lines.voucher_id
    RETURNING 1
)
SELECT
    (SELECT amount_fen FROM opened) AS amount_fen, (SELECT count(*) FROM bound) AS line_count,
    count(DISTINCT lease_id) AS waiting_count, min(ends_hour) AS first_ends_hour
FROM waiting;

-- name: claimable_programmes
-- The programmes under which something captured is a claimant's and not claimed, in order.
SELECT DISTINCT programme_id FROM voucher_capture WHERE claimant_id = $1 AND claim_id IS NULL ORDER BY programme_id LIMIT $2;

-- part: claims
-- Claims with whose they are, their programme's issuer and asset, their draw, and how many lines they have.
SELECT claim.*, claimant.name AS claimant_name, claimant.kind AS claimant_kind, programme.issuer_id, programme.asset,
    draw.sample_bps, draw.seed, draw.drawn_number,
    (SELECT count(*) FROM voucher_capture WHERE claim_id = claim.id) AS line_count
FROM claim
JOIN programme ON programme.id = claim.programme_id
JOIN participant AS claimant ON claimant.id = claim.claimant_id
LEFT JOIN claim_draw AS draw ON draw.claim_id = claim.id

-- name: lock_claim
-- One claim, locked.
{claims}
WHERE claim.id = $1
FOR NO KEY UPDATE OF claim;

-- name: claim_terms
-- What the rules that a claim is judged by say of claims.
SELECT coalesce((version.rules ->> 'audit_sample_bps')::integer, 0) AS audit_sample_bps,
    ARRAY(SELECT jsonb_array_elements_text(version.rules -> 'evidence')) AS evidence
FROM programme_version AS version
WHERE version.programme_id = $1 AND version.version = $2;

-- name: insert_step
-- One step of a claim; the claim itself follows in a statement of its own, which the database compares with this.
INSERT INTO claim_step (claim_id, number, from_status, to_status, actor_role, actor_id, amount_fen, reason, stepped_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: save_claim
-- A claim as it stands after its last step.
UPDATE claim
SET status = $2, step_count = $3, reason = $4, approved_fen = $5, clawback_fen = $6, submitted_at = $7,
    decided_at = $8, paid_at = $9
WHERE id = $1;

-- name: insert_draw
-- The draw of a claim for audit.
INSERT INTO claim_draw (claim_id, sample_bps, seed, drawn_number, drawn_at) VALUES ($1, $2, $3, $4, $5);

-- name: free_captures
-- Gives the lines of a rejected claim back to its claimant, to be claimed again.
UPDATE voucher_capture SET claim_id = NULL WHERE claim_id = $1;

-- name: reduce_lines
-- What a reduction cuts of each line.
UPDATE voucher_capture AS capture SET reduced_fen = cut.fen
FROM unnest($2::bigint[], $3::integer[], $4::bigint[], $5::bigint[]) AS cut (lease_id, delivery_hour, voucher_id, fen)
WHERE capture.claim_id = $1 AND capture.lease_id = cut.lease_id AND capture.delivery_hour = cut.delivery_hour
    AND capture.voucher_id = cut.voucher_id;

-- name: recover_lines
-- What of each line was paid back.
UPDATE voucher_capture AS capture SET recovered_fen = back.fen
FROM unnest($2::bigint[], $3::integer[], $4::bigint[], $5::bigint[]) AS back (lease_id, delivery_hour, voucher_id, fen)
WHERE capture.claim_id = $1 AND capture.lease_id = back.lease_id AND capture.delivery_hour = back.delivery_hour
    AND capture.voucher_id = back.voucher_id;

-- name: page_of_claims
-- Claims opened before one, newest first; null restricts nothing. An issuer sees none that are still open.
{claims}
WHERE claim.id < $1
    AND ($2::bigint IS NULL OR claim.claimant_id = $2)
    AND ($3::bigint IS NULL OR programme.issuer_id = $3 AND claim.status <> 'open')
    AND ($4::bigint IS NULL OR claim.programme_id = $4)
    AND ($5::text IS NULL OR claim.status = $5)
    AND ($6::bigint IS NULL OR claim.id = $6)
ORDER BY claim.id DESC
LIMIT $7;

-- name: page_of_lines
-- The captures a claim is made of, after one; a null limit is none.
SELECT lease_id, delivery_hour, voucher_id, programme_version, provider_id, amount_fen, reduced_fen, recovered_fen
FROM voucher_capture
WHERE claim_id = $1 AND (lease_id, delivery_hour, voucher_id) > ($2, $3, $4)
ORDER BY lease_id, delivery_hour, voucher_id
LIMIT $5::bigint;

-- name: runs_of_claim
-- The lines of a claim as runs of hours: of which lease, by which voucher, the first hour and the one after the last.
SELECT lease_id, voucher_id, min(delivery_hour) AS first_hour, max(delivery_hour) + 1 AS until_hour
FROM (
    SELECT lease_id, voucher_id, delivery_hour,
        delivery_hour - row_number() OVER (PARTITION BY lease_id, voucher_id ORDER BY delivery_hour) AS island
    FROM voucher_capture
    WHERE claim_id = $1
) AS line
GROUP BY lease_id, voucher_id, island
ORDER BY lease_id, voucher_id, first_hour;

-- name: steps_of_claim
-- The history of a claim, in order; it has at most a few steps, but for questions asked again and again.
SELECT number, from_status, to_status, actor_role, actor_id, amount_fen, reason, stepped_at
FROM claim_step
WHERE claim_id = $1 AND number > $2
ORDER BY number
LIMIT $3;

-- name: insert_evidence
-- A file attached to a claim; the database compares its size and hash.
INSERT INTO claim_evidence (id, claim_id, name, content_type, size_bytes, sha256, content, attached_by, attached_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: evidence_of_claim
-- What is attached to a claim, oldest first, without the bytes; at most as much as one claim may have.
SELECT id, claim_id, name, content_type, size_bytes, sha256, attached_by, attached_at
FROM claim_evidence WHERE claim_id = $1 ORDER BY id;

-- name: evidence_content
-- One file of a claim.
SELECT id, claim_id, name, content_type, size_bytes, sha256, attached_by, attached_at, content
FROM claim_evidence WHERE claim_id = $1 AND id = $2;

-- name: movements_as_of
-- What moved in the assets of programmes up to a moment, by reason and by the claimant concerned; null restricts nothing.
SELECT programme.id AS programme_id, programme.code,
    CASE
        WHEN debit.purpose = 'voucher_escrow' THEN credit.participant_id -- whose receivable it became
        WHEN debit.purpose IN ('receivable', 'claimed') THEN debit.participant_id
        WHEN debit.purpose = 'redeemed' THEN claim.claimant_id
    END AS claimant_id,
    transfer.reason, sum(transfer.amount_fen)::bigint AS amount_fen
FROM programme
JOIN ledger_account AS debit ON debit.asset = programme.asset
JOIN ledger_transfer AS transfer
    ON transfer.debit_account_id = debit.id AND transfer.kind = 'posted' AND transfer.reason <> 'delivery_refund'
JOIN ledger_account AS credit ON credit.id = transfer.credit_account_id
LEFT JOIN claim ON claim.id = transfer.subject_id AND debit.purpose = 'redeemed'
WHERE transfer.created_at <= $1
    AND ($2::bigint IS NULL OR programme.issuer_id = $2)
    AND ($3::bigint IS NULL OR programme.id = $3)
    AND ($4::bigint IS NULL OR EXISTS (
        SELECT FROM ledger_account AS own
        WHERE own.participant_id = $4 AND own.asset = programme.asset AND own.purpose = 'receivable'))
GROUP BY 1, 2, 3, 4
ORDER BY 1, 3 NULLS FIRST, 4;

-- name: moved_between
-- What moved in the assets of programmes up to the last of some moments in order, by reason and by the first moment that
-- it had moved at, counted from 0; null restricts nothing. What is only set aside has not moved.
SELECT width_bucket(transfer.created_at - interval '1 microsecond', $1::timestamptz[]) AS moment, transfer.reason,
    sum(transfer.amount_fen)::bigint AS amount_fen
FROM programme
JOIN ledger_account AS debit ON debit.asset = programme.asset
JOIN ledger_transfer AS transfer
    ON transfer.debit_account_id = debit.id AND transfer.kind IN ('posted', 'post_pending')
WHERE transfer.created_at <= ($1::timestamptz[])[cardinality($1::timestamptz[])]
    AND ($2::bigint IS NULL OR programme.issuer_id = $2)
    AND ($3::bigint IS NULL OR programme.id = $3)
GROUP BY 1, 2;

-- name: claims_as_of
-- Claims opened before one, newest first, each as its last step up to a moment left it; null restricts nothing. An
-- issuer sees none that were still open.
SELECT claim.id, claim.programme_id, claim.claimant_id, claim.amount_fen, claim.opened_at,
    coalesce(last.to_status, 'open') AS status, coalesce(last.amount_fen, claim.amount_fen) AS step_fen,
    coalesce(last.reason, '') AS reason, coalesce(last.stepped_at, claim.opened_at) AS stepped_at
FROM claim
JOIN programme ON programme.id = claim.programme_id
LEFT JOIN LATERAL (
    SELECT step.to_status, step.amount_fen, step.reason, step.stepped_at
    FROM claim_step AS step
    WHERE step.claim_id = claim.id AND step.stepped_at <= $1
    ORDER BY step.number DESC LIMIT 1
) AS last ON TRUE
WHERE claim.opened_at <= $1 AND claim.id < $2
    AND ($3::bigint IS NULL OR claim.claimant_id = $3)
    AND ($4::bigint IS NULL OR programme.issuer_id = $4 AND last.to_status IS NOT NULL)
    AND ($5::bigint IS NULL OR claim.programme_id = $5)
ORDER BY claim.id DESC
LIMIT $6;
