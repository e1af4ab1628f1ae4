-- name: insert_transfers
-- Insert transfers and move the balances they touch. The accounts are locked in the order of their ids first, so that
-- two callers never wait for each other; the balances are summed from the inserted rows, never sent.
WITH locked AS (
    SELECT id
    FROM ledger_account
    WHERE id = ANY ($5::BIGINT[] || $6::BIGINT[])
    ORDER BY id
    FOR NO KEY UPDATE
), added AS (
    INSERT INTO ledger_transfer (
        group_id, kind, reason, asset, debit_account_id, credit_account_id, amount_fen, subject_id, delivery_hour,
        created_at)
    SELECT
        sent.group_id, sent.kind, sent.reason, sent.asset, sent.debit_account_id, sent.credit_account_id,
        sent.amount_fen, sent.subject_id, sent.delivery_hour, $10::TIMESTAMPTZ
    FROM unnest(
        $1::BIGINT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::BIGINT[], $6::BIGINT[], $7::BIGINT[], $8::BIGINT[],
        $9::INTEGER[]) WITH ORDINALITY AS sent (
            group_id, kind, reason, asset, debit_account_id, credit_account_id, amount_fen, subject_id, delivery_hour,
            position)
    ORDER BY sent.position
    RETURNING kind, debit_account_id, credit_account_id, amount_fen
), leg AS (
    SELECT debit_account_id AS account_id, kind, amount_fen AS debit_fen, 0::BIGINT AS credit_fen FROM added
    UNION ALL
    SELECT credit_account_id, kind, 0, amount_fen FROM added
), change AS (
    SELECT
        leg.account_id,
        sum(leg.debit_fen * effect.pending)::BIGINT AS debits_pending_fen,
        sum(leg.debit_fen * effect.posted)::BIGINT AS debits_posted_fen,
        sum(leg.credit_fen * effect.pending)::BIGINT AS credits_pending_fen,
        sum(leg.credit_fen * effect.posted)::BIGINT AS credits_posted_fen
    FROM leg
    JOIN (VALUES ('posted', 0, 1), ('pending', 1, 0), ('post_pending', -1, 1), ('void_pending', -1, 0))
        AS effect (kind, pending, posted) ON effect.kind = leg.kind
    GROUP BY leg.account_id
)
UPDATE ledger_account AS account SET
    debits_pending_fen = account.debits_pending_fen + change.debits_pending_fen,
    debits_posted_fen = account.debits_posted_fen + change.debits_posted_fen,
    credits_pending_fen = account.credits_pending_fen + change.credits_pending_fen,
    credits_posted_fen = account.credits_posted_fen + change.credits_posted_fen
FROM locked
JOIN change ON change.account_id = locked.id
WHERE account.id = locked.id;

-- name: lock_available
-- Lock accounts in the order of their ids and read what each can still use.
SELECT id, credits_posted_fen - debits_posted_fen - debits_pending_fen AS available_fen
FROM ledger_account
WHERE id = ANY ($1::BIGINT[])
ORDER BY id
FOR NO KEY UPDATE;

-- name: cash_accounts
-- The CNY accounts of participants. settled: not of this transaction, so the ids may be remembered beyond it.
SELECT id, participant_id, purpose, age(xmin) > 0 AS settled
FROM ledger_account
WHERE participant_id = ANY ($1::BIGINT[]) AND asset = 'CNY' AND purpose IN ('cash', 'escrow') AND reference = 0;

-- name: exchange_accounts
-- The exchange's own two accounts.
SELECT id, purpose
FROM ledger_account
WHERE participant_id = $1 AND asset = 'CNY' AND purpose IN ('fees', 'external') AND reference = 0;

-- name: insert_accounts
-- Open accounts that are not open yet, in an order that no two callers can cross.
INSERT INTO ledger_account (participant_id, asset, purpose, reference, allows_overdraft, created_at)
SELECT sent.participant_id, sent.asset, sent.purpose, sent.reference, $5::BOOLEAN, $6::TIMESTAMPTZ
FROM unnest($1::BIGINT[], $2::TEXT[], $3::TEXT[], $4::BIGINT[]) AS sent (participant_id, asset, purpose, reference)
ORDER BY sent.participant_id, sent.asset, sent.purpose, sent.reference
ON CONFLICT (participant_id, asset, purpose, reference) DO NOTHING;

-- name: accounts_by_key
-- The accounts with these keys that are open.
SELECT account.id, account.participant_id, account.asset, account.purpose, account.reference
FROM unnest($1::BIGINT[], $2::TEXT[], $3::TEXT[], $4::BIGINT[]) AS sent (participant_id, asset, purpose, reference)
JOIN ledger_account AS account USING (participant_id, asset, purpose, reference);

-- name: insert_asset
-- A new asset, which voucher programmes bring.
INSERT INTO asset (code, created_at) VALUES ($1, $2);
