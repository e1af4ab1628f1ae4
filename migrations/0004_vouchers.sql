-- Computing-voucher programmes as data, the vouchers they issue, and what is claimed for them.

-- version_last is the programme's newest version of the rules, step_count its last step. The budget is what the rules in
-- force say; it is booked while the programme is open or exhausted, which is to say all issued, and where it is closed
-- what was not issued has gone back.
CREATE TABLE programme (
    id          BIGINT PRIMARY KEY CHECK (id > 0),
    issuer_id   BIGINT NOT NULL REFERENCES participant (id),
    code        TEXT NOT NULL UNIQUE CHECK (code ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
    name        TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    asset       TEXT NOT NULL UNIQUE REFERENCES asset (code),
    status      TEXT NOT NULL CHECK (status IN ('draft', 'open', 'exhausted', 'closed')),
    step_count  INTEGER NOT NULL DEFAULT 0,
    budget_fen  BIGINT NOT NULL CHECK (budget_fen > 0),
    issued_fen  BIGINT NOT NULL DEFAULT 0 CHECK (issued_fen >= 0),
    version_last INTEGER NOT NULL DEFAULT 1 CHECK (version_last > 0),
    created_at  TIMESTAMPTZ NOT NULL,
    CONSTRAINT programme_within_budget CHECK (issued_fen <= budget_fen),
    CONSTRAINT programme_exhausted_when_issued
        CHECK (status IN ('draft', 'closed') OR (status = 'exhausted') = (issued_fen = budget_fen)),
    CONSTRAINT programme_draft_issues_nothing CHECK (status <> 'draft' OR issued_fen = 0)
);

-- The numbers of the eligibility bits: an ask has the bits of the versions that admit it.
CREATE SEQUENCE programme_version_ordinal AS INTEGER;

-- A version's rules never change. At any time the highest version that has begun is in force, whatever the times of those
-- before it. ordinal is its bit in the eligibility masks of orders, the one of the version before it where both admit the
-- same asks.
CREATE TABLE programme_version (
    programme_id    BIGINT NOT NULL REFERENCES programme (id),
    version         INTEGER NOT NULL CHECK (version BETWEEN 1 AND 1000),
    ordinal         INTEGER NOT NULL CHECK (ordinal > 0),
    effective_from  TIMESTAMPTZ NOT NULL,
    effective_until TIMESTAMPTZ CHECK (effective_until > effective_from),
    rules           JSONB NOT NULL,
    PRIMARY KEY (programme_id, version)
);
CREATE INDEX programme_version_of_ordinal ON programme_version (ordinal);
CREATE TRIGGER programme_version_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON programme_version
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE programme_version ENABLE ALWAYS TRIGGER programme_version_insert_only;

-- A bit admits by one rule only: else an ask that one version admits would be paid by the vouchers of another.
CREATE FUNCTION refuse_shared_ordinal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM programme_version WHERE ordinal = NEW.ordinal) AND NOT EXISTS (
        SELECT FROM programme_version AS earlier
        WHERE earlier.programme_id = NEW.programme_id AND earlier.version = NEW.version - 1
            AND earlier.ordinal = NEW.ordinal
            AND earlier.rules -> 'provider' = NEW.rules -> 'provider'
            AND earlier.rules -> 'capacity' = NEW.rules -> 'capacity'
            AND earlier.rules -> 'price_cap' = NEW.rules -> 'price_cap'
    ) THEN
        RAISE EXCEPTION 'version % of programme % does not admit what bit % stands for',
            NEW.version, NEW.programme_id, NEW.ordinal
            USING ERRCODE = 'check_violation', CONSTRAINT = 'programme_version_bit_is_its_own';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER programme_version_bit_is_its_own BEFORE INSERT ON programme_version
    FOR EACH ROW EXECUTE FUNCTION refuse_shared_ordinal();
ALTER TABLE programme_version ENABLE ALWAYS TRIGGER programme_version_bit_is_its_own;

-- Tells of a change at its commit, on the channel that the trigger names first, by the column that it names second.
CREATE FUNCTION tell_of_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify(TG_ARGV[0], to_jsonb(NEW) ->> TG_ARGV[1]);
    RETURN NULL;
END
$$;

-- Every process keeps all rules but those of drafts in memory: channel programme, the programme's id.
CREATE TRIGGER programme_tell AFTER UPDATE OF status ON programme
    FOR EACH ROW WHEN (NEW.status <> OLD.status) EXECUTE FUNCTION tell_of_change('programme', 'id');
CREATE TRIGGER programme_version_tell AFTER INSERT ON programme_version
    FOR EACH ROW EXECUTE FUNCTION tell_of_change('programme', 'programme_id');

-- The budget is what the newest rules say, and stays where the programme is closed.
CREATE FUNCTION refuse_budget_without_rules() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status = 'closed' OR NOT EXISTS (
        SELECT FROM programme_version AS newest
        WHERE newest.programme_id = NEW.id AND newest.version = NEW.version_last
            AND (newest.rules ->> 'budget_fen')::BIGINT = NEW.budget_fen
    ) THEN
        RAISE EXCEPTION 'no rules of programme % give it a budget of % fen', NEW.id, NEW.budget_fen
            USING ERRCODE = 'check_violation', CONSTRAINT = 'programme_budget_follows_rules';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER programme_budget_follows_rules BEFORE UPDATE OF budget_fen ON programme
    FOR EACH ROW WHEN (NEW.budget_fen <> OLD.budget_fen) EXECUTE FUNCTION refuse_budget_without_rules();
ALTER TABLE programme ENABLE ALWAYS TRIGGER programme_budget_follows_rules;

-- The steps a programme may take, and whose each is. That all of the budget is issued, or no longer all, is told by the
-- venue.
CREATE FUNCTION programme_step_allowed(from_status TEXT, to_status TEXT, actor_role TEXT) RETURNS BOOLEAN
LANGUAGE sql IMMUTABLE AS $$
    SELECT (from_status, to_status, actor_role) IN (VALUES
        ('draft', 'open', 'issuer'),
        ('open', 'closed', 'issuer'),
        ('exhausted', 'closed', 'issuer'),
        ('open', 'exhausted', 'exchange'),
        ('exhausted', 'open', 'exchange'))
$$;

-- Every step of every programme: who, what, when and why. returned_fen: the part of the budget that was never issued,
-- which goes back to its source when the programme is closed.
CREATE TABLE programme_step (
    programme_id  BIGINT NOT NULL REFERENCES programme (id),
    number        INTEGER NOT NULL CHECK (number > 0),
    from_status   TEXT NOT NULL,
    to_status     TEXT NOT NULL,
    actor_role    TEXT NOT NULL,
    actor_id      BIGINT NOT NULL REFERENCES participant (id),
    returned_fen  BIGINT NOT NULL CHECK (returned_fen >= 0),
    reason        TEXT NOT NULL CHECK (reason <> ''),
    stepped_at    TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (programme_id, number),
    CONSTRAINT programme_step_is_allowed CHECK (programme_step_allowed(from_status, to_status, actor_role))
);
CREATE TRIGGER programme_step_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON programme_step
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE programme_step ENABLE ALWAYS TRIGGER programme_step_insert_only;

-- A step begins where the programme stands, is taken by the one whose role it says, and returns what is not issued where
-- it closes, nothing elsewhere.
CREATE FUNCTION refuse_stray_programme_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM programme
        WHERE programme.id = NEW.programme_id AND programme.status = NEW.from_status
            AND programme.step_count = NEW.number - 1
            AND NEW.actor_id = CASE NEW.actor_role WHEN 'issuer' THEN programme.issuer_id ELSE 1 END
            AND NEW.returned_fen
                = CASE NEW.to_status WHEN 'closed' THEN programme.budget_fen - programme.issued_fen ELSE 0 END
    ) THEN
        RAISE EXCEPTION 'step % of programme % does not begin where it stands, or is not for participant %',
            NEW.number, NEW.programme_id, NEW.actor_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'programme_step_follows';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER programme_step_follows BEFORE INSERT ON programme_step
    FOR EACH ROW EXECUTE FUNCTION refuse_stray_programme_step();
ALTER TABLE programme_step ENABLE ALWAYS TRIGGER programme_step_follows;

-- A programme begins as a draft or open, and its state is the last step's: none without a step on record, and no step left
-- out. What a closed one has issued stays.
CREATE FUNCTION refuse_programme_without_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status NOT IN ('draft', 'open') OR NEW.step_count <> 0 THEN
            RAISE EXCEPTION 'a programme begins as a draft or open'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'programme_follows_its_steps';
        END IF;
    ELSIF (NEW.status, NEW.step_count) <> (OLD.status, OLD.step_count) AND (
        NEW.step_count <> OLD.step_count + 1 OR NOT EXISTS (
            SELECT FROM programme_step AS step
            WHERE step.programme_id = NEW.id AND step.number = NEW.step_count
                AND step.from_status = OLD.status AND step.to_status = NEW.status)
    ) THEN
        RAISE EXCEPTION 'programme % has no step from % to %', NEW.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'programme_follows_its_steps';
    ELSIF OLD.status = 'closed' AND NEW.issued_fen <> OLD.issued_fen THEN
        RAISE EXCEPTION 'programme % is closed, and issues nothing', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'programme_closed_issues_nothing';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER programme_begins BEFORE INSERT ON programme
    FOR EACH ROW EXECUTE FUNCTION refuse_programme_without_step();
CREATE TRIGGER programme_follows_its_steps BEFORE UPDATE OF status, step_count, issued_fen ON programme
    FOR EACH ROW EXECUTE FUNCTION refuse_programme_without_step();
ALTER TABLE programme ENABLE ALWAYS TRIGGER programme_begins;
ALTER TABLE programme ENABLE ALWAYS TRIGGER programme_follows_its_steps;

-- What one company was issued in one calendar year, never above the programme's cap (null: there is none). A cap by
-- trade group is the sum of its members' rows, and is kept by the lock that issuance takes on the programme.
CREATE TABLE programme_year_use (
    programme_id    BIGINT NOT NULL REFERENCES programme (id),
    participant_id  BIGINT NOT NULL REFERENCES participant (id),
    year            INTEGER NOT NULL,
    issued_fen      BIGINT NOT NULL CHECK (issued_fen >= 0),
    cap_fen         BIGINT CHECK (cap_fen > 0),
    PRIMARY KEY (programme_id, participant_id, year),
    CONSTRAINT programme_year_use_within_cap CHECK (issued_fen <= cap_fen)
);

-- What the orders of one calendar year use of a programme, by company, and by trade group where it has one: what they
-- set aside, traded and were delivered of its vouchers, less what came back. Kept by triggers on order_hold and
-- lease_funding, for rules whose yearly cap counts what is redeemed; cap_fen (null: none) is the cap of the last order.
CREATE TABLE programme_use (
    programme_id  BIGINT NOT NULL REFERENCES programme (id),
    subject_id    BIGINT NOT NULL,
    year          INTEGER NOT NULL,
    used_fen      BIGINT NOT NULL CHECK (used_fen >= 0),
    cap_fen       BIGINT CHECK (cap_fen > 0),
    PRIMARY KEY (programme_id, subject_id, year),
    CONSTRAINT programme_use_within_cap CHECK (used_fen <= cap_fen)
) WITH (fillfactor = 60);

-- Its rows are the sums of what the triggers below counted, and nothing else changes them. Depth 0 is a client's own.
CREATE FUNCTION refuse_use_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'programme_use is kept by orders and their leases: % refused', TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER programme_use_counted BEFORE INSERT OR UPDATE OR DELETE ON programme_use
    FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION refuse_use_change();
CREATE TRIGGER programme_use_stays BEFORE TRUNCATE ON programme_use
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_use_change();
ALTER TABLE programme_use ENABLE ALWAYS TRIGGER programme_use_counted;
ALTER TABLE programme_use ENABLE ALWAYS TRIGGER programme_use_stays;

CREATE TABLE voucher (
    id                 BIGINT PRIMARY KEY CHECK (id > 0),
    programme_id       BIGINT NOT NULL,
    programme_version  INTEGER NOT NULL,
    buyer_id           BIGINT NOT NULL REFERENCES participant (id),
    face_fen           BIGINT NOT NULL CHECK (face_fen > 0),
    status             TEXT NOT NULL CHECK (status IN ('active', 'suspended', 'expired', 'revoked')),
    step_count         INTEGER NOT NULL DEFAULT 0,
    account_id         BIGINT NOT NULL REFERENCES ledger_account (id),
    escrow_account_id  BIGINT NOT NULL REFERENCES ledger_account (id),
    issued_at          TIMESTAMPTZ NOT NULL,
    expires_at         TIMESTAMPTZ NOT NULL CHECK (expires_at > issued_at),
    FOREIGN KEY (programme_id, programme_version) REFERENCES programme_version (programme_id, version)
);
CREATE INDEX voucher_of_buyer ON voucher (buyer_id, expires_at, id);
CREATE INDEX voucher_of_programme ON voucher (programme_id, id);
CREATE INDEX voucher_by_expiry ON voucher (expires_at);
CREATE INDEX voucher_revoked ON voucher (id) WHERE status = 'revoked';

-- The steps a voucher may take, and whose each is. What its issuer takes back of one that is over already, because an
-- order gave it free, is a step from expired to expired or from revoked to revoked, the venue's own.
CREATE FUNCTION voucher_step_allowed(from_status TEXT, to_status TEXT, actor_role TEXT) RETURNS BOOLEAN
LANGUAGE sql IMMUTABLE AS $$
    SELECT (from_status, to_status, actor_role) IN (VALUES
        ('active', 'suspended', 'issuer'),
        ('suspended', 'active', 'issuer'),
        ('active', 'revoked', 'issuer'),
        ('suspended', 'revoked', 'issuer'),
        ('active', 'expired', 'exchange'),
        ('suspended', 'expired', 'exchange'),
        ('expired', 'expired', 'exchange'),
        ('revoked', 'revoked', 'exchange'))
$$;

-- Every step of every voucher after its issue, for its buyer to read: who, what, when, why, and what went back to the
-- issuer with it.
CREATE TABLE voucher_step (
    voucher_id    BIGINT NOT NULL REFERENCES voucher (id),
    number        INTEGER NOT NULL CHECK (number > 0),
    from_status   TEXT NOT NULL,
    to_status     TEXT NOT NULL,
    actor_role    TEXT NOT NULL,
    actor_id      BIGINT NOT NULL REFERENCES participant (id),
    returned_fen  BIGINT NOT NULL CHECK (returned_fen >= 0),
    reason        TEXT NOT NULL CHECK (reason <> ''),
    stepped_at    TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (voucher_id, number),
    CONSTRAINT voucher_step_is_allowed CHECK (voucher_step_allowed(from_status, to_status, actor_role)),
    CONSTRAINT voucher_step_returns CHECK (returned_fen > 0 OR from_status <> to_status),
    CONSTRAINT voucher_step_ends_it CHECK (returned_fen = 0 OR to_status IN ('expired', 'revoked'))
);
CREATE INDEX voucher_step_by_time ON voucher_step (stepped_at, voucher_id, number);
CREATE TRIGGER voucher_step_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON voucher_step
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE voucher_step ENABLE ALWAYS TRIGGER voucher_step_insert_only;

-- A step begins where the voucher stands, and is taken by the one whose role it says.
CREATE FUNCTION refuse_stray_voucher_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM voucher JOIN programme ON programme.id = voucher.programme_id
        WHERE voucher.id = NEW.voucher_id AND voucher.status = NEW.from_status
            AND voucher.step_count = NEW.number - 1
            AND NEW.actor_id = CASE NEW.actor_role WHEN 'issuer' THEN programme.issuer_id ELSE 1 END
    ) THEN
        RAISE EXCEPTION 'step % of voucher % does not begin where it stands, or is not for participant %',
            NEW.number, NEW.voucher_id, NEW.actor_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'voucher_step_follows';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER voucher_step_follows BEFORE INSERT ON voucher_step
    FOR EACH ROW EXECUTE FUNCTION refuse_stray_voucher_step();
ALTER TABLE voucher_step ENABLE ALWAYS TRIGGER voucher_step_follows;

-- A voucher begins active, and its state is the last step's: none without a step on record, and no step left out.
CREATE FUNCTION refuse_voucher_without_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status <> 'active' OR NEW.step_count <> 0 THEN
            RAISE EXCEPTION 'a voucher begins active'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'voucher_follows_its_steps';
        END IF;
    ELSIF NEW.step_count <> OLD.step_count + 1 OR NOT EXISTS (
        SELECT FROM voucher_step AS step
        WHERE step.voucher_id = NEW.id AND step.number = NEW.step_count
            AND step.from_status = OLD.status AND step.to_status = NEW.status
    ) THEN
        RAISE EXCEPTION 'voucher % has no step from % to %', NEW.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'voucher_follows_its_steps';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER voucher_begins_active BEFORE INSERT ON voucher
    FOR EACH ROW EXECUTE FUNCTION refuse_voucher_without_step();
CREATE TRIGGER voucher_follows_its_steps BEFORE UPDATE OF status, step_count ON voucher
    FOR EACH ROW EXECUTE FUNCTION refuse_voucher_without_step();
ALTER TABLE voucher ENABLE ALWAYS TRIGGER voucher_begins_active;
ALTER TABLE voucher ENABLE ALWAYS TRIGGER voucher_follows_its_steps;

-- The steps an application may take, and whose each is. From submitted to submitted its issuer gives it a score; the
-- venue itself approves what a programme's rules leave to it.
CREATE FUNCTION application_step_allowed(from_status TEXT, to_status TEXT, actor_role TEXT) RETURNS BOOLEAN
LANGUAGE sql IMMUTABLE AS $$
    SELECT (from_status, to_status, actor_role) IN (VALUES
        ('submitted', 'submitted', 'issuer'),
        ('submitted', 'in_committee', 'issuer'),
        ('submitted', 'approved', 'issuer'),
        ('submitted', 'approved', 'exchange'),
        ('submitted', 'rejected', 'issuer'),
        ('submitted', 'withdrawn', 'buyer'),
        ('in_committee', 'approved', 'issuer'),
        ('in_committee', 'rejected', 'issuer'),
        ('in_committee', 'withdrawn', 'buyer'))
$$;

-- A company's wish for a voucher. programme_version: the rules in force when it was submitted. approved_fen: what its
-- issuer granted, in a committee what the first of the two keys did. reason: the last step's.
CREATE TABLE application (
    id                 BIGINT PRIMARY KEY CHECK (id > 0),
    programme_id       BIGINT NOT NULL REFERENCES programme (id),
    programme_version  INTEGER NOT NULL,
    buyer_id           BIGINT NOT NULL REFERENCES participant (id),
    amount_fen         BIGINT NOT NULL CHECK (amount_fen > 0),
    purpose            TEXT NOT NULL CHECK (length(purpose) BETWEEN 1 AND 2000),
    status             TEXT NOT NULL CHECK (status IN (
        'submitted', 'in_committee', 'approved', 'rejected', 'withdrawn')),
    step_count         INTEGER NOT NULL DEFAULT 0,
    score              INTEGER CHECK (score BETWEEN 0 AND 1000),
    approved_fen       BIGINT CHECK (approved_fen BETWEEN 1 AND amount_fen),
    voucher_id         BIGINT UNIQUE REFERENCES voucher (id),
    reason             TEXT NOT NULL DEFAULT '',
    submitted_at       TIMESTAMPTZ NOT NULL,
    decided_at         TIMESTAMPTZ,
    FOREIGN KEY (programme_id, programme_version) REFERENCES programme_version (programme_id, version),
    CONSTRAINT application_approved_has_voucher CHECK ((status = 'approved') = (voucher_id IS NOT NULL)),
    CONSTRAINT application_approved_has_amount CHECK (
        (status IN ('in_committee', 'approved')) = (approved_fen IS NOT NULL)),
    CONSTRAINT application_decided_has_time CHECK (
        (status IN ('submitted', 'in_committee')) = (decided_at IS NULL))
);
CREATE INDEX application_of_programme ON application (programme_id, id);
CREATE INDEX application_of_buyer ON application (buyer_id, id);
CREATE INDEX application_scored ON application (programme_id, id) WHERE status = 'submitted' AND score IS NOT NULL;

-- Every step of every application after its submission: who, by which key, what, when and why. amount_fen: what was
-- approved. score: what the step gave it.
CREATE TABLE application_step (
    application_id  BIGINT NOT NULL REFERENCES application (id),
    number          INTEGER NOT NULL CHECK (number > 0),
    from_status     TEXT NOT NULL,
    to_status       TEXT NOT NULL,
    actor_role      TEXT NOT NULL,
    actor_id        BIGINT NOT NULL REFERENCES participant (id),
    key_id          BIGINT,
    amount_fen      BIGINT CHECK (amount_fen > 0),
    score           INTEGER CHECK (score BETWEEN 0 AND 1000),
    reason          TEXT NOT NULL,
    stepped_at      TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (application_id, number),
    CONSTRAINT application_step_is_allowed CHECK (application_step_allowed(from_status, to_status, actor_role)),
    CONSTRAINT application_step_has_a_reason CHECK (
        reason <> '' OR to_status IN ('in_committee', 'approved', 'withdrawn')),
    CONSTRAINT application_step_has_its_amount CHECK (
        (to_status IN ('in_committee', 'approved')) = (amount_fen IS NOT NULL)),
    CONSTRAINT application_step_has_its_score CHECK ((to_status = 'submitted') = (score IS NOT NULL)),
    CONSTRAINT application_step_has_its_key CHECK ((actor_role = 'exchange') = (key_id IS NULL))
);
CREATE TRIGGER application_step_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON application_step
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE application_step ENABLE ALWAYS TRIGGER application_step_insert_only;

-- A step begins where the application stands, and is taken by the one whose role it says. What a committee approves is
-- at most what its first key did, and by another key that does not come of the same root.
CREATE FUNCTION refuse_stray_application_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM application JOIN programme ON programme.id = application.programme_id
        WHERE application.id = NEW.application_id AND application.status = NEW.from_status
            AND application.step_count = NEW.number - 1
            AND NEW.actor_id = CASE NEW.actor_role
                WHEN 'buyer' THEN application.buyer_id WHEN 'issuer' THEN programme.issuer_id ELSE 1 END
    ) THEN
        RAISE EXCEPTION 'step % of application % does not begin where it stands, or is not for participant %',
            NEW.number, NEW.application_id, NEW.actor_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'application_step_follows';
    END IF;
    IF NEW.from_status = 'in_committee' AND NEW.to_status = 'approved' AND EXISTS (
        SELECT FROM application_step AS first_key
        WHERE first_key.application_id = NEW.application_id AND first_key.to_status = 'in_committee'
            AND (
                api_key_root(first_key.key_id) = api_key_root(NEW.key_id) OR first_key.amount_fen < NEW.amount_fen)
    ) THEN
        RAISE EXCEPTION 'application % needs two keys that approve the same', NEW.application_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'application_step_of_a_second_key';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER application_step_follows BEFORE INSERT ON application_step
    FOR EACH ROW EXECUTE FUNCTION refuse_stray_application_step();
ALTER TABLE application_step ENABLE ALWAYS TRIGGER application_step_follows;

-- An application begins submitted; what it asks for never changes, and all else is as its last step says. Its voucher
-- is of its programme, its company and the amount approved.
CREATE FUNCTION refuse_application_without_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status <> 'submitted' OR NEW.step_count <> 0 OR NEW.score IS NOT NULL THEN
            RAISE EXCEPTION 'an application begins submitted'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'application_follows_its_steps';
        END IF;
        RETURN NEW;
    END IF;
    IF (NEW.id, NEW.programme_id, NEW.programme_version, NEW.buyer_id, NEW.amount_fen, NEW.purpose, NEW.submitted_at)
        <> (OLD.id, OLD.programme_id, OLD.programme_version, OLD.buyer_id, OLD.amount_fen, OLD.purpose, OLD.submitted_at)
    THEN
        RAISE EXCEPTION 'what application % asks for never changes', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'application_stays_what_it_is';
    END IF;
    IF NEW.step_count <> OLD.step_count + 1 OR NOT EXISTS (
        SELECT FROM application_step AS step
        WHERE step.application_id = NEW.id AND step.number = NEW.step_count
            AND step.from_status = OLD.status AND step.to_status = NEW.status
            AND NEW.score IS NOT DISTINCT FROM coalesce(step.score, OLD.score)
            AND NEW.approved_fen IS NOT DISTINCT FROM step.amount_fen
            AND NEW.reason = step.reason
    ) THEN
        RAISE EXCEPTION 'application % has no step from % to %', NEW.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'application_follows_its_steps';
    END IF;
    IF NEW.voucher_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM voucher
        WHERE voucher.id = NEW.voucher_id AND voucher.programme_id = NEW.programme_id
            AND voucher.buyer_id = NEW.buyer_id AND voucher.face_fen = NEW.approved_fen
    ) THEN
        RAISE EXCEPTION 'voucher % is not what application % was granted', NEW.voucher_id, NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'application_has_its_own_voucher';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER application_follows_its_steps BEFORE INSERT OR UPDATE ON application
    FOR EACH ROW EXECUTE FUNCTION refuse_application_without_step();
ALTER TABLE application ENABLE ALWAYS TRIGGER application_follows_its_steps;

-- The steps a claim may take, and whose each is. `exchange` is the venue itself, which draws claims for audit.
CREATE FUNCTION claim_step_allowed(from_status TEXT, to_status TEXT, actor_role TEXT) RETURNS BOOLEAN
LANGUAGE sql IMMUTABLE AS $$
    SELECT (from_status, to_status, actor_role) IN (VALUES
        ('open', 'submitted', 'claimant'),
        ('submitted', 'in_audit', 'issuer'),
        ('submitted', 'in_audit', 'exchange'),
        ('in_audit', 'queried', 'issuer'),
        ('queried', 'in_audit', 'claimant'),
        ('submitted', 'approved', 'issuer'),
        ('submitted', 'reduced', 'issuer'),
        ('submitted', 'rejected', 'issuer'),
        ('in_audit', 'approved', 'issuer'),
        ('in_audit', 'reduced', 'issuer'),
        ('in_audit', 'rejected', 'issuer'),
        ('approved', 'paid', 'issuer'),
        ('reduced', 'paid', 'issuer'),
        ('paid', 'closed', 'issuer'),
        ('paid', 'clawback_open', 'issuer'),
        ('closed', 'clawback_open', 'issuer'),
        ('clawback_open', 'recovered', 'claimant'),
        ('clawback_open', 'written_off', 'issuer'))
$$;

-- claimant_id: the provider whose captures it claims, or in reimburse mode the buyer. programme_version: the rules by
-- which it is judged. approved_fen: what is paid, once that is decided. clawback_fen: what of that is demanded back.
-- reason: the last step's.
CREATE TABLE claim (
    id                 BIGINT PRIMARY KEY CHECK (id > 0),
    programme_id       BIGINT NOT NULL REFERENCES programme (id),
    programme_version  INTEGER NOT NULL,
    claimant_id        BIGINT NOT NULL REFERENCES participant (id),
    amount_fen         BIGINT NOT NULL CHECK (amount_fen > 0),
    approved_fen       BIGINT CHECK (approved_fen BETWEEN 1 AND amount_fen),
    clawback_fen       BIGINT CHECK (clawback_fen BETWEEN 1 AND approved_fen),
    status             TEXT NOT NULL CHECK (status IN (
        'open', 'submitted', 'in_audit', 'queried', 'approved', 'reduced', 'rejected', 'paid', 'closed',
        'clawback_open', 'recovered', 'written_off')),
    step_count         INTEGER NOT NULL DEFAULT 0,
    reason             TEXT NOT NULL DEFAULT '',
    opened_at          TIMESTAMPTZ NOT NULL,
    submitted_at       TIMESTAMPTZ,
    decided_at         TIMESTAMPTZ,
    paid_at            TIMESTAMPTZ,
    FOREIGN KEY (programme_id, programme_version) REFERENCES programme_version (programme_id, version),
    CONSTRAINT claim_is_of_one UNIQUE (id, programme_id, claimant_id)
);
CREATE INDEX claim_of_programme ON claim (programme_id, id);
CREATE INDEX claim_of_claimant ON claim (claimant_id, id);

-- Every step of every claim: who, what, when and why. amount_fen: what the step was about.
CREATE TABLE claim_step (
    claim_id     BIGINT NOT NULL REFERENCES claim (id),
    number       INTEGER NOT NULL CHECK (number > 0),
    from_status  TEXT NOT NULL,
    to_status    TEXT NOT NULL,
    actor_role   TEXT NOT NULL,
    actor_id     BIGINT NOT NULL REFERENCES participant (id),
    amount_fen   BIGINT NOT NULL CHECK (amount_fen > 0),
    reason       TEXT NOT NULL,
    stepped_at   TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (claim_id, number),
    CONSTRAINT claim_step_is_allowed CHECK (claim_step_allowed(from_status, to_status, actor_role)),
    CONSTRAINT claim_step_has_a_reason CHECK (reason <> ''
        OR to_status IN ('submitted', 'approved', 'paid', 'closed', 'recovered'))
);
CREATE TRIGGER claim_step_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON claim_step
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE claim_step ENABLE ALWAYS TRIGGER claim_step_insert_only;

-- A step begins where the claim stands, and is taken by the one whose role it says.
CREATE FUNCTION refuse_stray_claim_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM claim JOIN programme ON programme.id = claim.programme_id
        WHERE claim.id = NEW.claim_id AND claim.status = NEW.from_status AND claim.step_count = NEW.number - 1
            AND NEW.actor_id = CASE NEW.actor_role
                WHEN 'claimant' THEN claim.claimant_id WHEN 'issuer' THEN programme.issuer_id ELSE 1 END
    ) THEN
        RAISE EXCEPTION 'step % of claim % does not begin where the claim stands, or is not for participant %',
            NEW.number, NEW.claim_id, NEW.actor_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'claim_step_follows';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER claim_step_follows BEFORE INSERT ON claim_step
    FOR EACH ROW EXECUTE FUNCTION refuse_stray_claim_step();
ALTER TABLE claim_step ENABLE ALWAYS TRIGGER claim_step_follows;

-- A claim begins open, and its state is the last step's: none without a step on record, and no step left out.
CREATE FUNCTION refuse_claim_without_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status <> 'open' OR NEW.step_count <> 0 THEN
            RAISE EXCEPTION 'a claim begins open'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'claim_follows_its_steps';
        END IF;
    ELSIF NEW.step_count <> OLD.step_count + 1 OR NOT EXISTS (
        SELECT FROM claim_step AS step
        WHERE step.claim_id = NEW.id AND step.number = NEW.step_count
            AND step.from_status = OLD.status AND step.to_status = NEW.status
    ) THEN
        RAISE EXCEPTION 'claim % has no step from % to %', NEW.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'claim_follows_its_steps';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER claim_begins_open BEFORE INSERT ON claim
    FOR EACH ROW EXECUTE FUNCTION refuse_claim_without_step();
CREATE TRIGGER claim_follows_its_steps BEFORE UPDATE OF status, step_count ON claim
    FOR EACH ROW EXECUTE FUNCTION refuse_claim_without_step();
ALTER TABLE claim ENABLE ALWAYS TRIGGER claim_begins_open;
ALTER TABLE claim ENABLE ALWAYS TRIGGER claim_follows_its_steps;

-- The draw of a claim for audit, so that anyone can do it again: drawn_number comes of the seed and the claim's id.
CREATE TABLE claim_draw (
    claim_id      BIGINT PRIMARY KEY REFERENCES claim (id),
    sample_bps    INTEGER NOT NULL CHECK (sample_bps BETWEEN 1 AND 10000),
    seed          BYTEA NOT NULL CHECK (length(seed) = 32),
    drawn_number  INTEGER NOT NULL CHECK (drawn_number BETWEEN 0 AND 9999),
    drawn_at      TIMESTAMPTZ NOT NULL
);
CREATE TRIGGER claim_draw_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON claim_draw
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE claim_draw ENABLE ALWAYS TRIGGER claim_draw_insert_only;

-- What a claimant attached to a claim to prove it: the bytes, and what they are.
CREATE TABLE claim_evidence (
    id            BIGINT PRIMARY KEY CHECK (id > 0),
    claim_id      BIGINT NOT NULL REFERENCES claim (id),
    name          TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    content_type  TEXT NOT NULL CHECK (length(content_type) BETWEEN 3 AND 200),
    size_bytes    INTEGER NOT NULL CHECK (size_bytes BETWEEN 1 AND 10485760),
    sha256        BYTEA NOT NULL,
    content       BYTEA NOT NULL,
    attached_by   BIGINT NOT NULL REFERENCES participant (id),
    attached_at   TIMESTAMPTZ NOT NULL,
    CONSTRAINT claim_evidence_is_what_it_says CHECK (size_bytes = length(content) AND sha256 = sha256(content))
);
CREATE INDEX claim_evidence_of_claim ON claim_evidence (claim_id, id);
CREATE TRIGGER claim_evidence_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON claim_evidence
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE claim_evidence ENABLE ALWAYS TRIGGER claim_evidence_insert_only;

-- One delivered hour paid in part by one voucher: the lines of a claim.
-- programme_version: the rules it was held under. provider_id: who delivered. claimant_id: who may claim it.
-- reduced_fen: refused by its claim; recovered_fen: paid back. A line's claim is its claimant's and on its programme.
CREATE TABLE voucher_capture (
    lease_id           BIGINT NOT NULL,
    delivery_hour      INTEGER NOT NULL,
    voucher_id         BIGINT NOT NULL REFERENCES voucher (id),
    programme_id       BIGINT NOT NULL,
    programme_version  INTEGER NOT NULL CHECK (programme_version > 0),
    provider_id        BIGINT NOT NULL,
    claimant_id        BIGINT NOT NULL,
    amount_fen         BIGINT NOT NULL CHECK (amount_fen > 0),
    reduced_fen        BIGINT NOT NULL DEFAULT 0 CHECK (reduced_fen >= 0),
    recovered_fen      BIGINT NOT NULL DEFAULT 0 CHECK (recovered_fen >= 0),
    claim_id           BIGINT,
    captured_at        TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (lease_id, delivery_hour, voucher_id),
    CONSTRAINT voucher_capture_claimed_as_its_own FOREIGN KEY (claim_id, programme_id, claimant_id)
        REFERENCES claim (id, programme_id, claimant_id),
    CONSTRAINT voucher_capture_within_amount CHECK (reduced_fen + recovered_fen <= amount_fen)
);
CREATE INDEX voucher_capture_unclaimed ON voucher_capture (claimant_id, programme_id) WHERE claim_id IS NULL;
CREATE INDEX voucher_capture_of_claim ON voucher_capture (claim_id) WHERE claim_id IS NOT NULL;
CREATE INDEX voucher_capture_of_voucher ON voucher_capture (voucher_id);

-- Who may claim an hour is said by the rules it was held under: its provider, or with `mode` reimburse the voucher's
-- buyer, who paid the hour in full. By no other way does a voucher become a buyer's cash.
CREATE FUNCTION refuse_stray_capture() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    stray RECORD;
BEGIN
    WITH held AS MATERIALIZED (
        SELECT version.programme_id, version.version, version.rules ->> 'mode' = 'reimburse' AS is_reimbursed
        FROM (SELECT DISTINCT programme_id, programme_version FROM added) AS named
        JOIN programme_version AS version
            ON version.programme_id = named.programme_id AND version.version = named.programme_version
    )
    SELECT added.lease_id, added.delivery_hour, added.voucher_id, added.claimant_id INTO stray
    FROM added
    LEFT JOIN voucher ON voucher.id = added.voucher_id AND voucher.programme_id = added.programme_id
    LEFT JOIN held ON held.programme_id = added.programme_id AND held.version = added.programme_version
    WHERE added.claimant_id
        IS DISTINCT FROM CASE WHEN held.is_reimbursed THEN voucher.buyer_id ELSE added.provider_id END
        OR voucher.id IS NULL
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'hour % of lease %, paid by voucher %, is not for participant % to claim',
            stray.delivery_hour, stray.lease_id, stray.voucher_id, stray.claimant_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'voucher_capture_for_its_claimant';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER voucher_capture_for_its_claimant AFTER INSERT ON voucher_capture
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refuse_stray_capture();
ALTER TABLE voucher_capture ENABLE ALWAYS TRIGGER voucher_capture_for_its_claimant;

-- What was captured stays as it was. A line is claimed while it is free, freed again, cut and paid back, nothing else.
CREATE FUNCTION refuse_changed_capture() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what vouchers paid for a delivered hour stays as it was captured: % refused', TG_OP
        USING ERRCODE = 'check_violation', CONSTRAINT = 'voucher_capture_stays';
END
$$;
CREATE TRIGGER voucher_capture_keeps_its_facts BEFORE UPDATE ON voucher_capture FOR EACH ROW
    WHEN ((NEW.lease_id, NEW.delivery_hour, NEW.voucher_id, NEW.programme_id, NEW.programme_version, NEW.provider_id,
            NEW.claimant_id, NEW.amount_fen, NEW.captured_at)
        <> (OLD.lease_id, OLD.delivery_hour, OLD.voucher_id, OLD.programme_id, OLD.programme_version, OLD.provider_id,
            OLD.claimant_id, OLD.amount_fen, OLD.captured_at)
        OR NEW.claim_id <> OLD.claim_id OR NEW.reduced_fen < OLD.reduced_fen OR NEW.recovered_fen < OLD.recovered_fen)
    EXECUTE FUNCTION refuse_changed_capture();
CREATE TRIGGER voucher_capture_stays BEFORE DELETE OR TRUNCATE ON voucher_capture
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_changed_capture();
ALTER TABLE voucher_capture ENABLE ALWAYS TRIGGER voucher_capture_keeps_its_facts;
ALTER TABLE voucher_capture ENABLE ALWAYS TRIGGER voucher_capture_stays;
