-- name: insert_transfers
-- Insert transfers, in the order sent; a trigger moves the balances they touch.
INSERT INTO ledger_transfer (
    group_id, kind, reason, asset, debit_account_id, credit_account_id, amount_fen, subject_id, delivery_hour,
    created_at)
SELECT
    sent.group_id, sent.kind, sent.reason, sent.asset, sent.debit_account_id, sent.credit_account_id,
    sent.amount_fen, sent.subject_id, sent.delivery_hour, $2::TIMESTAMPTZ
FROM ROWS FROM (json_to_recordset($1::JSON) AS (
    group_id BIGINT, kind TEXT, reason TEXT, asset TEXT, debit_account_id BIGINT, credit_account_id BIGINT,
    amount_fen BIGINT, subject_id BIGINT, delivery_hour INTEGER)) WITH ORDINALITY AS sent (
        group_id, kind, reason, asset, debit_account_id, credit_account_id, amount_fen, subject_id, delivery_hour,
        position)
ORDER BY sent.position;

-- name: lock_available
-- Lock accounts in the order of their ids and read what each can still use.
SELECT id, credits_posted_fen - debits_posted_fen - debits_pending_fen AS available_fen
FROM ledger_account
WHERE id = ANY ($1::BIGINT[])
ORDER BY id
FOR NO KEY UPDATE;

-- name: free_cash
-- What a participant can use of its cash now; no row where it never had any.
SELECT credits_posted_fen - debits_posted_fen - debits_pending_fen AS available_fen
FROM ledger_account
WHERE participant_id = $1 AND asset = 'CNY' AND purpose = 'cash';

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

-- name: accounts_after
-- A page of one participant's accounts in the order of their ids.
SELECT
    id, asset, purpose, reference,
    debits_pending_fen, debits_posted_fen, credits_pending_fen, credits_posted_fen
FROM ledger_account
WHERE participant_id = $1 AND id > $2
ORDER BY id
LIMIT $3;

-- name: statement_before
-- A page of one participant's transfers, newest first. Each account gives at most a page from each of its two
-- indexes, so the cost does not grow with the table (with a rare reason it grows with the account's own transfers).
WITH own AS (
    SELECT id, purpose
    FROM ledger_account
    WHERE participant_id = $1 AND ($2::BIGINT IS NULL OR id = $2) AND ($3::TEXT IS NULL OR asset = $3)
), line AS (
    SELECT DISTINCT found.id
    FROM own
    CROSS JOIN LATERAL (
        (
            SELECT transfer.id
            FROM ledger_transfer AS transfer
            WHERE transfer.debit_account_id = own.id AND transfer.id < $5::BIGINT
                AND ($4::TEXT IS NULL OR transfer.reason = $4)
            ORDER BY transfer.id DESC
            LIMIT $6::BIGINT
        ) UNION ALL (
            SELECT transfer.id
            FROM ledger_transfer AS transfer
            WHERE transfer.credit_account_id = own.id AND transfer.id < $5::BIGINT
                AND ($4::TEXT IS NULL OR transfer.reason = $4)
            ORDER BY transfer.id DESC
            LIMIT $6::BIGINT
        )
    ) AS found
    ORDER BY found.id DESC
    LIMIT $6::BIGINT
)
SELECT
    transfer.id, transfer.kind, transfer.reason, transfer.asset, transfer.amount_fen, transfer.subject_id,
    transfer.delivery_hour, transfer.created_at,
    debit.id AS debit_account_id, debit.purpose AS debit_purpose,
    credit.id AS credit_account_id, credit.purpose AS credit_purpose
FROM line
JOIN ledger_transfer AS transfer ON transfer.id = line.id
LEFT JOIN ledger_account AS debit ON debit.id = transfer.debit_account_id AND debit.participant_id = $1
LEFT JOIN ledger_account AS credit ON credit.id = transfer.credit_account_id AND credit.participant_id = $1
ORDER BY transfer.id DESC;

-- name: last_transfer_of
-- The newest transfer that moved money into or out of an account, which the caller has locked.
SELECT greatest(
    (SELECT max(id) FROM ledger_transfer WHERE debit_account_id = $1),
    (SELECT max(id) FROM ledger_transfer WHERE credit_account_id = $1));

-- name: transfer_span
-- The first and the last id of a transfer; none of both where there is no transfer.
SELECT min(id) AS first_id, max(id) AS last_id FROM ledger_transfer;

-- name: account_marks
-- Every so many accounts in the order of their ids, the id of one.
SELECT numbered.id
FROM (SELECT id, row_number() OVER (ORDER BY id) AS number FROM ledger_account) AS numbered
WHERE numbered.number % $1::BIGINT = 0
ORDER BY numbered.id;

-- name: fold_transfers
-- What the transfers from $1 to $2 add up to for accounts after $3 up to $4, by account and the transfers' asset.
SELECT
    leg.account_id, leg.asset,
    sum(CASE leg.kind WHEN 'posted' THEN 0 WHEN 'pending' THEN leg.debit_fen ELSE -leg.debit_fen END)::BIGINT
        AS debits_pending_fen,
    sum(CASE WHEN leg.kind IN ('posted', 'post_pending') THEN leg.debit_fen ELSE 0 END)::BIGINT AS debits_posted_fen,
    sum(CASE leg.kind WHEN 'posted' THEN 0 WHEN 'pending' THEN leg.credit_fen ELSE -leg.credit_fen END)::BIGINT
        AS credits_pending_fen,
    sum(CASE WHEN leg.kind IN ('posted', 'post_pending') THEN leg.credit_fen ELSE 0 END)::BIGINT AS credits_posted_fen
FROM (
    SELECT debit_account_id AS account_id, asset, kind, amount_fen AS debit_fen, 0::BIGINT AS credit_fen
    FROM ledger_transfer
    WHERE id BETWEEN $1 AND $2 AND debit_account_id > $3 AND debit_account_id <= $4
    UNION ALL
    SELECT credit_account_id, asset, kind, 0, amount_fen
    FROM ledger_transfer
    WHERE id BETWEEN $1 AND $2 AND credit_account_id > $3 AND credit_account_id <= $4
) AS leg
GROUP BY leg.account_id, leg.asset;

-- name: stored_sums
-- The sums of the accounts after $1 up to $2.
SELECT id, asset, debits_pending_fen, debits_posted_fen, credits_pending_fen, credits_posted_fen
FROM ledger_account
WHERE id > $1 AND id <= $2
ORDER BY id;

-- name: asset_differences
-- Assets in which what was debited is not what was credited.
SELECT
    asset,
    sum(credits_posted_fen)::BIGINT AS credits_posted_fen, sum(debits_posted_fen)::BIGINT AS debits_posted_fen,
    sum(credits_pending_fen)::BIGINT AS credits_pending_fen, sum(debits_pending_fen)::BIGINT AS debits_pending_fen
FROM ledger_account
GROUP BY asset
HAVING sum(credits_posted_fen) <> sum(debits_posted_fen) OR sum(credits_pending_fen) <> sum(debits_pending_fen)
ORDER BY asset;

-- name: overdrawn_accounts
-- Accounts that may not be overdrawn and are.
SELECT id AS account_id, credits_posted_fen - debits_posted_fen - debits_pending_fen AS available_fen
FROM ledger_account
WHERE NOT allows_overdraft AND debits_pending_fen + debits_posted_fen > credits_posted_fen
ORDER BY id;

-- name: hold_differences
-- Accounts in which what is set aside is not what the holds of orders have open.
WITH open_hold AS (
    SELECT source_account_id, escrow_account_id, placed_fen - committed_fen - released_fen AS open_fen
    FROM order_hold
    WHERE placed_fen <> committed_fen + released_fen
), expected AS (
    SELECT side.account_id, sum(side.debit_fen)::BIGINT AS debit_fen, sum(side.credit_fen)::BIGINT AS credit_fen
    FROM open_hold
    CROSS JOIN LATERAL (VALUES
        (open_hold.source_account_id, open_hold.open_fen, 0),
        (open_hold.escrow_account_id, 0, open_hold.open_fen)) AS side (account_id, debit_fen, credit_fen)
    GROUP BY side.account_id
)
SELECT
    account.id AS account_id,
    account.debits_pending_fen, coalesce(expected.debit_fen, 0) AS held_from_fen,
    account.credits_pending_fen, coalesce(expected.credit_fen, 0) AS held_for_fen
FROM ledger_account AS account
LEFT JOIN expected ON expected.account_id = account.id
WHERE account.debits_pending_fen <> coalesce(expected.debit_fen, 0)
    OR account.credits_pending_fen <> coalesce(expected.credit_fen, 0)
ORDER BY account.id;

-- name: closed_order_holds
-- Orders that are over and still hold something.
SELECT hold.order_id, sum(hold.placed_fen - hold.committed_fen - hold.released_fen)::BIGINT AS open_fen
FROM order_hold AS hold
JOIN orders ON orders.id = hold.order_id
WHERE hold.placed_fen <> hold.committed_fen + hold.released_fen
    AND orders.status NOT IN ('accepted', 'resting', 'partially_filled')
GROUP BY hold.order_id
ORDER BY hold.order_id;

-- name: escrow_differences
-- Escrow accounts, of cash and of vouchers, that do not have what leases still have to pay out of them.
WITH leased AS (
    SELECT escrow_account_id AS account_id, sum(committed_fen - captured_fen - returned_fen)::BIGINT AS open_fen
    FROM lease_funding
    WHERE committed_fen <> captured_fen + returned_fen
    GROUP BY escrow_account_id
)
SELECT
    account.id AS account_id, account.credits_posted_fen - account.debits_posted_fen AS escrow_fen,
    coalesce(leased.open_fen, 0) AS leased_fen
FROM ledger_account AS account
LEFT JOIN leased ON leased.account_id = account.id
WHERE account.purpose IN ('escrow', 'voucher_escrow')
    AND account.credits_posted_fen - account.debits_posted_fen <> coalesce(leased.open_fen, 0)
ORDER BY account.id;

-- name: commitment_differences
-- Holds, by order and voucher (0: cash), whose committed part is not what the leases of the order's trades were given.
WITH leased AS (
    SELECT trade.bid_order_id AS order_id, funding.voucher_id, sum(funding.committed_fen)::BIGINT AS leased_fen
    FROM lease_funding AS funding
    JOIN trade ON trade.id = funding.lease_id
    GROUP BY trade.bid_order_id, funding.voucher_id
)
SELECT
    order_id, voucher_id, coalesce(hold.committed_fen, 0) AS committed_fen, coalesce(leased.leased_fen, 0) AS leased_fen
FROM order_hold AS hold
FULL JOIN leased USING (order_id, voucher_id)
WHERE coalesce(hold.committed_fen, 0) <> coalesce(leased.leased_fen, 0)
ORDER BY order_id, voucher_id;

-- name: trade_differences
-- Trades whose price, or what vouchers pay of it or reimburse, is not what their leases were given.
SELECT
    trade.id AS trade_id, trade.notional_fen, coalesce(funded.whole_fen, 0) AS funded_fen,
    trade.voucher_fen, coalesce(funded.voucher_fen, 0) AS voucher_funded_fen,
    trade.reimbursable_fen, coalesce(funded.reimbursed_fen, 0) AS reimbursed_funded_fen
FROM trade
LEFT JOIN (
    SELECT
        lease_id, coalesce(sum(committed_fen) FILTER (WHERE NOT reimbursed), 0)::BIGINT AS whole_fen,
        coalesce(sum(committed_fen) FILTER (WHERE voucher_id <> 0 AND NOT reimbursed), 0)::BIGINT AS voucher_fen,
        coalesce(sum(committed_fen) FILTER (WHERE reimbursed), 0)::BIGINT AS reimbursed_fen
    FROM lease_funding
    GROUP BY lease_id
) AS funded ON funded.lease_id = trade.id
WHERE (trade.notional_fen, trade.voucher_fen, trade.reimbursable_fen)
    IS DISTINCT FROM (
        coalesce(funded.whole_fen, 0), coalesce(funded.voucher_fen, 0), coalesce(funded.reimbursed_fen, 0))
ORDER BY trade.id;

-- name: use_differences
-- Yearly uses of programmes, by company or trade group, that are not what the year's orders took of their vouchers.
WITH hold AS (
    SELECT hold.order_id, hold.voucher_id, hold.cap_year, hold.placed_fen - hold.released_fen AS taken_fen
    FROM order_hold AS hold
    WHERE hold.cap_year IS NOT NULL
), given_back AS (
    SELECT trade.bid_order_id AS order_id, funding.voucher_id, sum(funding.returned_fen)::BIGINT AS returned_fen
    FROM lease_funding AS funding
    JOIN trade ON trade.id = funding.lease_id
    WHERE funding.voucher_id <> 0 AND funding.returned_fen > 0
    GROUP BY trade.bid_order_id, funding.voucher_id
), taken AS (
    SELECT voucher.programme_id, subject.id AS subject_id, hold.cap_year AS year,
        sum(hold.taken_fen - coalesce(given_back.returned_fen, 0))::BIGINT AS taken_fen
    FROM hold
    LEFT JOIN given_back USING (order_id, voucher_id)
    JOIN voucher ON voucher.id = hold.voucher_id
    JOIN participant AS buyer ON buyer.id = voucher.buyer_id
    CROSS JOIN LATERAL (VALUES (buyer.id), (buyer.trade_group_id)) AS subject (id)
    WHERE subject.id IS NOT NULL
    GROUP BY voucher.programme_id, subject.id, hold.cap_year
)
SELECT
    programme_id, subject_id, year, coalesce(use.used_fen, 0) AS used_fen, coalesce(taken.taken_fen, 0) AS taken_fen
FROM programme_use AS use
FULL JOIN taken USING (programme_id, subject_id, year)
WHERE coalesce(use.used_fen, 0) <> coalesce(taken.taken_fen, 0)
ORDER BY programme_id, subject_id, year;

-- name: capture_differences
-- Leases and vouchers whose captured hours do not come to what the lease's money counts as captured of the voucher.
WITH captured AS (
    SELECT lease_id, voucher_id, sum(amount_fen)::BIGINT AS captures_fen
    FROM voucher_capture
    GROUP BY lease_id, voucher_id
), funded AS (
    SELECT lease_id, voucher_id, captured_fen
    FROM lease_funding
    WHERE voucher_id <> 0
)
SELECT
    lease_id, voucher_id, coalesce(funded.captured_fen, 0) AS captured_fen,
    coalesce(captured.captures_fen, 0) AS captures_fen
FROM funded
FULL JOIN captured USING (lease_id, voucher_id)
WHERE coalesce(funded.captured_fen, 0) <> coalesce(captured.captures_fen, 0)
ORDER BY lease_id, voucher_id;

-- name: voucher_differences
-- Vouchers whose account is not the face, less what leases took and kept of it, less what went back to the issuer.
WITH leased AS (
    SELECT voucher_id, sum(committed_fen - returned_fen)::BIGINT AS taken_fen
    FROM lease_funding
    WHERE voucher_id <> 0
    GROUP BY voucher_id
), returned AS (
    SELECT debit_account_id AS account_id, sum(amount_fen)::BIGINT AS amount_fen
    FROM ledger_transfer
    WHERE kind = 'posted' AND reason IN ('voucher_expiry', 'voucher_revocation')
    GROUP BY debit_account_id
), expected AS (
    SELECT
        voucher.id AS voucher_id, coalesce(account.credits_posted_fen - account.debits_posted_fen, 0) AS balance_fen,
        voucher.face_fen - coalesce(leased.taken_fen, 0) - coalesce(returned.amount_fen, 0) AS left_fen
    FROM voucher
    LEFT JOIN ledger_account AS account
        ON account.id = voucher.account_id AND account.purpose = 'voucher' AND account.reference = voucher.id
        AND account.participant_id = voucher.buyer_id
    LEFT JOIN leased ON leased.voucher_id = voucher.id
    LEFT JOIN returned ON returned.account_id = voucher.account_id
)
SELECT voucher_id, balance_fen, left_fen
FROM expected
WHERE balance_fen <> left_fen
ORDER BY voucher_id;

-- name: receivable_differences
-- Claimants whose receivable of a programme is not what was captured for them of its vouchers and not submitted.
WITH receivable AS (
    SELECT participant_id, asset, credits_posted_fen - debits_posted_fen AS balance_fen
    FROM ledger_account
    WHERE purpose = 'receivable'
), captured AS (
    SELECT capture.claimant_id AS participant_id, programme.asset, sum(capture.amount_fen)::BIGINT AS captured_fen
    FROM voucher_capture AS capture
    JOIN programme ON programme.id = capture.programme_id
    LEFT JOIN claim ON claim.id = capture.claim_id
    WHERE claim.id IS NULL OR claim.status = 'open'
    GROUP BY capture.claimant_id, programme.asset
)
SELECT
    participant_id, asset, coalesce(receivable.balance_fen, 0) AS balance_fen,
    coalesce(captured.captured_fen, 0) AS captured_fen
FROM receivable
FULL JOIN captured USING (participant_id, asset)
WHERE coalesce(receivable.balance_fen, 0) <> coalesce(captured.captured_fen, 0)
ORDER BY participant_id, asset;

-- name: claimed_differences
-- Claimants whose claimed money of a programme is not what their undecided and unpaid claims come to.
WITH claimed AS (
    SELECT participant_id, asset, credits_posted_fen - debits_posted_fen AS balance_fen
    FROM ledger_account
    WHERE purpose = 'claimed'
), open_claim AS (
    SELECT claim.claimant_id AS participant_id, programme.asset, sum(coalesce(claim.approved_fen, claim.amount_fen))::BIGINT AS claims_fen
    FROM claim
    JOIN programme ON programme.id = claim.programme_id
    WHERE claim.status IN ('submitted', 'in_audit', 'queried', 'approved', 'reduced')
    GROUP BY claim.claimant_id, programme.asset
)
SELECT
    participant_id, asset, coalesce(claimed.balance_fen, 0) AS balance_fen,
    coalesce(open_claim.claims_fen, 0) AS claims_fen
FROM claimed
FULL JOIN open_claim USING (participant_id, asset)
WHERE coalesce(claimed.balance_fen, 0) <> coalesce(open_claim.claims_fen, 0)
ORDER BY participant_id, asset;

-- name: issued_differences
-- Programmes that count as issued something else than the faces of their vouchers.
WITH issued AS (
    SELECT programme_id, sum(face_fen)::BIGINT AS faces_fen
    FROM voucher
    GROUP BY programme_id
)
SELECT programme.id AS programme_id, programme.issued_fen, coalesce(issued.faces_fen, 0) AS faces_fen
FROM programme
LEFT JOIN issued ON issued.programme_id = programme.id
WHERE programme.issued_fen <> coalesce(issued.faces_fen, 0)
ORDER BY programme.id;

-- name: budget_differences
-- Programmes whose budget account is not the budget less what was issued, plus what came back of vouchers. A draft has
-- booked none, and closing has taken out what was not issued.
WITH remaining AS (
    SELECT
        programme.id AS programme_id,
        coalesce(account.credits_posted_fen - account.debits_posted_fen, 0) AS balance_fen,
        CASE WHEN programme.status = 'draft' THEN 0 ELSE programme.budget_fen END
            - coalesce(closing.returned_fen, 0) - programme.issued_fen + coalesce(returned.amount_fen, 0) AS left_fen
    FROM programme
    LEFT JOIN programme_step AS closing ON closing.programme_id = programme.id AND closing.to_status = 'closed'
    LEFT JOIN ledger_account AS account
        ON account.participant_id = programme.issuer_id AND account.asset = programme.asset
        AND account.purpose = 'budget' AND account.reference = 0
    CROSS JOIN LATERAL (
        SELECT sum(transfer.amount_fen)::BIGINT AS amount_fen
        FROM ledger_transfer AS transfer
        WHERE transfer.credit_account_id = account.id AND transfer.reason IN (
            'voucher_expiry', 'voucher_revocation', 'claim_reduction', 'clawback_return')
    ) AS returned
)
SELECT programme_id, balance_fen, left_fen
FROM remaining
WHERE balance_fen <> left_fen
ORDER BY programme_id;

-- name: income_by_hour
-- What delivered hours ($2 to before $3) brought a participant: cash, and what it may claim.
SELECT transfer.delivery_hour,
    coalesce(sum(transfer.amount_fen) FILTER (WHERE account.purpose = 'cash'), 0)::BIGINT AS cash_fen,
    coalesce(sum(transfer.amount_fen) FILTER (WHERE account.purpose = 'receivable'), 0)::BIGINT AS receivable_fen
FROM ledger_account AS account
JOIN ledger_transfer AS transfer ON transfer.credit_account_id = account.id AND transfer.reason = 'delivery'
    AND transfer.delivery_hour >= $2 AND transfer.delivery_hour < $3
WHERE account.participant_id = $1 AND account.purpose IN ('cash', 'receivable')
GROUP BY transfer.delivery_hour
ORDER BY transfer.delivery_hour;
