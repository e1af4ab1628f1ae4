-- The sequenced market: each partition's head and journal, the orders, and what is held for them.

-- One row per partition. Every commit moves it, under the leader's epoch: a stale leader moves nothing.
-- intake_offset: what of the partition's stream in Redis had its effect or its refusal by then; '' before the first.
CREATE TABLE partition_head (
    partition_id   INTEGER PRIMARY KEY CHECK (partition_id > 0),
    epoch          BIGINT NOT NULL CHECK (epoch >= 0),
    last_sequence  BIGINT NOT NULL CHECK (last_sequence >= 0),
    last_hash      BYTEA NOT NULL CHECK (octet_length(last_hash) = 32),
    last_event_at  TIMESTAMPTZ NOT NULL,
    -- Since when it was led all the time, but for less than an hour: nobody could report before that what had failed.
    served_since_at TIMESTAMPTZ NOT NULL DEFAULT '-infinity',
    intake_offset  TEXT NOT NULL DEFAULT ''
) WITH (fillfactor = 50);

-- Which process leads a partition where several could, by the database's clock alone. This says who may try; that only one
-- can write is said by the head's epoch.
CREATE TABLE partition_lease (
    partition_id  INTEGER PRIMARY KEY CHECK (partition_id > 0),
    holder        TEXT NOT NULL CHECK (holder <> ''),
    epoch         BIGINT NOT NULL CHECK (epoch >= 0),
    leads_until   TIMESTAMPTZ NOT NULL
) WITH (fillfactor = 50);

-- What each process says of itself every few seconds, for operators. Of now only: a crash of the database empties it, and
-- who lives writes it again. seen_at: by the database's clock.
CREATE UNLOGGED TABLE process (
    name          TEXT PRIMARY KEY CHECK (name <> ''),
    role          TEXT NOT NULL CHECK (role IN ('all', 'gateway', 'engine')),
    started_at    TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    seen_at       TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    report        BYTEA NOT NULL
) WITH (fillfactor = 50);

-- Each leader's term: after which command it began, and the version of the engine that decides its commands.
CREATE TABLE partition_term (
    partition_id    INTEGER NOT NULL,
    epoch           BIGINT NOT NULL CHECK (epoch > 0),
    after_sequence  BIGINT NOT NULL CHECK (after_sequence >= 0),
    began_at        TIMESTAMPTZ NOT NULL,
    engine_version  TEXT NOT NULL CHECK (engine_version <> ''),
    PRIMARY KEY (partition_id, epoch)
);
CREATE TRIGGER partition_term_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON partition_term
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE partition_term ENABLE ALWAYS TRIGGER partition_term_insert_only;

-- One command to one book and the events it had; hash chains each row to the one before it. epoch: whose term it was.
CREATE TABLE journal (
    partition_id  INTEGER NOT NULL,
    sequence      BIGINT NOT NULL,
    epoch         BIGINT NOT NULL CHECK (epoch > 0),
    product_id    TEXT NOT NULL,
    event_at      TIMESTAMPTZ NOT NULL,
    command       BYTEA NOT NULL,
    events        BYTEA NOT NULL,
    hash          BYTEA NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (partition_id, sequence)
);
CREATE TRIGGER journal_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE journal ENABLE ALWAYS TRIGGER journal_insert_only;

-- A book as it stood after a sequence: start-up folds only the journal after it. Derived, so replaceable.
CREATE TABLE book_snapshot (
    partition_id  INTEGER NOT NULL,
    product_id    TEXT NOT NULL,
    sequence      BIGINT NOT NULL,
    book          BYTEA NOT NULL,
    PRIMARY KEY (partition_id, product_id)
);

-- sequence is null for an order denied before it reached the book; denial is then what its sender was told.
-- collar is what the book would have let in where it rejected the order for its price.
-- starts_hour/ends_hour: an ask's window, a bid's outer window; run_starts_hour: where a filled bid was pinned.
-- eligible_fen: for each voucher programme that pays for a bid, in the order of its terms, the part filled that it is of.
-- amendment: how often the order has been replaced. Each time it ends, and a row of the same client_order_id goes on:
-- replaces_id and replaced_by_id tell which. What traded stays with the row, under whose terms it did.
CREATE TABLE orders (
    id                   BIGINT PRIMARY KEY CHECK (id > 0),
    partition_id         INTEGER NOT NULL,
    sequence             BIGINT,
    participant_id       BIGINT NOT NULL,
    key_id               BIGINT NOT NULL,
    -- Its length apart: a repetition that is counted takes ten times as long, for every row that is written.
    client_order_id      TEXT NOT NULL CHECK (client_order_id ~ '^[A-Za-z0-9._-]+$' AND length(client_order_id) <= 64),
    amendment            INTEGER NOT NULL DEFAULT 0 CHECK (amendment >= 0),
    replaces_id          BIGINT,
    replaced_by_id       BIGINT,
    fingerprint          BYTEA NOT NULL,
    product_id           TEXT NOT NULL,
    side                 TEXT NOT NULL CHECK (side IN ('buy', 'sell')),
    quantity_gpus        INTEGER NOT NULL CHECK (quantity_gpus > 0),
    starts_hour          INTEGER NOT NULL,
    ends_hour            INTEGER NOT NULL CHECK (ends_hour > starts_hour),
    hours                INTEGER NOT NULL CHECK (hours BETWEEN 1 AND ends_hour - starts_hour),
    price_ticks          BIGINT NOT NULL CHECK (price_ticks > 0),
    terms                JSON NOT NULL,
    status               TEXT NOT NULL CHECK (status IN (
        'accepted', 'resting', 'partially_filled', 'filled', 'cancelled', 'expired', 'rejected')),
    reason               TEXT NOT NULL DEFAULT '',
    denial               JSON,
    collar               JSON,
    filled_gpus          INTEGER NOT NULL DEFAULT 0 CHECK (filled_gpus >= 0),
    filled_gpu_hours     BIGINT NOT NULL DEFAULT 0 CHECK (filled_gpu_hours >= 0),
    filled_notional_fen  BIGINT NOT NULL DEFAULT 0 CHECK (filled_notional_fen >= 0),
    eligible_fen         BIGINT[] NOT NULL DEFAULT '{}',
    run_starts_hour      INTEGER,
    created_at           TIMESTAMPTZ NOT NULL,
    updated_at           TIMESTAMPTZ NOT NULL,
    UNIQUE (participant_id, client_order_id, amendment),
    CONSTRAINT orders_replaces CHECK ((amendment > 0) = (replaces_id IS NOT NULL)),
    CONSTRAINT orders_replaced CHECK (replaced_by_id IS NULL OR status = 'cancelled'),
    -- An ask may be reduced below what it has sold in some hours; lease_within_ask watches it hour by hour.
    CONSTRAINT orders_bid_not_filled_longer CHECK (side = 'sell' OR filled_gpu_hours <= quantity_gpus::BIGINT * hours),
    CONSTRAINT orders_bid_not_overfilled CHECK (side = 'sell' OR filled_gpus <= quantity_gpus),
    CONSTRAINT orders_eligible_was_filled
        CHECK (0 <= ALL (eligible_fen) AND filled_notional_fen >= ALL (eligible_fen)),
    CONSTRAINT orders_denied_before_the_book CHECK (denial IS NULL OR (status = 'rejected' AND sequence IS NULL)),
    CONSTRAINT orders_collar_of_rejected
        CHECK ((collar IS NOT NULL) = (status = 'rejected' AND reason = 'price_outside_collar'))
) WITH (fillfactor = 80);
-- Partial, although every id is positive: so it serves only who asks for pages. While the table is small it looks as
-- good as the unique index for finding a client order id, and it would be walked for that long after.
CREATE INDEX orders_of_participant ON orders (participant_id, id) WHERE id > 0;
CREATE INDEX orders_live ON orders (participant_id, id) WHERE status IN ('accepted', 'resting', 'partially_filled');
CREATE INDEX orders_asks ON orders (participant_id, ends_hour) WHERE side = 'sell';
CREATE TRIGGER orders_stay BEFORE DELETE OR TRUNCATE OR UPDATE OF id, participant_id, product_id, side ON orders
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_going();
ALTER TABLE orders ENABLE ALWAYS TRIGGER orders_stay;

-- What the rows on an order's way name is looked for once a statement, for all of its rows, and not by a foreign key, row
-- by row and with a lock on each: what is there stays, as the triggers above see to, so both say the same. These also
-- look whether it is what it should be. A subquery in the place of a join keeps each a look-up by the primary key,
-- however small the tables were when it was planned.
CREATE FUNCTION refuse_strange_orders() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM added
        WHERE (SELECT id FROM public.participant WHERE id = added.participant_id) IS NULL
            OR (SELECT id FROM public.product WHERE id = added.product_id) IS NULL
    ) THEN
        RAISE EXCEPTION 'an order is of nobody, or of no product'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'orders_of_known';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER orders_of_known AFTER INSERT ON orders
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refuse_strange_orders();
ALTER TABLE orders ENABLE ALWAYS TRIGGER orders_of_known;

-- What an order sets aside: its cash (voucher_id 0) and each voucher. Open = placed - committed - released.
-- programme_version: the rules that a voucher is held under. cap_year: the year in which it counts against their cap,
-- where that counts what is redeemed.
-- The accounts are checked by the transfers, without which no hold exists.
CREATE TABLE order_hold (
    order_id           BIGINT NOT NULL,
    voucher_id         BIGINT NOT NULL DEFAULT 0,
    position           SMALLINT NOT NULL,
    programme_version  INTEGER NOT NULL DEFAULT 0,
    cap_year           INTEGER,
    source_account_id  BIGINT NOT NULL,
    escrow_account_id  BIGINT NOT NULL,
    placed_fen         BIGINT NOT NULL CHECK (placed_fen >= 0),
    committed_fen      BIGINT NOT NULL DEFAULT 0 CHECK (committed_fen >= 0),
    released_fen       BIGINT NOT NULL DEFAULT 0 CHECK (released_fen >= 0),
    PRIMARY KEY (order_id, voucher_id),
    CONSTRAINT order_hold_within_placed CHECK (committed_fen + released_fen <= placed_fen)
) WITH (fillfactor = 80);

-- Every fen of a hold is resolved once: what was committed or released stays so (here), and both together never exceed
-- what was placed (above). The same of a lease's funding.
CREATE FUNCTION refuse_unresolving() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what was resolved of % stays resolved, and its row stays: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER order_hold_resolves_once BEFORE UPDATE ON order_hold FOR EACH ROW
    WHEN (NEW.committed_fen < OLD.committed_fen OR NEW.released_fen < OLD.released_fen
        OR NEW.placed_fen <> OLD.placed_fen OR NEW.order_id <> OLD.order_id OR NEW.voucher_id <> OLD.voucher_id
        OR NEW.programme_version <> OLD.programme_version OR NEW.cap_year IS DISTINCT FROM OLD.cap_year
        OR NEW.source_account_id <> OLD.source_account_id OR NEW.escrow_account_id <> OLD.escrow_account_id)
    EXECUTE FUNCTION refuse_unresolving();
CREATE TRIGGER order_hold_stays BEFORE DELETE OR TRUNCATE ON order_hold
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_unresolving();
ALTER TABLE order_hold ENABLE ALWAYS TRIGGER order_hold_resolves_once;
ALTER TABLE order_hold ENABLE ALWAYS TRIGGER order_hold_stays;

-- Counts what vouchers of some holds set aside more, or less, in a year, for their company and its trade group, each under
-- the cap of the rules that the voucher is held under. Locks what is there in order first, so that two callers never
-- wait for each other. SECURITY DEFINER: the service itself may only read and lock programme_use.
CREATE FUNCTION count_use(voucher_ids BIGINT[], versions INTEGER[], years INTEGER[], changes_fen BIGINT[])
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    each RECORD;
BEGIN
    FOR each IN
        SELECT voucher.programme_id, subject.id AS subject_id, changed.year, sum(changed.fen)::BIGINT AS fen,
            max(CASE WHEN subject.is_capped THEN (version.rules ->> 'cap_per_year_fen')::BIGINT END) AS cap_fen
        FROM unnest(voucher_ids, versions, years, changes_fen) AS changed (voucher_id, version, year, fen)
        JOIN voucher ON voucher.id = changed.voucher_id
        JOIN programme_version AS version
            ON version.programme_id = voucher.programme_id AND version.version = changed.version
        JOIN participant AS buyer ON buyer.id = voucher.buyer_id
        CROSS JOIN LATERAL (VALUES
            (buyer.id, version.rules ->> 'cap_basis' = 'entity' OR buyer.trade_group_id IS NULL),
            (buyer.trade_group_id, version.rules ->> 'cap_basis' = 'group')) AS subject (id, is_capped)
        WHERE subject.id IS NOT NULL
        GROUP BY voucher.programme_id, subject.id, changed.year
        HAVING sum(changed.fen) <> 0
        ORDER BY voucher.programme_id, subject.id, changed.year
    LOOP
        IF each.fen < 0 THEN
            UPDATE programme_use SET used_fen = used_fen + each.fen
            WHERE (programme_id, subject_id, year) = (each.programme_id, each.subject_id, each.year);
        ELSE
            INSERT INTO programme_use AS use (programme_id, subject_id, year, used_fen, cap_fen)
            VALUES (each.programme_id, each.subject_id, each.year, each.fen, each.cap_fen)
            ON CONFLICT (programme_id, subject_id, year) DO UPDATE
            SET used_fen = use.used_fen + EXCLUDED.used_fen, cap_fen = EXCLUDED.cap_fen;
        END IF;
    END LOOP;
END
$$;

-- Holds of rules whose yearly cap counts what is redeemed: what they set aside is used, what they release is not. New ones
-- are of bids.
CREATE FUNCTION count_use_of_holds() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    are_of_bids BOOLEAN;
    are_counted BOOLEAN;
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT
            bool_and((SELECT side FROM public.orders WHERE id = added.order_id) IS NOT DISTINCT FROM 'buy'),
            bool_or(cap_year IS NOT NULL)
        INTO are_of_bids, are_counted
        FROM added;
        IF NOT are_of_bids THEN
            RAISE EXCEPTION 'a hold is of no bid'
                USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'order_hold_of_bid';
        END IF;
        IF are_counted THEN
            PERFORM count_use(array_agg(voucher_id), array_agg(programme_version), array_agg(cap_year),
                array_agg(placed_fen - released_fen))
            FROM added WHERE cap_year IS NOT NULL;
        END IF;
    ELSIF EXISTS (SELECT FROM added WHERE cap_year IS NOT NULL) THEN
        PERFORM count_use(array_agg(added.voucher_id), array_agg(added.programme_version), array_agg(added.cap_year),
            array_agg(removed.released_fen - added.released_fen))
        FROM added JOIN removed USING (order_id, voucher_id)
        WHERE added.cap_year IS NOT NULL AND added.released_fen <> removed.released_fen;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER order_hold_uses AFTER INSERT ON order_hold
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_use_of_holds();
CREATE TRIGGER order_hold_frees AFTER UPDATE ON order_hold
    REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_use_of_holds();
ALTER TABLE order_hold ENABLE ALWAYS TRIGGER order_hold_uses;
ALTER TABLE order_hold ENABLE ALWAYS TRIGGER order_hold_frees;

-- Dead man's switches: in each partition, when all orders of a participant are cancelled unless it is put off (null: not
-- at all). By the database's clock, which is one for all processes.
CREATE TABLE cancel_switch (
    participant_id  BIGINT NOT NULL REFERENCES participant (id),
    partition_id    INTEGER NOT NULL CHECK (partition_id > 0),
    key_id          BIGINT NOT NULL,
    fires_at        TIMESTAMPTZ,
    PRIMARY KEY (participant_id, partition_id)
) WITH (fillfactor = 50);
CREATE INDEX cancel_switch_due ON cancel_switch (partition_id, fires_at) WHERE fires_at IS NOT NULL;
