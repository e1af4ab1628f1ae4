-- From the trade to the delivered hour. What the rows of a trade name is looked for by triggers, once a statement, as
-- beside the orders; an account's existence is checked by the transfers that move its money.

-- voucher_fen of the price is paid by vouchers; reimbursable_fen of the buyer's own part can be claimed from programmes
-- that reimburse. programme_ids: those that pay either, in spending order.
CREATE TABLE trade (
    id               BIGINT PRIMARY KEY CHECK (id > 0),
    partition_id     INTEGER NOT NULL,
    sequence         BIGINT NOT NULL,
    product_id       TEXT NOT NULL,
    bid_order_id     BIGINT NOT NULL,
    ask_order_id     BIGINT NOT NULL,
    buyer_id         BIGINT NOT NULL,
    provider_id      BIGINT NOT NULL,
    aggressor        TEXT NOT NULL CHECK (aggressor IN ('buy', 'sell')),
    quantity_gpus    INTEGER NOT NULL CHECK (quantity_gpus > 0),
    starts_hour      INTEGER NOT NULL,
    ends_hour        INTEGER NOT NULL CHECK (ends_hour > starts_hour),
    price_ticks      BIGINT NOT NULL CHECK (price_ticks > 0),
    notional_fen     BIGINT NOT NULL,
    voucher_fen      BIGINT NOT NULL CHECK (voucher_fen >= 0),
    reimbursable_fen BIGINT NOT NULL CHECK (reimbursable_fen >= 0),
    programme_ids    BIGINT[] NOT NULL,
    fee_bps          INTEGER NOT NULL CHECK (fee_bps BETWEEN 0 AND 10000),
    traded_at        TIMESTAMPTZ NOT NULL,
    CONSTRAINT trade_before_its_hours CHECK (extract(epoch FROM traded_at) < starts_hour::BIGINT * 3600),
    CONSTRAINT trade_notional_exact CHECK (notional_fen = price_ticks * quantity_gpus * (ends_hour - starts_hour)),
    CONSTRAINT trade_aid_within_price CHECK (voucher_fen + reimbursable_fen <= notional_fen),
    CONSTRAINT trade_programmes_named CHECK ((voucher_fen + reimbursable_fen > 0) = (cardinality(programme_ids) > 0))
);
CREATE INDEX trade_by_product ON trade (product_id, id);
CREATE INDEX trade_of_bid ON trade (bid_order_id);
CREATE INDEX trade_of_ask ON trade (ask_order_id);
CREATE TRIGGER trade_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON trade
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE trade ENABLE ALWAYS TRIGGER trade_insert_only;

-- A trade is of a bid and an ask of its product and its parties.
CREATE FUNCTION refuse_strange_trades() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM added
        WHERE (
                SELECT side = 'buy' AND participant_id = added.buyer_id AND product_id = added.product_id
                FROM public.orders WHERE id = added.bid_order_id
            ) IS NOT TRUE
            OR (
                SELECT side = 'sell' AND participant_id = added.provider_id AND product_id = added.product_id
                FROM public.orders WHERE id = added.ask_order_id
            ) IS NOT TRUE
    ) THEN
        RAISE EXCEPTION 'a trade is not of a bid and an ask of its product and its parties'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'trade_of_its_orders';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER trade_of_its_orders AFTER INSERT ON trade
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refuse_strange_trades();
ALTER TABLE trade ENABLE ALWAYS TRIGGER trade_of_its_orders;

-- The right to the hours of the trade whose id it has. next_settlement_hour is the first hour whose money is still in escrow;
-- fee_fen was taken of those before it, and is no more than their share of the price, rounded up to the fen.
CREATE TABLE lease (
    id                    BIGINT PRIMARY KEY,
    partition_id          INTEGER NOT NULL,
    product_id            TEXT NOT NULL,
    ask_order_id          BIGINT NOT NULL,
    buyer_id              BIGINT NOT NULL,
    provider_id           BIGINT NOT NULL,
    quantity_gpus         INTEGER NOT NULL CHECK (quantity_gpus > 0),
    starts_hour           INTEGER NOT NULL,
    ends_hour             INTEGER NOT NULL CHECK (ends_hour > starts_hour),
    price_ticks           BIGINT NOT NULL CHECK (price_ticks > 0),
    fee_bps               INTEGER NOT NULL,
    next_settlement_hour  INTEGER NOT NULL CHECK (next_settlement_hour BETWEEN starts_hour AND ends_hour),
    failed_hours          INTEGER NOT NULL DEFAULT 0 CHECK (failed_hours BETWEEN 0 AND next_settlement_hour - starts_hour),
    fee_fen               BIGINT NOT NULL DEFAULT 0 CHECK (fee_fen >= 0),
    created_at            TIMESTAMPTZ NOT NULL,
    CONSTRAINT lease_fee_of_delivered_hours CHECK (
        fee_fen <= ceil(
            price_ticks::NUMERIC * quantity_gpus * (next_settlement_hour - starts_hour - failed_hours) * fee_bps / 10000))
) WITH (fillfactor = 80);
CREATE INDEX lease_due ON lease (partition_id, next_settlement_hour) WHERE next_settlement_hour < ends_hour;
CREATE INDEX lease_of_buyer ON lease (buyer_id, id);
CREATE INDEX lease_of_provider ON lease (provider_id, id);
CREATE TRIGGER lease_stays BEFORE DELETE OR TRUNCATE OR UPDATE OF id ON lease
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_going();
ALTER TABLE lease ENABLE ALWAYS TRIGGER lease_stays;

-- What an ask has sold, by rectangle: kept by the trigger below from the leases themselves, and by nothing else.
CREATE TABLE ask_load (
    ask_order_id  BIGINT NOT NULL,
    starts_hour   INTEGER NOT NULL,
    ends_hour     INTEGER NOT NULL,
    sold_gpus     BIGINT NOT NULL CHECK (sold_gpus > 0),
    PRIMARY KEY (ask_order_id, ends_hour, starts_hour)
) WITH (fillfactor = 60);

-- No hour of any GPU is sold twice: the database's own word for it, beside the book's. The load on an ask can only
-- peak where some rectangle begins, so those hours are the ones to test, once for each distinct rectangle.
-- SECURITY DEFINER: the service itself may only read ask_load.
CREATE FUNCTION refuse_oversold_ask() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    oversold RECORD;
    are_within_asks BOOLEAN;
    are_of_trades BOOLEAN;
BEGIN
    INSERT INTO ask_load AS load (ask_order_id, starts_hour, ends_hour, sold_gpus)
    SELECT ask_order_id, starts_hour, ends_hour, sum(quantity_gpus)
    FROM added
    GROUP BY ask_order_id, starts_hour, ends_hour
    ON CONFLICT (ask_order_id, ends_hour, starts_hour) DO UPDATE SET sold_gpus = load.sold_gpus + EXCLUDED.sold_gpus;

    SELECT peak.ask_order_id, peak.hour INTO oversold
    FROM (
        SELECT DISTINCT sold.ask_order_id, begun.starts_hour AS hour
        FROM (SELECT DISTINCT ask_order_id, starts_hour, ends_hour FROM added) AS sold
        JOIN ask_load AS begun ON begun.ask_order_id = sold.ask_order_id
            AND begun.ends_hour > sold.starts_hour
            AND begun.starts_hour >= sold.starts_hour AND begun.starts_hour < sold.ends_hour
    ) AS peak
    JOIN orders AS ask ON ask.id = peak.ask_order_id
    CROSS JOIN LATERAL (
        SELECT sum(held.sold_gpus) AS gpus
        FROM ask_load AS held
        WHERE held.ask_order_id = peak.ask_order_id
            AND held.ends_hour > peak.hour AND held.starts_hour <= peak.hour
    ) AS load
    WHERE load.gpus > ask.quantity_gpus
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'ask % is sold beyond its capacity in hour %', oversold.ask_order_id, oversold.hour
            USING ERRCODE = 'check_violation', CONSTRAINT = 'lease_within_ask';
    END IF;
    SELECT
        bool_and((
            SELECT ask.side = 'sell' AND added.starts_hour >= ask.starts_hour AND added.ends_hour <= ask.ends_hour
            FROM orders AS ask WHERE ask.id = added.ask_order_id
        ) IS TRUE),
        bool_and((SELECT trade.ask_order_id FROM trade WHERE trade.id = added.id) IS NOT DISTINCT FROM added.ask_order_id)
    INTO are_within_asks, are_of_trades
    FROM added;
    IF NOT are_within_asks THEN
        RAISE EXCEPTION 'a lease lies outside the window of its ask'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'lease_within_ask';
    END IF;
    IF NOT are_of_trades THEN
        RAISE EXCEPTION 'a lease is of no trade of its ask'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'lease_of_its_trade';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER lease_within_ask AFTER INSERT ON lease
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refuse_oversold_ask();
ALTER TABLE lease ENABLE ALWAYS TRIGGER lease_within_ask;

-- Where a lease's escrowed money came from (voucher_id 0: cash), and where it went hour by hour. A reimbursed part is no
-- part of the price: the buyer has paid that in cash, and claims the part once the hours are delivered.
CREATE TABLE lease_funding (
    lease_id           BIGINT NOT NULL,
    voucher_id         BIGINT NOT NULL DEFAULT 0,
    programme_version  INTEGER NOT NULL DEFAULT 0,
    reimbursed         BOOLEAN NOT NULL DEFAULT FALSE,
    source_account_id  BIGINT NOT NULL,
    escrow_account_id  BIGINT NOT NULL,
    committed_fen      BIGINT NOT NULL CHECK (committed_fen > 0),
    captured_fen       BIGINT NOT NULL DEFAULT 0 CHECK (captured_fen >= 0),
    returned_fen       BIGINT NOT NULL DEFAULT 0 CHECK (returned_fen >= 0),
    PRIMARY KEY (lease_id, voucher_id),
    CONSTRAINT lease_funding_within_committed CHECK (captured_fen + returned_fen <= committed_fen)
) WITH (fillfactor = 80);
CREATE TRIGGER lease_funding_resolves_once BEFORE UPDATE ON lease_funding FOR EACH ROW
    WHEN (NEW.captured_fen < OLD.captured_fen OR NEW.returned_fen < OLD.returned_fen
        OR NEW.committed_fen <> OLD.committed_fen OR NEW.lease_id <> OLD.lease_id OR NEW.voucher_id <> OLD.voucher_id
        OR NEW.programme_version <> OLD.programme_version OR NEW.reimbursed <> OLD.reimbursed
        OR NEW.source_account_id <> OLD.source_account_id OR NEW.escrow_account_id <> OLD.escrow_account_id)
    EXECUTE FUNCTION refuse_unresolving();
CREATE TRIGGER lease_funding_stays BEFORE DELETE OR TRUNCATE ON lease_funding
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_unresolving();
ALTER TABLE lease_funding ENABLE ALWAYS TRIGGER lease_funding_resolves_once;
ALTER TABLE lease_funding ENABLE ALWAYS TRIGGER lease_funding_stays;

CREATE FUNCTION refuse_strange_funding() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added WHERE (SELECT id FROM public.lease WHERE id = added.lease_id) IS NULL) THEN
        RAISE EXCEPTION 'money is of no lease'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'lease_funding_of_lease';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER lease_funding_of_lease AFTER INSERT ON lease_funding
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refuse_strange_funding();
ALTER TABLE lease_funding ENABLE ALWAYS TRIGGER lease_funding_of_lease;

-- What a failed hour gives back of a voucher is not used either, in the year in which its order was placed.
CREATE FUNCTION count_use_of_leases() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added WHERE voucher_id <> 0 AND returned_fen > 0) THEN
        PERFORM count_use(array_agg(hold.voucher_id), array_agg(hold.programme_version), array_agg(hold.cap_year),
            array_agg(removed.returned_fen - added.returned_fen))
        FROM added
        JOIN removed USING (lease_id, voucher_id)
        JOIN trade ON trade.id = added.lease_id
        JOIN order_hold AS hold ON hold.order_id = trade.bid_order_id AND hold.voucher_id = added.voucher_id
        WHERE hold.cap_year IS NOT NULL AND added.returned_fen <> removed.returned_fen;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER lease_funding_frees AFTER UPDATE ON lease_funding
    REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_use_of_leases();
ALTER TABLE lease_funding ENABLE ALWAYS TRIGGER lease_funding_frees;

-- An hour that the provider says it did not deliver: its money goes back to the buyer.
CREATE TABLE outage (
    lease_id       BIGINT NOT NULL REFERENCES lease (id),
    delivery_hour  INTEGER NOT NULL,
    reason         TEXT NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    reported_by    BIGINT NOT NULL REFERENCES participant (id),
    reported_at    TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (lease_id, delivery_hour)
);
CREATE TRIGGER outage_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON outage
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE outage ENABLE ALWAYS TRIGGER outage_insert_only;
