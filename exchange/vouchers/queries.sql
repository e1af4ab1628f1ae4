-- name: insert_programme
-- Stores a programme with the first version of its rules, and returns its number among the eligibility bits.
WITH added AS (
    INSERT INTO programme (id, issuer_id, code, name, asset, status, budget_fen, version_last, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8)
    RETURNING id, ordinal
), versioned AS (
    INSERT INTO programme_version (programme_id, version, effective_from, effective_until, rules)
    SELECT id, 1, $9, $10, $11::text::jsonb FROM added
)
SELECT ordinal FROM added;

-- name: insert_version
-- Stores a further version of a programme's rules.
WITH counted AS (
    UPDATE programme SET version_last = $2 WHERE id = $1
)
INSERT INTO programme_version (programme_id, version, effective_from, effective_until, rules)
VALUES ($1, $2, $3, $4, $5::text::jsonb);

-- name: versions_of_programmes
-- Every version of the rules of one programme, or of all but drafts where it is null, in order.
SELECT programme.id AS programme_id, programme.ordinal, programme.code, programme.name, version.version,
    version.effective_from, version.effective_until, version.rules::text AS rules
FROM programme JOIN programme_version AS version ON version.programme_id = programme.id
WHERE programme.id = coalesce($1::bigint, programme.id) AND ($1 IS NOT NULL OR programme.status <> 'draft')
ORDER BY programme.id, version.version;

-- name: page_of_programmes
-- Programmes created before one, newest first, each with its newest rules that have begun, else its first.
SELECT programme.*, shown.version, shown.effective_from, shown.effective_until, shown.rules::text AS rules
FROM programme
JOIN LATERAL (
    SELECT * FROM programme_version WHERE programme_id = programme.id
    ORDER BY effective_from <= $3 DESC, CASE WHEN effective_from <= $3 THEN -version ELSE version END LIMIT 1
) AS shown ON TRUE
WHERE programme.id < $1 AND ($4::text IS NULL OR programme.code = $4)
ORDER BY programme.id DESC
LIMIT $2;

-- name: programme_by_id
-- One programme with its newest rules that have begun, else its first.
SELECT programme.*, shown.version, shown.effective_from, shown.effective_until, shown.rules::text AS rules
FROM programme
JOIN LATERAL (
    SELECT * FROM programme_version WHERE programme_id = programme.id
    ORDER BY effective_from <= $2 DESC, CASE WHEN effective_from <= $2 THEN -version ELSE version END LIMIT 1
) AS shown ON TRUE
WHERE programme.id = $1;

-- name: lock_programme
-- Locks one programme: every issue and every change of it waits here. What it is, and its rules, is for a statement of
-- their own, which sees what was stored by the one that was waited for.
SELECT id FROM programme WHERE id = $1 FOR NO KEY UPDATE;

-- name: standings
-- How a company stands under some programmes in a year that begins and ends at two times; what it spent reads all its
-- transfers, and is told only where it is asked for.
WITH company AS (
    SELECT id, trade_group_id FROM participant WHERE id = $2
), partners AS (
    SELECT participant.id, participant.kind
    FROM participant JOIN company ON participant.trade_group_id = company.trade_group_id
    WHERE participant.id <> company.id
), spent AS (
    -- What left its accounts for trades, less what failed hours brought back to them.
    SELECT (SELECT coalesce(sum(amount_fen), 0) FROM ledger_transfer
            WHERE debit_account_id = account.id AND kind = 'post_pending' AND reason = 'trade'
                AND created_at >= $4 AND created_at < $5)
        - (SELECT coalesce(sum(amount_fen), 0) FROM ledger_transfer
            WHERE credit_account_id = account.id AND kind = 'posted' AND reason = 'delivery_refund'
                AND created_at >= $4 AND created_at < $5) AS fen
    FROM ledger_account AS account
    WHERE $6::boolean AND account.participant_id = $2 AND account.purpose IN ('cash', 'voucher')
)
SELECT wanted.programme_id,
    coalesce(sum(used.issued_fen) FILTER (WHERE used.participant_id = $2), 0)::bigint AS issued_fen,
    coalesce(sum(used.issued_fen), 0)::bigint AS group_issued_fen,
    (SELECT coalesce(sum(fen), 0) FROM spent)::bigint AS spent_fen,
    EXISTS (SELECT FROM partners WHERE kind = 'provider') AS is_with_provider
FROM unnest($1::bigint[]) AS wanted (programme_id)
LEFT JOIN programme_year_use AS used
    ON used.programme_id = wanted.programme_id AND used.year = $3
    AND (used.participant_id = $2 OR used.participant_id IN (SELECT id FROM partners))
GROUP BY wanted.programme_id;

-- name: insert_voucher
-- Stores a voucher and counts it against the budget and the year's cap, each guarded by its CHECK.
WITH counted AS (
    UPDATE programme
    SET issued_fen = issued_fen + $5,
        status = CASE WHEN issued_fen + $5 = budget_fen THEN 'exhausted' ELSE status END
    WHERE id = $2
), used AS (
    INSERT INTO programme_year_use (programme_id, participant_id, year, issued_fen, cap_fen)
    VALUES ($2, $4, $10, $5, $11)
    ON CONFLICT (programme_id, participant_id, year) DO UPDATE
    SET issued_fen = programme_year_use.issued_fen + EXCLUDED.issued_fen, cap_fen = EXCLUDED.cap_fen
)
INSERT INTO voucher (
    id, programme_id, programme_version, buyer_id, face_fen, status, account_id, escrow_account_id,
    issued_at, expires_at)
VALUES ($1, $2, $3, $4, $5, 'active', $6, $7, $8, $9);

-- name: usable_vouchers
-- Every voucher of some buyers, its account locked in order of account ids; version_last tells whether the rules that
-- the reader has in memory are all there are.
SELECT voucher.id, voucher.programme_id, voucher.buyer_id, voucher.status, voucher.expires_at, voucher.account_id,
    voucher.escrow_account_id, programme.version_last,
    account.credits_posted_fen - account.debits_posted_fen - account.debits_pending_fen AS available_fen
FROM voucher
JOIN programme ON programme.id = voucher.programme_id
JOIN ledger_account AS account ON account.id = voucher.account_id
WHERE voucher.buyer_id = ANY ($1::bigint[])
ORDER BY account.id
FOR NO KEY UPDATE OF account;

-- name: vouchers_of_buyer
-- Every voucher of a buyer as an order would meet it, nothing locked.
SELECT voucher.id, voucher.programme_id, voucher.buyer_id, voucher.status, voucher.expires_at, voucher.account_id,
    voucher.escrow_account_id, programme.version_last,
    account.credits_posted_fen - account.debits_posted_fen - account.debits_pending_fen AS available_fen
FROM voucher
JOIN programme ON programme.id = voucher.programme_id
JOIN ledger_account AS account ON account.id = voucher.account_id
WHERE voucher.buyer_id = $1
ORDER BY account.id;

-- name: page_of_vouchers
-- Vouchers issued before one, newest first, with balances; null restricts nothing.
SELECT voucher.*, programme.code AS programme_code, programme.issuer_id,
    account.credits_posted_fen - account.debits_posted_fen - account.debits_pending_fen AS available_fen,
    account.debits_pending_fen AS held_fen,
    escrow.credits_posted_fen - escrow.debits_posted_fen AS committed_fen,
    captures.captured_fen, captures.claimed_fen, captures.paid_fen, captures.reduced_fen, captures.recovered_fen,
    returns.expired_fen, returns.revoked_fen
FROM voucher
JOIN programme ON programme.id = voucher.programme_id
JOIN ledger_account AS account ON account.id = voucher.account_id
JOIN ledger_account AS escrow ON escrow.id = voucher.escrow_account_id
CROSS JOIN LATERAL (
    SELECT
        coalesce(sum(left_fen) FILTER (WHERE claim.id IS NULL OR claim.status = 'open'), 0)::bigint AS captured_fen,
        coalesce(sum(left_fen) FILTER (WHERE claim.status IN (
            'submitted', 'in_audit', 'queried', 'approved', 'reduced')), 0)::bigint AS claimed_fen,
        coalesce(sum(left_fen) FILTER (WHERE claim.status IN (
            'paid', 'closed', 'clawback_open', 'recovered', 'written_off')), 0)::bigint AS paid_fen,
        coalesce(sum(reduced_fen), 0)::bigint AS reduced_fen,
        coalesce(sum(recovered_fen), 0)::bigint AS recovered_fen
    FROM voucher_capture
    CROSS JOIN LATERAL (SELECT amount_fen - reduced_fen - recovered_fen AS left_fen) AS line
    LEFT JOIN claim ON claim.id = voucher_capture.claim_id
    WHERE voucher_capture.voucher_id = voucher.id
) AS captures
CROSS JOIN LATERAL (
    SELECT
        coalesce(sum(amount_fen) FILTER (WHERE reason = 'voucher_expiry'), 0)::bigint AS expired_fen,
        coalesce(sum(amount_fen) FILTER (WHERE reason = 'voucher_revocation'), 0)::bigint AS revoked_fen
    FROM ledger_transfer
    WHERE debit_account_id = voucher.account_id AND kind = 'posted'
        AND reason IN ('voucher_expiry', 'voucher_revocation')
) AS returns
WHERE voucher.id < $1
    AND ($2::bigint IS NULL OR voucher.buyer_id = $2)
    AND ($3::bigint IS NULL OR programme.issuer_id = $3)
    AND ($4::bigint IS NULL OR voucher.programme_id = $4)
    AND ($5::bigint IS NULL OR voucher.id = $5)
ORDER BY voucher.id DESC
LIMIT $6;

-- name: lock_due_vouchers
-- Vouchers past their expiry that still count as current, and those past it or revoked that have money free, accounts
-- locked in order of ids.
SELECT voucher.id, voucher.programme_id, voucher.buyer_id, voucher.status, voucher.step_count, voucher.expires_at,
    voucher.account_id, programme.asset, budget.id AS budget_account_id,
    account.credits_posted_fen - account.debits_posted_fen - account.debits_pending_fen AS available_fen
FROM voucher
JOIN programme ON programme.id = voucher.programme_id
JOIN ledger_account AS budget
    ON budget.participant_id = programme.issuer_id AND budget.asset = programme.asset
    AND budget.purpose = 'budget' AND budget.reference = 0
JOIN ledger_account AS account ON account.id = voucher.account_id
WHERE (voucher.expires_at <= $1 OR voucher.status = 'revoked')
    AND (voucher.status IN ('active', 'suspended')
        OR account.credits_posted_fen > account.debits_posted_fen + account.debits_pending_fen)
ORDER BY account.id
FOR NO KEY UPDATE OF account, voucher;

-- name: lock_voucher
-- One voucher of an issuer's programme with its account, both locked.
SELECT voucher.id, voucher.programme_id, voucher.buyer_id, voucher.status, voucher.step_count, voucher.expires_at,
    voucher.account_id, programme.asset, budget.id AS budget_account_id,
    account.credits_posted_fen - account.debits_posted_fen - account.debits_pending_fen AS available_fen
FROM voucher
JOIN programme ON programme.id = voucher.programme_id
JOIN ledger_account AS budget
    ON budget.participant_id = programme.issuer_id AND budget.asset = programme.asset
    AND budget.purpose = 'budget' AND budget.reference = 0
JOIN ledger_account AS account ON account.id = voucher.account_id
WHERE voucher.id = $1 AND programme.issuer_id = $2
FOR NO KEY UPDATE OF account, voucher;

-- name: insert_steps
-- Steps of some vouchers, one of each; the vouchers follow in a statement of their own, which the database compares.
INSERT INTO voucher_step (
    voucher_id, number, from_status, to_status, actor_role, actor_id, returned_fen, reason, stepped_at)
SELECT step.*, $9
FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::text[])
    AS step;

-- name: follow_steps
-- Brings vouchers to where their last steps lead.
UPDATE voucher SET status = step.to_status, step_count = step.number
FROM unnest($1::bigint[], $2::integer[], $3::text[]) AS step (voucher_id, number, to_status)
WHERE voucher.id = step.voucher_id;

-- name: steps_of_voucher
-- The history of a voucher after a step, in order.
SELECT voucher_id, number, from_status, to_status, actor_role, actor_id, returned_fen, reason, stepped_at
FROM voucher_step
WHERE voucher_id = $1 AND number > $2
ORDER BY number
LIMIT $3;

-- name: insert_captures
-- Stores the voucher parts of delivered hours.
INSERT INTO voucher_capture (
    lease_id, delivery_hour, voucher_id, programme_id, programme_version, provider_id, claimant_id, amount_fen, captured_at)
SELECT added.*, $9
FROM unnest(
    $1::bigint[], $2::integer[], $3::bigint[], $4::bigint[], $5::integer[], $6::bigint[], $7::bigint[], $8::bigint[]) AS added;
