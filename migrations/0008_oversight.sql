-- What a regulator asks of the trades: indexes in the order of venue time, and one row with everything.

-- Pages and exports walk (traded_at, id); a row's place never changes, so a cursor stays good under inserts.
CREATE INDEX trade_by_time ON trade (traded_at, id);
-- The other side is in these as well, so that trades between two are found without a look at the trades of either.
CREATE INDEX trade_of_buyer ON trade (buyer_id, traded_at, id, provider_id);
CREATE INDEX trade_of_provider ON trade (provider_id, traded_at, id, buyer_id);
CREATE INDEX trade_of_programme ON trade USING gin (programme_ids) WHERE cardinality(programme_ids) > 0;
DROP INDEX trade_by_product;
CREATE INDEX trade_by_product ON trade (product_id, traded_at, id);

CREATE INDEX participant_of_trade_group ON participant (trade_group_id, id) WHERE trade_group_id IS NOT NULL;

-- Questions to the record and their answers; both cost other records nothing.
CREATE INDEX audit_record_question ON audit_record (id) WHERE code = 'QURY';
CREATE INDEX audit_record_answer ON audit_record (subject_id) WHERE code = 'QURA';
-- Changes of trading phases, as rare.
CREATE INDEX audit_record_phase ON audit_record (id) WHERE code = 'PHAS';
-- Whose record it is, and the steps of a trade and of its lease.
CREATE INDEX audit_record_of_participant ON audit_record (participant_id, id) WHERE participant_id IS NOT NULL;
CREATE INDEX audit_record_of_trade ON audit_record (trade_id) WHERE trade_id IS NOT NULL;
-- Records come nearly in the order of their times: a few bytes for every 128 pages tell which to look into.
CREATE INDEX audit_record_by_time ON audit_record USING brin (event_at);

-- A trade with its product, its orders and its parties. Parties are as they are registered now.
CREATE VIEW oversight_trade AS
SELECT
    trade.id, trade.partition_id, trade.sequence, trade.traded_at, trade.product_id,
    product.accelerator_id, accelerator.origin, cluster.hub_code, product.cluster_code, product.interconnect_code,
    trade.quantity_gpus, trade.starts_hour, trade.ends_hour, trade.price_ticks, trade.notional_fen,
    trade.voucher_fen, trade.reimbursable_fen, trade.programme_ids, paying.codes AS programme_codes, trade.fee_bps,
    trade.aggressor,
    trade.bid_order_id, bid.client_order_id AS bid_client_order_id,
    trade.ask_order_id, ask.client_order_id AS ask_client_order_id,
    trade.buyer_id, buyer.name AS buyer_name, buyer.size_class AS buyer_size_class, buyer.region AS buyer_region,
    buyer.trade_group_id AS buyer_trade_group_id, buyer_group.name AS buyer_trade_group_name,
    trade.provider_id, provider.name AS provider_name, provider.ownership AS provider_ownership,
    provider.region AS provider_region,
    provider.trade_group_id AS provider_trade_group_id, provider_group.name AS provider_trade_group_name
FROM trade
JOIN product ON product.id = trade.product_id
JOIN accelerator ON accelerator.id = product.accelerator_id
JOIN cluster ON cluster.code = product.cluster_code
JOIN orders AS bid ON bid.id = trade.bid_order_id
JOIN orders AS ask ON ask.id = trade.ask_order_id
JOIN participant AS buyer ON buyer.id = trade.buyer_id
JOIN participant AS provider ON provider.id = trade.provider_id
LEFT JOIN trade_group AS buyer_group ON buyer_group.id = buyer.trade_group_id
LEFT JOIN trade_group AS provider_group ON provider_group.id = provider.trade_group_id
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(programme.code ORDER BY named.position), '{}') AS codes
    FROM unnest(trade.programme_ids) WITH ORDINALITY AS named (id, position)
    JOIN programme ON programme.id = named.id
) AS paying;

-- Books as they stood, so that any moment is rebuilt from few journal rows: at each mark the book of every product is the
-- latest stored one at or before it. A book is stored where the product had a command since the mark before. Compressed
-- (zlib). Derived from the journal, and never changed.
CREATE TABLE book_mark (
    partition_id  INTEGER NOT NULL CHECK (partition_id > 0),
    sequence      BIGINT NOT NULL CHECK (sequence > 0),
    event_at      TIMESTAMPTZ NOT NULL,
    hash          BYTEA NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (partition_id, sequence)
);
CREATE INDEX book_mark_by_time ON book_mark (partition_id, event_at, sequence);
CREATE TABLE book_history (
    product_id    TEXT NOT NULL REFERENCES product (id),
    sequence      BIGINT NOT NULL CHECK (sequence > 0),
    partition_id  INTEGER NOT NULL,
    book          BYTEA NOT NULL,
    PRIMARY KEY (product_id, sequence),
    FOREIGN KEY (partition_id, sequence) REFERENCES book_mark (partition_id, sequence)
);
CREATE TRIGGER book_mark_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON book_mark
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER book_history_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON book_history
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE book_mark ENABLE ALWAYS TRIGGER book_mark_insert_only;
ALTER TABLE book_history ENABLE ALWAYS TRIGGER book_history_insert_only;

-- Summaries for reports, kept up to date by who follows the record, and recomputed from it where they are doubted. Days
-- are of venue time, UTC. What a row sums up, and when it counts: docs/oversight.md.

-- Up to which transaction the record is summed up, and what time the last record of it was of.
CREATE TABLE report_position (
    only_row  BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    xact_id   XID8 NOT NULL,
    event_at  TIMESTAMPTZ
) WITH (fillfactor = 50);
INSERT INTO report_position (xact_id) VALUES ('0');

-- Trades by the day on which they were made; programmes: how many paid a part of each.
CREATE TABLE report_trade (
    day               DATE NOT NULL,
    product_id        TEXT NOT NULL,
    buyer_id          BIGINT NOT NULL,
    provider_id       BIGINT NOT NULL,
    programmes        INTEGER NOT NULL,
    trades            BIGINT NOT NULL,
    gpu_hours         BIGINT NOT NULL,
    notional_fen      BIGINT NOT NULL,
    voucher_fen       BIGINT NOT NULL,
    reimbursable_fen  BIGINT NOT NULL,
    PRIMARY KEY (day, product_id, buyer_id, provider_id, programmes)
) WITH (fillfactor = 70);

-- Bids by the day on which they ended. waited_us: from their coming to their first fill, of the filled ones; the five
-- counts after it tell how many of those waited how long.
CREATE TABLE report_bid (
    day                DATE NOT NULL,
    product_id         TEXT NOT NULL,
    buyer_id           BIGINT NOT NULL,
    status             TEXT NOT NULL,
    reason             TEXT NOT NULL,
    bids               BIGINT NOT NULL,
    wanted_gpu_hours   BIGINT NOT NULL,
    filled_gpu_hours   BIGINT NOT NULL,
    filled             BIGINT NOT NULL,
    waited_us          BIGINT NOT NULL,
    waited_0s          BIGINT NOT NULL,
    waited_1min        BIGINT NOT NULL,
    waited_1h          BIGINT NOT NULL,
    waited_1d          BIGINT NOT NULL,
    waited_longer      BIGINT NOT NULL,
    PRIMARY KEY (day, product_id, buyer_id, status, reason)
) WITH (fillfactor = 70);

-- Vouchers that a bid named and that could not pay, by the day on which the bid was denied for it.
CREATE TABLE report_refusal (
    day           DATE NOT NULL,
    buyer_id      BIGINT NOT NULL,
    programme_id  BIGINT NOT NULL,
    code          TEXT NOT NULL,
    refusals      BIGINT NOT NULL,
    PRIMARY KEY (day, buyer_id, programme_id, code)
) WITH (fillfactor = 70);

-- Money of programmes by the day on which it moved. Whose: the buyer's whose voucher it is; of what was paid, the
-- claimant's.
CREATE TABLE report_programme (
    day             DATE NOT NULL,
    programme_id    BIGINT NOT NULL,
    participant_id  BIGINT NOT NULL,
    kind            TEXT NOT NULL CHECK (kind IN ('issued', 'committed', 'captured', 'expired', 'revoked', 'paid')),
    movements       BIGINT NOT NULL,
    amount_fen      BIGINT NOT NULL,
    PRIMARY KEY (day, programme_id, participant_id, kind)
) WITH (fillfactor = 70);

-- GPU-hours by the day on which they are delivered: held by buyers, settled as delivered or failed, and of asks that have
-- ended, idle: offered when their hour began, and sold to nobody.
CREATE TABLE report_capacity (
    day                  DATE NOT NULL,
    product_id           TEXT NOT NULL,
    provider_id          BIGINT NOT NULL,
    held_gpu_hours       BIGINT NOT NULL,
    delivered_gpu_hours  BIGINT NOT NULL,
    failed_gpu_hours     BIGINT NOT NULL,
    idle_gpu_hours       BIGINT NOT NULL,
    PRIMARY KEY (day, product_id, provider_id)
) WITH (fillfactor = 70);

-- The whole hour that runs at a time.
CREATE FUNCTION hour_at(at TIMESTAMPTZ) RETURNS INTEGER LANGUAGE sql IMMUTABLE AS $$
    SELECT floor(extract(epoch FROM at) / 3600)::INTEGER
$$;

-- The day of a whole hour.
CREATE FUNCTION day_of_hour(hour INTEGER) RETURNS DATE LANGUAGE sql IMMUTABLE AS $$
    SELECT DATE '1970-01-01' + hour / 24
$$;

-- What an ask has offered and sold to nobody, by day of delivery, in its hours up to one, by its quantity as it stands.
CREATE FUNCTION idle_of_ask(ask_id BIGINT, through_hour INTEGER)
RETURNS TABLE (day DATE, gpu_hours BIGINT) LANGUAGE sql STABLE AS $$
    SELECT day_of_hour(hour.hour), sum(greatest(ask.quantity_gpus - coalesce(load.gpus, 0), 0))::BIGINT
    FROM orders AS ask
    CROSS JOIN LATERAL generate_series(ask.starts_hour, least(ask.ends_hour - 1, through_hour)) AS hour (hour)
    CROSS JOIN LATERAL (
        SELECT sum(sold_gpus) AS gpus FROM ask_load
        WHERE ask_load.ask_order_id = ask.id AND ask_load.starts_hour <= hour.hour AND ask_load.ends_hour > hour.hour
    ) AS load
    WHERE ask.id = ask_id
    GROUP BY day_of_hour(hour.hour)
$$;
