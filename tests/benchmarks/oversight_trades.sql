-- The trades that oversight's benchmarks look through.

-- name: make_parties
-- Buyers and providers, so many of each.
INSERT INTO participant (id, kind, name, region, ownership, size_class, founded_on, created_at, name_key)
SELECT kind.base + n, kind.kind, kind.kind || ' made ' || n, 'guizhou', kind.ownership, kind.size_class,
    kind.founded_on, now(), kind.kind || ' made ' || n
FROM (VALUES (1000000, 'buyer', NULL, 'small', DATE '2024-01-01'), (2000000, 'provider', 'state', NULL, NULL))
    AS kind (base, kind, ownership, size_class, founded_on), generate_series(1, $1::INTEGER) AS n;

-- name: make_orders
-- An order of each of them in each of 50 products.
INSERT INTO orders (id, partition_id, sequence, participant_id, key_id, client_order_id, fingerprint, product_id,
    side, quantity_gpus, starts_hour, ends_hour, hours, price_ticks, terms, status, created_at, updated_at)
SELECT side.base + product.number * 1000 + n, 1, 1, side.party + n, 1, 'made-' || product.number, '', product.id,
    side.side, 8, 500000, 500001, 1, 1000, '{}', 'filled', now(), now()
FROM (VALUES (10000000, 1000000, 'buy'), (20000000, 2000000, 'sell')) AS side (base, party, side),
    (SELECT id, row_number() OVER (ORDER BY id) AS number FROM product LIMIT 50) AS product,
    generate_series(1, $1::INTEGER) AS n;

-- name: make_trades
-- Trades of a range of numbers. Parties and products by strides without a common divisor: every one meets every other.
INSERT INTO trade (id, partition_id, sequence, product_id, bid_order_id, ask_order_id, buyer_id, provider_id,
    aggressor, quantity_gpus, starts_hour, ends_hour, price_ticks, notional_fen, voucher_fen, reimbursable_fen,
    programme_ids, fee_bps, traded_at)
SELECT 1000000000 + n, 1, n, product.id, 10000000 + product.number * 1000 + 1 + n * 7 % $1::INTEGER,
    20000000 + product.number * 1000 + 1 + n * 11 % $1, 1000001 + n * 7 % $1, 2000001 + n * 11 % $1,
    CASE WHEN n % 2 = 0 THEN 'buy' ELSE 'sell' END, 8, 600000, 600004, 900 + n % 200, (900 + n % 200) * 32,
    CASE WHEN n % 3 = 0 THEN 100 ELSE 0 END, 0, CASE WHEN n % 3 = 0 THEN ARRAY[$2::BIGINT] ELSE '{}' END, 50,
    TIMESTAMPTZ 'epoch' + ($3::BIGINT + n * $4::BIGINT) * INTERVAL '1 microsecond'
FROM generate_series($5::BIGINT, $6::BIGINT) AS n
JOIN (SELECT id, row_number() OVER (ORDER BY id) AS number, count(*) OVER () AS all FROM product LIMIT 50) AS product
    ON product.number = 1 + n % least(product.all, 50);
