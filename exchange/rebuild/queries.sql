-- name: account_names
-- Whose each account is and what for; no account ever changes that.
SELECT id, participant_id, asset, purpose, reference FROM ledger_account;

-- name: validity_days
-- For how many days a voucher is good by each version of each programme's rules, which never change.
SELECT programme_id, version, (rules ->> 'validity_days')::INTEGER AS validity_days FROM programme_version;

-- name: record
-- The steps with some codes up to a time, in the order in which they were written; null: all.
SELECT id, code, event_at, partition_id, sequence, event_index, participant_id, trade_group_id, key_id, product_id,
    order_id, trade_id, subject_id, detail
FROM audit_record
WHERE code = ANY ($1::TEXT[]) AND ($2::TIMESTAMPTZ IS NULL OR event_at <= $2)
ORDER BY id;

-- name: journal
-- Every partition's commands and events up to a time, in order; null: all.
SELECT partition_id, sequence, product_id, event_at, command, events, hash
FROM journal
WHERE $1::TIMESTAMPTZ IS NULL OR event_at <= $1
ORDER BY partition_id, sequence;

-- name: transfers
-- Every transfer up to a time; null: all.
SELECT id, kind, reason, asset, debit_account_id, credit_account_id, amount_fen, subject_id, delivery_hour
FROM ledger_transfer
WHERE $1::TIMESTAMPTZ IS NULL OR created_at <= $1;

-- name: row_counts
-- How many rows there are about, by which a bar shows how far it has come; of a table in partitions those of them all.
SELECT whole.relname, sum(greatest(part.reltuples, 0))::BIGINT AS about
FROM pg_class AS whole
LEFT JOIN pg_inherits ON inhparent = whole.oid
JOIN pg_class AS part ON part.oid = coalesce(inhrelid, whole.oid)
WHERE whole.oid = ANY (ARRAY['journal'::regclass, 'ledger_transfer'::regclass, 'audit_record'::regclass])
GROUP BY whole.relname;

-- name: books_stored
-- Which books are stored: those at marks, and those that a start begins with.
SELECT partition_id, product_id, sequence FROM book_history
UNION
SELECT partition_id, product_id, sequence FROM book_snapshot;

-- name: stored_ledger_account
-- Accounts with their sums.
SELECT id, debits_pending_fen, debits_posted_fen, credits_pending_fen, credits_posted_fen FROM ledger_account;

-- name: stored_orders
-- Orders as they stand.
SELECT id, partition_id, sequence, participant_id, key_id, client_order_id, amendment, replaces_id, replaced_by_id,
    product_id, side, quantity_gpus, starts_hour, ends_hour, hours, price_ticks, terms, status, reason, denial,
    collar, filled_gpus, filled_gpu_hours, filled_notional_fen, eligible_fen, run_starts_hour, created_at, updated_at
FROM orders;

-- name: stored_resting
-- Live orders as their books should have them; a bid's open GPUs.
SELECT id, product_id, participant_id, price_ticks, quantity_gpus,
    CASE side WHEN 'buy' THEN quantity_gpus - filled_gpus END AS open_gpus
FROM orders
WHERE status IN ('accepted', 'resting', 'partially_filled');

-- name: stored_order_hold
-- What orders set aside.
SELECT order_id, voucher_id, placed_fen, committed_fen, released_fen FROM order_hold;

-- name: stored_trade
-- Trades.
SELECT id, partition_id, sequence, product_id, bid_order_id, ask_order_id, buyer_id, provider_id, aggressor,
    quantity_gpus, starts_hour, ends_hour, price_ticks, notional_fen, voucher_fen, reimbursable_fen, programme_ids,
    fee_bps, traded_at
FROM trade;

-- name: stored_lease
-- Leases, and how far they are settled.
SELECT id, partition_id, product_id, ask_order_id, buyer_id, provider_id, quantity_gpus, starts_hour, ends_hour,
    price_ticks, fee_bps, created_at, next_settlement_hour, failed_hours, fee_fen
FROM lease;

-- name: stored_ask_load
-- What asks have sold.
SELECT ask_order_id, starts_hour, ends_hour, sold_gpus FROM ask_load;

-- name: stored_lease_funding
-- Where the money of leases went.
SELECT lease_id, voucher_id, committed_fen, captured_fen, returned_fen FROM lease_funding;

-- name: stored_voucher_capture
-- What vouchers paid of delivered hours.
SELECT lease_id, delivery_hour, voucher_id, programme_id, provider_id, claimant_id, amount_fen, reduced_fen,
    recovered_fen, claim_id
FROM voucher_capture;

-- name: stored_programme
-- Programmes as they stand.
SELECT id, issuer_id, code, status, step_count, budget_fen, issued_fen, version_last, created_at FROM programme;

-- name: stored_programme_version
-- Versions of programmes' rules.
SELECT programme_id, version, effective_from, effective_until, rules FROM programme_version;

-- name: stored_programme_year_use
-- What companies were issued in a year.
SELECT programme_id, participant_id, year, issued_fen FROM programme_year_use;

-- name: stored_programme_use
-- What the orders of a year use; a row of nothing says nothing.
SELECT programme_id, subject_id, year, used_fen FROM programme_use WHERE used_fen <> 0;

-- name: stored_voucher
-- Vouchers as they stand.
SELECT id, programme_id, programme_version, buyer_id, face_fen, status, step_count, issued_at, expires_at FROM voucher;

-- name: stored_claim
-- Claims as they stand.
SELECT id, programme_id, programme_version, claimant_id, amount_fen, approved_fen, clawback_fen, status, step_count,
    reason, opened_at, submitted_at, decided_at, paid_at
FROM claim;

-- name: stored_application
-- Applications as they stand.
SELECT id, programme_id, programme_version, buyer_id, amount_fen, status, step_count, score, approved_fen, voucher_id,
    reason, submitted_at, decided_at
FROM application;

-- name: stored_trade_group
-- Trade groups.
SELECT id, created_at FROM trade_group;

-- name: stored_participant
-- Participants as they were registered.
SELECT id, kind, trade_group_id, region, ownership, size_class, founded_on, sectors, created_at FROM participant;

-- name: stored_list_price
-- Every list price that was ever published.
SELECT product_id, provider_id, number, price_ticks, listed_at FROM list_price;

-- name: stored_alert_rules
-- Every version of the rules of surveillance.
SELECT version, rules, effective_from, reason, changed_by, key_id, changed_at FROM alert_rules;

-- name: stored_partition_head
-- Where each partition says that it stands.
SELECT partition_id, last_sequence, encode(last_hash, 'hex') AS last_hash FROM partition_head;

-- name: stored_books
-- The stored books of a table of the two; those at marks are compressed.
SELECT product_id, sequence, book, TRUE AS is_compressed FROM book_history
UNION ALL
SELECT product_id, sequence, book, FALSE FROM book_snapshot;
