-- name: standings
-- How some companies stand under some programmes in a year that begins and ends at two times. What they spent reads all
-- their trades of the year, and is told only where it is asked for.
WITH company AS (
    SELECT id, trade_group_id FROM participant WHERE id = ANY ($2::bigint[])
), member AS (
    -- Whose issues count for a company's group: its own, and its partners'.
    SELECT company.id AS company_id, company.id, FALSE AS is_provider FROM company
    UNION ALL
    SELECT company.id, partner.id, partner.kind = 'provider'
    FROM company
    JOIN participant AS partner ON partner.trade_group_id = company.trade_group_id AND partner.id <> company.id
), spent AS (
    -- What was delivered of the year's trades and settled, by whatever paid for it: a trade may yet fail.
    SELECT trade.buyer_id AS company_id, sum(funding.captured_fen) AS fen
    FROM trade
    JOIN lease_funding AS funding ON funding.lease_id = trade.id AND NOT funding.reimbursed
    WHERE $6::boolean AND trade.buyer_id = ANY ($2) AND trade.traded_at >= $4 AND trade.traded_at < $5
    GROUP BY trade.buyer_id
)
SELECT wanted.programme_id, member.company_id,
    coalesce(sum(used.issued_fen) FILTER (WHERE member.id = member.company_id), 0)::bigint AS issued_fen,
    coalesce(sum(used.issued_fen), 0)::bigint AS group_issued_fen,
    coalesce((SELECT fen FROM spent WHERE spent.company_id = member.company_id), 0)::bigint AS spent_fen,
    bool_or(member.is_provider) AS is_with_provider
FROM unnest($1::bigint[]) AS wanted (programme_id)
CROSS JOIN member
LEFT JOIN programme_year_use AS used
    ON used.programme_id = wanted.programme_id AND used.year = $3 AND used.participant_id = member.id
GROUP BY wanted.programme_id, member.company_id;

-- name: insert_vouchers
-- Stores vouchers of one programme and counts them against its budget and the year's caps, each guarded by its CHECK. The
-- one that exhausts the budget needs the step that says so stored before.
WITH issued AS (
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
        AS issued (id, buyer_id, face_fen, account_id, escrow_account_id)
), counted AS (
    UPDATE programme
    SET issued_fen = issued_fen + total.fen,
        status = CASE WHEN issued_fen + total.fen = budget_fen THEN 'exhausted' ELSE status END,
        step_count = CASE WHEN issued_fen + total.fen = budget_fen THEN step_count + 1 ELSE step_count END
    FROM (SELECT sum(face_fen)::bigint AS fen FROM issued) AS total
    WHERE id = $6
), used AS (
    INSERT INTO programme_year_use (programme_id, participant_id, year, issued_fen, cap_fen)
    SELECT $6, buyer_id, $10, sum(face_fen), $11 FROM issued GROUP BY buyer_id ORDER BY buyer_id
    ON CONFLICT (programme_id, participant_id, year) DO UPDATE
    SET issued_fen = programme_year_use.issued_fen + EXCLUDED.issued_fen, cap_fen = EXCLUDED.cap_fen
)
INSERT INTO voucher (
    id, programme_id, programme_version, buyer_id, face_fen, status, account_id, escrow_account_id,
    issued_at, expires_at)
SELECT id, $6, $7, buyer_id, face_fen, 'active', account_id, escrow_account_id, $8, $9 FROM issued;

-- name: lock_wallets
-- The vouchers of some buyers that can still pay, and those named, accounts locked in order of ids; version_last tells
-- whether the rules that the reader has in memory are all there are. What is held counts as what can still pay: an
-- earlier order of the same batch may give it free.
SELECT voucher.id, voucher.programme_id, voucher.buyer_id, voucher.status,
    (extract(epoch FROM voucher.expires_at) * 1000000)::bigint AS expires_at_us, voucher.account_id,
    voucher.escrow_account_id, programme.version_last, coalesce(buyer.trade_group_id, buyer.id) AS group_subject_id,
    account.credits_posted_fen - account.debits_posted_fen - account.debits_pending_fen AS available_fen
FROM voucher
JOIN programme ON programme.id = voucher.programme_id
JOIN participant AS buyer ON buyer.id = voucher.buyer_id
JOIN ledger_account AS account ON account.id = voucher.account_id
WHERE voucher.buyer_id = ANY ($1::bigint[])
    AND (voucher.status IN ('active', 'suspended') OR voucher.id = ANY ($2::bigint[]))
    AND (account.credits_posted_fen > account.debits_posted_fen OR voucher.id = ANY ($2::bigint[]))
ORDER BY account.id
FOR NO KEY UPDATE OF account;

-- name: vouchers_of_buyer
-- Every voucher of a buyer as an order would meet it, nothing locked.
SELECT voucher.id, voucher.programme_id, voucher.buyer_id, voucher.status,
    (extract(epoch FROM voucher.expires_at) * 1000000)::bigint AS expires_at_us, voucher.account_id,
    voucher.escrow_account_id, programme.version_last, coalesce(buyer.trade_group_id, buyer.id) AS group_subject_id,
    account.credits_posted_fen - account.debits_posted_fen - account.debits_pending_fen AS available_fen
FROM voucher
JOIN programme ON programme.id = voucher.programme_id
JOIN participant AS buyer ON buyer.id = voucher.buyer_id
JOIN ledger_account AS account ON account.id = voucher.account_id
WHERE voucher.buyer_id = $1
ORDER BY account.id;

-- name: lock_uses
-- What companies and trade groups use of programmes in a year, locked in an order that no two callers can cross.
SELECT programme_id, subject_id, used_fen
FROM programme_use
WHERE programme_id = ANY ($1::bigint[]) AND subject_id = ANY ($2::bigint[]) AND year = $3
ORDER BY programme_id, subject_id
FOR NO KEY UPDATE;

-- name: uses
-- The same, nothing locked.
SELECT programme_id, subject_id, used_fen
FROM programme_use
WHERE programme_id = ANY ($1::bigint[]) AND subject_id = ANY ($2::bigint[]) AND year = $3;

-- name: page_of_vouchers
-- Vouchers issued before one, newest first, with balances; null restricts nothing.
SELECT voucher.*, buyer.name AS buyer_name, programme.code AS programme_code, programme.issuer_id,
    account.credits_posted_fen - account.debits_posted_fen - account.debits_pending_fen AS available_fen,
    account.debits_pending_fen AS held_fen,
    escrow.credits_posted_fen - escrow.debits_posted_fen AS committed_fen,
    captures.captured_fen, captures.claimed_fen, captures.paid_fen, captures.reduced_fen, captures.recovered_fen,
    returns.expired_fen, returns.revoked_fen
FROM voucher
JOIN programme ON programme.id = voucher.programme_id
JOIN participant AS buyer ON buyer.id = voucher.buyer_id
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

-- name: page_of_steps
-- Steps of vouchers before one, newest first; null restricts nothing.
SELECT step.voucher_id, step.number, step.from_status, step.to_status, step.actor_role, step.actor_id, step.returned_fen,
    step.reason, step.stepped_at
FROM voucher_step AS step
JOIN voucher ON voucher.id = step.voucher_id
JOIN programme ON programme.id = voucher.programme_id
WHERE (step.stepped_at, step.voucher_id, step.number) < ($1, $2, $3)
    AND ($4::bigint IS NULL OR voucher.buyer_id = $4)
    AND ($5::bigint IS NULL OR programme.issuer_id = $5)
ORDER BY step.stepped_at DESC, step.voucher_id DESC, step.number DESC
LIMIT $6;

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
