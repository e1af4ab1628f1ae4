-- What providers publish as their list prices.

-- Every list price that a provider ever published for a product; the one of the highest number is its list price.
CREATE TABLE list_price (
    provider_id  BIGINT NOT NULL REFERENCES participant (id),
    product_id   TEXT NOT NULL REFERENCES product (id),
    number       INTEGER NOT NULL CHECK (number > 0),
    price_ticks  BIGINT NOT NULL CHECK (price_ticks BETWEEN 1 AND 1000000000),
    listed_at    TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (product_id, provider_id, number)
);
CREATE INDEX list_price_by_time ON list_price (product_id, listed_at, provider_id, number);
CREATE TRIGGER list_price_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON list_price
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE list_price ENABLE ALWAYS TRIGGER list_price_insert_only;

-- Numbers follow each other from 1, times never go back, a price differs from the one before it, and only a provider
-- has one.
CREATE FUNCTION refuse_stray_list_price() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    latest list_price;
BEGIN
    SELECT * INTO latest FROM list_price
    WHERE product_id = NEW.product_id AND provider_id = NEW.provider_id
    ORDER BY number DESC LIMIT 1;
    IF NEW.number <> coalesce(latest.number, 0) + 1
        OR NEW.listed_at < latest.listed_at OR NEW.price_ticks = latest.price_ticks
        OR NOT EXISTS (SELECT FROM participant WHERE id = NEW.provider_id AND kind = 'provider')
    THEN
        RAISE EXCEPTION 'list price % of % by % does not follow the one before it, or is not by a provider',
            NEW.number, NEW.product_id, NEW.provider_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'list_price_follows';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER list_price_follows BEFORE INSERT ON list_price
    FOR EACH ROW EXECUTE FUNCTION refuse_stray_list_price();
ALTER TABLE list_price ENABLE ALWAYS TRIGGER list_price_follows;

-- Every process keeps the present list prices in memory: channel list_price, the product's id.
CREATE TRIGGER list_price_tell AFTER INSERT ON list_price
    FOR EACH ROW EXECUTE FUNCTION tell_of_change('list_price', 'product_id');
