-- Settled orders by set-based statements, through the real tables with every trigger and constraint on. One
-- transaction: `facts` and `planned` are gone at its end. Each order makes eight transfers, each buyer two.

-- name: note_facts
-- Whom the books are about: the programme ($1), its provider ($2), the ask ($3), a time ($4), the hour ($5), a number
-- from which ids are free ($6), what each buyer has of either asset ($7).
CREATE TEMPORARY TABLE facts ON COMMIT DROP AS
SELECT
    programme.id AS programme_id, programme.asset, $2::BIGINT AS provider_id, $3::BIGINT AS ask_id,
    $4::TIMESTAMPTZ AS at, $5::INTEGER AS hour, $6::BIGINT AS first_id, $7::BIGINT AS means_fen,
    budget.id AS budget_account_id, external.id AS external_account_id, fees.id AS fees_account_id
FROM programme
JOIN ledger_account AS budget ON budget.asset = programme.asset AND budget.purpose = 'budget'
JOIN ledger_account AS external ON external.purpose = 'external'
JOIN ledger_account AS fees ON fees.purpose = 'fees'
WHERE programme.id = $1;

-- name: make_buyers
-- So many buyers.
INSERT INTO participant (id, kind, name, region, size_class, founded_on, created_at, name_key)
SELECT facts.first_id + n, 'buyer', 'buyer ' || n, 'guizhou', 'small', '2020-01-01', facts.at, 'buyer ' || n
FROM facts, generate_series(1, $1::INTEGER) AS n;

-- name: make_accounts
-- The accounts of the buyers, and the two of the provider that it is paid on.
INSERT INTO ledger_account (participant_id, asset, purpose, reference, created_at)
SELECT
    participant.id, CASE WHEN of.purpose IN ('cash', 'escrow') THEN 'CNY' ELSE facts.asset END, of.purpose,
    CASE WHEN of.purpose LIKE 'voucher%' THEN participant.id ELSE 0 END, facts.at
FROM facts, participant
JOIN (VALUES
    ('buyer', 'cash'), ('buyer', 'escrow'), ('buyer', 'voucher'), ('buyer', 'voucher_escrow'),
    ('provider', 'cash'), ('provider', 'receivable')) AS of (kind, purpose) USING (kind);

-- name: make_vouchers
-- A voucher for each buyer, which has its buyer's number.
INSERT INTO voucher (
    id, programme_id, programme_version, buyer_id, face_fen, status, account_id, escrow_account_id, issued_at,
    expires_at)
SELECT
    free.reference, facts.programme_id, 1, free.participant_id, facts.means_fen, 'active', free.id, escrow.id, facts.at,
    facts.at + INTERVAL '1 year'
FROM facts, ledger_account AS free
JOIN ledger_account AS escrow USING (participant_id, asset, reference)
WHERE free.purpose = 'voucher' AND escrow.purpose = 'voucher_escrow';

-- name: count_issued
-- What the programme has issued.
UPDATE programme SET issued_fen = (SELECT sum(face_fen) FROM voucher)
FROM facts WHERE programme.id = facts.programme_id;

-- name: give_means
-- Cash from outside and vouchers from the budget.
INSERT INTO ledger_transfer (
    group_id, kind, reason, asset, debit_account_id, credit_account_id, amount_fen, subject_id, created_at)
SELECT
    account.id, 'posted', CASE account.purpose WHEN 'cash' THEN 'deposit' ELSE 'voucher_issue' END, account.asset,
    CASE account.purpose WHEN 'cash' THEN facts.external_account_id ELSE facts.budget_account_id END, account.id,
    facts.means_fen, account.participant_id, facts.at
FROM facts, ledger_account AS account
JOIN voucher ON voucher.buyer_id = account.participant_id
WHERE account.purpose IN ('cash', 'voucher');

-- name: plan_orders
-- One row an order, of any buyer in turn: 70 fen below its limit it is filled, vouchers pay 30 %, the fee is 1 %.
CREATE TEMPORARY TABLE planned ON COMMIT DROP AS
SELECT
    n, facts.first_id + 1000000 + n AS order_id, facts.first_id + 100000000 + n AS trade_id, voucher.buyer_id,
    voucher.id AS voucher_id, cash.id AS cash_id, escrow.id AS escrow_id, voucher.account_id AS voucher_account_id,
    voucher.escrow_account_id AS voucher_escrow_id, 1000 + n % 100 AS price_fen,
    (1000 + n % 100) * 3 / 10 AS voucher_fen, (1000 + n % 100) - (1000 + n % 100) * 3 / 10 AS cash_fen
FROM facts, generate_series(1, $1::INTEGER) AS n
JOIN (SELECT *, row_number() OVER (ORDER BY id) - 1 AS number, count(*) OVER () AS count FROM voucher) AS voucher
    ON voucher.number = n % voucher.count
JOIN ledger_account AS cash ON cash.participant_id = voucher.buyer_id AND cash.purpose = 'cash'
JOIN ledger_account AS escrow ON escrow.participant_id = voucher.buyer_id AND escrow.purpose = 'escrow';

-- name: make_orders
-- The orders with their holds, trades, leases, the leases' money and what was captured of vouchers.
WITH ordered AS (
    INSERT INTO orders (
        id, partition_id, sequence, participant_id, key_id, client_order_id, fingerprint, product_id, side,
        quantity_gpus, starts_hour, ends_hour, hours, price_ticks, terms, status, filled_gpus, filled_gpu_hours,
        filled_notional_fen, created_at, updated_at)
    SELECT
        planned.order_id, 1, planned.n, planned.buyer_id, 1, 'order-' || planned.n, '', ask.product_id, 'buy', 1,
        facts.hour, facts.hour + 1, 1, planned.price_fen + 70, '{}', 'filled', 1, 1, planned.price_fen, facts.at,
        facts.at
    FROM facts JOIN orders AS ask ON ask.id = facts.ask_id, planned
), held AS (
    INSERT INTO order_hold (
        order_id, voucher_id, position, source_account_id, escrow_account_id, placed_fen, committed_fen, released_fen)
    SELECT order_id, 0, 0, cash_id, escrow_id, cash_fen + 70, cash_fen, 70 FROM planned
    UNION ALL
    SELECT order_id, voucher_id, 1, voucher_account_id, voucher_escrow_id, voucher_fen, voucher_fen, 0 FROM planned
), traded AS (
    INSERT INTO trade (
        id, partition_id, sequence, product_id, bid_order_id, ask_order_id, buyer_id, provider_id, aggressor,
        quantity_gpus, starts_hour, ends_hour, price_ticks, notional_fen, voucher_fen, reimbursable_fen,
        programme_ids,
        fee_bps, traded_at)
    SELECT
        planned.trade_id, 1, planned.n, ask.product_id, planned.order_id, ask.id, planned.buyer_id, facts.provider_id,
        'buy', 1, facts.hour, facts.hour + 1, planned.price_fen, planned.price_fen, planned.voucher_fen, 0,
        ARRAY[facts.programme_id], 100, facts.at
    FROM facts JOIN orders AS ask ON ask.id = facts.ask_id, planned
), leased AS (
    INSERT INTO lease (
        id, partition_id, product_id, ask_order_id, buyer_id, provider_id, quantity_gpus, starts_hour, ends_hour,
        price_ticks, fee_bps, next_settlement_hour, fee_fen, created_at)
    SELECT
        planned.trade_id, 1, ask.product_id, ask.id, planned.buyer_id, facts.provider_id, 1, facts.hour, facts.hour + 1,
        planned.price_fen, 100, facts.hour + 1, (planned.price_fen + 99) / 100, facts.at
    FROM facts JOIN orders AS ask ON ask.id = facts.ask_id, planned
), funded AS (
    INSERT INTO lease_funding (
        lease_id, voucher_id, source_account_id, escrow_account_id, committed_fen, captured_fen)
    SELECT trade_id, 0, cash_id, escrow_id, cash_fen, cash_fen FROM planned
    UNION ALL
    SELECT trade_id, voucher_id, voucher_account_id, voucher_escrow_id, voucher_fen, voucher_fen FROM planned
)
INSERT INTO voucher_capture (
    lease_id, delivery_hour, voucher_id, programme_id, programme_version, provider_id, claimant_id, amount_fen,
    captured_at)
SELECT
    planned.trade_id, facts.hour, planned.voucher_id, facts.programme_id, 1, facts.provider_id, facts.provider_id,
    planned.voucher_fen, facts.at
FROM facts, planned;

-- name: make_transfers
-- What moved for the orders, order by order.
INSERT INTO ledger_transfer (
    group_id, kind, reason, asset, debit_account_id, credit_account_id, amount_fen, subject_id, created_at)
SELECT
    leg.subject_id, leg.kind, leg.reason, CASE WHEN leg.is_cash THEN 'CNY' ELSE facts.asset END, leg.debit_id,
    leg.credit_id, leg.amount_fen, leg.subject_id, facts.at
FROM facts
JOIN ledger_account AS paid ON paid.participant_id = facts.provider_id AND paid.purpose = 'cash'
JOIN ledger_account AS owed ON owed.participant_id = facts.provider_id AND owed.purpose = 'receivable'
CROSS JOIN planned
CROSS JOIN LATERAL (VALUES
    (1, order_id, 'pending', 'hold', TRUE, cash_id, escrow_id, cash_fen + 70),
    (2, order_id, 'pending', 'hold', FALSE, voucher_account_id, voucher_escrow_id, voucher_fen),
    (3, trade_id, 'post_pending', 'trade', TRUE, cash_id, escrow_id, cash_fen),
    (4, trade_id, 'post_pending', 'trade', FALSE, voucher_account_id, voucher_escrow_id, voucher_fen),
    (5, order_id, 'void_pending', 'hold_release', TRUE, cash_id, escrow_id, 70),
    (6, trade_id, 'posted', 'fee', TRUE, escrow_id, facts.fees_account_id, (price_fen + 99) / 100),
    (7, trade_id, 'posted', 'delivery', TRUE, escrow_id, paid.id, cash_fen - (price_fen + 99) / 100),
    (8, trade_id, 'posted', 'delivery', FALSE, voucher_escrow_id, owed.id, voucher_fen)
) AS leg (step, subject_id, kind, reason, is_cash, debit_id, credit_id, amount_fen)
ORDER BY planned.n, leg.step;
