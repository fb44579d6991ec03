-- Version 1. Instants are microseconds since 1970 (`to_timestamp(created_at / 1e6)` shows one);
-- ids and digests are bytes; what has parts is JSON text. Texts are compared by their bytes.
--
-- Every change is one call of one function, and so one statement: it holds no lock while a client
-- thinks, and a client that goes away leaves nothing half-made. Each first takes its realm's row:
-- changes of one realm happen one after the other, their epochs are in the order of their commits,
-- quotas and names are counted when nobody else can add, and no two changes wait for each other in
-- a circle. Each statement within a function sees what was committed before it began, so what is
-- read after the lock is up to date; that is true under READ COMMITTED only.

CREATE TABLE keyfob.realms (
    realm      text   COLLATE "C" PRIMARY KEY,
    epoch      bigint NOT NULL,
    last_event bigint NOT NULL
-- Rewritten with every change: room for its next versions on the same page keeps that cheap.
) WITH (fillfactor = 10);

CREATE TABLE keyfob.owners (
    realm      text   COLLATE "C" NOT NULL,
    owner      text   COLLATE "C" NOT NULL,
    standing   bigint NOT NULL CHECK (standing IN (0, 1, 2)),
    -- Generation 0 would be an owner that tokens can be bound to before it exists.
    generation bigint NOT NULL CHECK (generation BETWEEN 1 AND 4294967295),
    sequence   bigint NOT NULL CHECK (sequence >= 0),
    changed_at bigint,
    PRIMARY KEY (realm, owner)
) WITH (fillfactor = 50);

-- A sequence and not an identity: a number is given under the realm's lock, so numbers grow in the
-- order of commits, and a pruned token's number is never given again.
CREATE SEQUENCE keyfob.numbers;

-- A token is a row here and a row of `states`. The server writes a row anew whenever anything in it
-- changes, and with it an entry of every index that its table has. What is here seldom changes.
CREATE TABLE keyfob.tokens (
    number              bigint PRIMARY KEY,
    realm               text   COLLATE "C" NOT NULL,
    id                  bytea  NOT NULL CHECK (length(id) = 16),
    owner               text   COLLATE "C" NOT NULL,
    owner_generation    bigint NOT NULL CHECK (owner_generation >= 1),
    creator             text   NOT NULL,
    parent              bytea  CHECK (length(parent) = 16),
    kind                text   COLLATE "C" NOT NULL,
    prefix              text   NOT NULL,
    note                text   NOT NULL,
    scopes              text   NOT NULL,
    not_before          bigint,
    -- NULL is "never": no number may mean that.
    expires_at          bigint,
    created_at          bigint NOT NULL,
    scheme              text   COLLATE "C" NOT NULL,
    digest_key          text   COLLATE "C",
    digest              bytea  NOT NULL CHECK (length(digest) = 32),
    binding             bytea  NOT NULL CHECK (length(binding) = 32),
    generation          bigint NOT NULL CHECK (generation >= 1),
    secret_issued_at    bigint NOT NULL,
    previous_scheme     text,
    previous_key        text,
    previous_digest     bytea  CHECK (length(previous_digest) = 32),
    previous_ends_at    bigint,
    bypasses_two_factor bigint NOT NULL CHECK (bypasses_two_factor IN (0, 1)),
    constraints         text   NOT NULL,
    hint                text   NOT NULL,
    CHECK ((previous_digest IS NULL) = (previous_ends_at IS NULL)),
    CHECK ((previous_digest IS NULL) = (previous_scheme IS NULL))
);

CREATE UNIQUE INDEX tokens_by_id ON keyfob.tokens (realm, id);
-- A key that is absent is compared as the empty text: NULLs are distinct, and two rows with the
-- same unkeyed digest must not be.
CREATE UNIQUE INDEX tokens_by_digest ON keyfob.tokens (realm, digest, scheme, coalesce(digest_key, ''));
-- Lists of one owner and of the whole realm are each read in their order, from wherever a page
-- begins. There is one exception: every change of every token would have to rewrite an index of the
-- realm by change.
CREATE INDEX tokens_by_realm ON keyfob.tokens (realm, number);
CREATE INDEX tokens_by_owner ON keyfob.tokens (realm, owner, number);
CREATE INDEX tokens_by_owner_created ON keyfob.tokens (realm, owner, created_at, number);
CREATE INDEX tokens_by_owner_expiry ON keyfob.tokens (realm, owner, coalesce(expires_at, 9223372036854775807), number);
CREATE INDEX tokens_by_created ON keyfob.tokens (realm, created_at, number);
CREATE INDEX tokens_by_expiry ON keyfob.tokens (realm, coalesce(expires_at, 9223372036854775807), number);
CREATE INDEX tokens_by_parent ON keyfob.tokens (realm, parent) WHERE parent IS NOT NULL;

-- What changes in the life of a token. Realm, owner and kind are the token's, for the indexes only.
CREATE TABLE keyfob.states (
    number           bigint PRIMARY KEY,
    realm            text   COLLATE "C" NOT NULL,
    owner            text   COLLATE "C" NOT NULL,
    kind             text   COLLATE "C" NOT NULL,
    name             text   COLLATE "C" NOT NULL,
    state            bigint NOT NULL CHECK (state IN (0, 1, 2)),
    ended            text,
    ended_at         bigint,
    changed_at       bigint NOT NULL,
    changed_sequence bigint NOT NULL CHECK (changed_sequence >= 1),
    last_used_at     bigint,
    last_used_from   text,
    -- The addresses that it was used from, the oldest first.
    known_addresses  text[],
    use_count        bigint NOT NULL CHECK (use_count >= 0),
    spent            bigint NOT NULL CHECK (spent >= 0),
    version          bigint NOT NULL CHECK (version >= 1),
    -- A row that says it ended must say how, and one that is active must not.
    CHECK ((state = 0) = (ended IS NULL AND ended_at IS NULL))
-- Uses are written into the row; with room beside it no index has to hear of them.
) WITH (fillfactor = 70);

CREATE INDEX states_by_owner_changed ON keyfob.states (realm, owner, changed_at, number);
CREATE INDEX states_by_name ON keyfob.states (realm, owner, kind, name) WHERE state <> 2;

-- Whole tokens. `+ 0` keeps the server from merging the tables by number: for the first page of an
-- owner's list it would read the states of all tokens that are older than the owner's.
CREATE VIEW keyfob.records AS
    SELECT t.*, s.name, s.state, s.ended, s.ended_at, s.changed_at, s.changed_sequence,
        s.last_used_at, s.last_used_from, s.use_count, s.spent, s.version
    FROM keyfob.tokens t JOIN keyfob.states s ON s.number = t.number + 0;

CREATE TABLE keyfob.issued (
    realm           text  COLLATE "C" NOT NULL,
    owner           text  COLLATE "C" NOT NULL,
    idempotency_key text  COLLATE "C" NOT NULL,
    id              bytea NOT NULL CHECK (length(id) = 16),
    PRIMARY KEY (realm, owner, idempotency_key)
);

CREATE TABLE keyfob.events (
    realm    text   COLLATE "C" NOT NULL,
    sequence bigint NOT NULL,
    token    bytea,
    owner    text   COLLATE "C",
    event    text   NOT NULL,
    PRIMARY KEY (realm, sequence)
);

CREATE INDEX events_by_token ON keyfob.events (realm, token, sequence) WHERE token IS NOT NULL;
CREATE INDEX events_by_owner ON keyfob.events (realm, owner, sequence) WHERE owner IS NOT NULL;

CREATE TABLE keyfob.changes (
    realm text   COLLATE "C" NOT NULL,
    epoch bigint NOT NULL,
    -- One of the two, or neither: then everything was touched.
    token bytea  CHECK (length(token) = 16),
    owner text   COLLATE "C",
    -- When it was made, by this server's clock.
    at    bigint NOT NULL,
    PRIMARY KEY (realm, epoch),
    CHECK (token IS NULL OR owner IS NULL)
);

-- Who remembers what it read here, and up to which epoch it has forgotten what changed.
CREATE TABLE keyfob.nodes (
    realm   text   COLLATE "C" NOT NULL,
    node    bytea  NOT NULL CHECK (length(node) = 16),
    applied bigint NOT NULL,
    bound   bigint NOT NULL,
    at      bigint NOT NULL,
    PRIMARY KEY (realm, node)
);

CREATE TABLE keyfob.factors (
    realm   text   COLLATE "C" NOT NULL,
    owner   text   COLLATE "C" NOT NULL,
    method  text   COLLATE "C" NOT NULL,
    version bigint NOT NULL CHECK (version >= 1),
    -- NULL is a factor that was removed: its version is never given again.
    sealed  bytea,
    PRIMARY KEY (realm, owner, method)
);

CREATE TABLE keyfob.attempts (
    realm   text COLLATE "C" NOT NULL,
    owner   text COLLATE "C" NOT NULL,
    counter text COLLATE "C" NOT NULL,
    made    text COLLATE "C" NOT NULL,
    PRIMARY KEY (realm, owner, counter)
);

CREATE TABLE keyfob.marks (
    realm text  COLLATE "C" NOT NULL,
    owner text  COLLATE "C" NOT NULL,
    mark  text  COLLATE "C" NOT NULL,
    -- Eight bytes, the first the greatest: they compare like the numbers, and hold every one.
    value bytea NOT NULL CHECK (length(value) = 8),
    PRIMARY KEY (realm, owner, mark)
);

-- Microseconds since 1970, by this server's clock. It is the time of the whole cluster.
CREATE FUNCTION keyfob.now_micros() RETURNS bigint LANGUAGE sql AS $$
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
$$;

-- Makes this transaction wait for the disk when it commits. A revocation that was acknowledged and
-- lost in a crash is a token that is alive again; a lost attempt is a free one.
CREATE FUNCTION keyfob.durably() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    RETURN true;
END $$;

-- Makes this transaction the only one that changes the realm.
CREATE FUNCTION keyfob.lock_realm(in_realm text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'keyfob needs READ COMMITTED, not %', current_setting('transaction_isolation');
    END IF;
    PERFORM keyfob.durably();
    PERFORM FROM keyfob.realms WHERE realm = in_realm FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        INSERT INTO keyfob.realms VALUES (in_realm, 0, 0) ON CONFLICT DO NOTHING;
        PERFORM FROM keyfob.realms WHERE realm = in_realm FOR NO KEY UPDATE;
    END IF;
END $$;

-- Ends a change: the next epoch, what it touched (both null is everything), and its event.
CREATE FUNCTION keyfob.advance(
    in_realm text, touched_token bytea, touched_owner text, event_token bytea, event_owner text, event text
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    now_epoch bigint;
    now_event bigint;
BEGIN
    UPDATE keyfob.realms r SET epoch = r.epoch + 1, last_event = r.last_event + 1
        WHERE r.realm = in_realm RETURNING r.epoch, r.last_event INTO now_epoch, now_event;
    INSERT INTO keyfob.changes
        VALUES (in_realm, now_epoch, touched_token, touched_owner, keyfob.now_micros());
    -- A reader that is further behind than 10,000 has missed seconds of the fastest writer; it
    -- starts anew. By the hundred, since a delete costs as much for one row as for many.
    IF now_epoch % 100 = 0 THEN
        DELETE FROM keyfob.changes c WHERE c.realm = in_realm AND c.epoch <= now_epoch - 10000;
    END IF;
    INSERT INTO keyfob.events VALUES (in_realm, now_event, event_token, event_owner, event);
    RETURN now_epoch;
END $$;

-- An event of something that changed no token, and so begins no epoch; the caller has the realm.
CREATE FUNCTION keyfob.append(in_realm text, event_token bytea, event_owner text, event text)
RETURNS void LANGUAGE sql AS $$
    WITH realm AS (
        UPDATE keyfob.realms SET last_event = last_event + 1 WHERE realm = in_realm RETURNING last_event)
    INSERT INTO keyfob.events SELECT in_realm, last_event, event_token, event_owner, event FROM realm
$$;

-- Sets a factor and tells of it, if it has the expected version; zero is none.
CREATE FUNCTION keyfob.change_factor(
    in_realm text, of_owner text, of_method text, expects bigint, bytes bytea,
    event_token bytea, event_owner text, event text
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    before keyfob.factors;
BEGIN
    PERFORM keyfob.lock_realm(in_realm);
    SELECT * INTO before FROM keyfob.factors f
        WHERE f.realm = in_realm AND f.owner = of_owner AND f.method = of_method FOR UPDATE;
    IF (CASE WHEN before.sealed IS NULL THEN 0 ELSE before.version END) <> expects THEN
        RETURN 0;
    END IF;
    IF expects > 0 OR bytes IS NOT NULL THEN
        INSERT INTO keyfob.factors AS f VALUES (in_realm, of_owner, of_method, 1, bytes)
        ON CONFLICT (realm, owner, method) DO UPDATE SET sealed = bytes, version = f.version + 1
            WHERE f.version = before.version AND (f.sealed IS NULL) = (before.sealed IS NULL);
        -- Somebody else has set one that was not there to be locked.
        IF NOT FOUND THEN RETURN 0; END IF;
    END IF;
    PERFORM keyfob.append(in_realm, event_token, event_owner, event);
    RETURN 1;
END $$;

-- The owner's next sequence number; a first token makes the owner known.
CREATE FUNCTION keyfob.next_sequence(in_realm text, of_owner text) RETURNS bigint LANGUAGE sql AS $$
    INSERT INTO keyfob.owners AS o VALUES (in_realm, of_owner, 0, 1, 1, NULL)
    ON CONFLICT (realm, owner) DO UPDATE SET sequence = o.sequence + 1 RETURNING sequence;
$$;

-- Whether the presenting token, if there is one, is live and of the version that was seen.
CREATE FUNCTION keyfob.is_presented(in_realm text, presenter bytea, seen bigint, at bigint)
RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT presenter IS NULL OR EXISTS (
        SELECT FROM keyfob.records t LEFT JOIN LATERAL (
            SELECT * FROM keyfob.owners o WHERE o.realm = t.realm AND o.owner = t.owner LIMIT 1
        ) o ON true
        WHERE t.realm = in_realm AND t.id = presenter AND t.version = seen AND t.state = 0
          AND (t.not_before IS NULL OR t.not_before <= at)
          AND (t.expires_at IS NULL OR t.expires_at > at)
          AND coalesce(o.standing, 0) = 0 AND coalesce(o.generation, 1) = t.owner_generation);
$$;

-- What a filter selects. The planner sees through it, so an owner's tokens are found by index.
CREATE FUNCTION keyfob.selects(
    t keyfob.records, of_owner text, of_owners text[], except_owners text[], of_kind text,
    of_name text, of_parent bytea, in_states bigint[], outlives bigint, expired_at bigint,
    created_from bigint, created_before bigint
) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT (of_owner IS NULL OR t.owner = of_owner)
       AND (of_owners IS NULL OR t.owner = ANY (of_owners))
       AND (except_owners IS NULL OR t.owner <> ALL (except_owners))
       AND (of_kind IS NULL OR t.kind = of_kind)
       AND (of_name IS NULL OR t.name = of_name)
       AND (of_parent IS NULL OR t.parent = of_parent)
       AND (in_states IS NULL OR t.state = ANY (in_states))
       AND (outlives IS NULL OR t.expires_at IS NULL OR t.expires_at >= outlives)
       AND (expired_at IS NULL OR t.expires_at <= expired_at)
       AND (created_from IS NULL OR t.created_at >= created_from)
       AND (created_before IS NULL OR t.created_at < created_before);
$$;

CREATE FUNCTION keyfob.insert_token(
    in_realm text, new_row text, quota bigint, unique_name boolean, presenter bytea, seen bigint,
    key text, event_token bytea, event_owner text, event text
) RETURNS TABLE (outcome text, issued bytea, number bigint, sequence bigint, epoch bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    columns jsonb := new_row::jsonb;
    token keyfob.tokens := jsonb_populate_record(NULL::keyfob.tokens, columns);
    life keyfob.states := jsonb_populate_record(NULL::keyfob.states, columns);
    is_active boolean;
    live bigint;
BEGIN
    PERFORM keyfob.lock_realm(in_realm);
    SELECT i.id INTO issued FROM keyfob.issued i
        WHERE i.realm = in_realm AND i.owner = token.owner AND i.idempotency_key = key;
    IF FOUND THEN
        outcome := 'already_issued'; RETURN NEXT; RETURN;
    END IF;
    IF NOT keyfob.is_presented(in_realm, presenter, seen, token.created_at) THEN
        outcome := 'presenter_changed'; RETURN NEXT; RETURN;
    END IF;
    -- An owner that nobody has spoken of is active, in generation 1.
    SELECT coalesce(max(o.standing), 0) = 0 AND coalesce(max(o.generation), 1) = token.owner_generation
        INTO is_active FROM keyfob.owners o WHERE o.realm = in_realm AND o.owner = token.owner;
    IF NOT is_active THEN
        outcome := 'owner_not_active'; RETURN NEXT; RETURN;
    END IF;
    IF unique_name AND EXISTS (
        SELECT FROM keyfob.states s WHERE s.realm = in_realm AND s.owner = token.owner
            AND s.kind = token.kind AND s.name = life.name AND s.state <> 2)
    THEN
        outcome := 'name_taken'; RETURN NEXT; RETURN;
    END IF;
    IF quota IS NOT NULL THEN
        SELECT count(*) INTO live FROM keyfob.states s JOIN keyfob.tokens t USING (number)
            WHERE s.realm = in_realm AND s.owner = token.owner AND s.kind = token.kind AND s.state <> 2
            AND (t.expires_at IS NULL OR t.expires_at > token.created_at);
        IF live >= quota THEN
            outcome := 'quota_reached'; RETURN NEXT; RETURN;
        END IF;
    END IF;
    IF EXISTS (SELECT FROM keyfob.tokens t WHERE t.realm = in_realm AND t.id = token.id)
        OR EXISTS (SELECT FROM keyfob.tokens t WHERE t.realm = in_realm AND t.digest = token.digest
            AND t.scheme = token.scheme AND coalesce(t.digest_key, '') = coalesce(token.digest_key, ''))
    THEN
        outcome := 'duplicate'; RETURN NEXT; RETURN;
    END IF;
    token.number := nextval('keyfob.numbers');
    life.number := token.number;
    life.changed_sequence := keyfob.next_sequence(in_realm, token.owner);
    life.version := 1;
    INSERT INTO keyfob.tokens VALUES (token.*);
    INSERT INTO keyfob.states VALUES (life.*);
    IF key IS NOT NULL THEN
        INSERT INTO keyfob.issued VALUES (in_realm, token.owner, key, token.id);
    END IF;
    outcome := 'stored';
    number := token.number;
    sequence := life.changed_sequence;
    epoch := keyfob.advance(in_realm, token.id, NULL, event_token, event_owner, event);
    RETURN NEXT;
END $$;

-- Revokes these, each as the next version of its row. None may be revoked.
CREATE FUNCTION keyfob.end_tokens(in_realm text, these bigint[], how text, at bigint)
RETURNS void LANGUAGE sql AS $$
    WITH chosen AS (
        SELECT s.number, s.owner, row_number() OVER (PARTITION BY s.owner ORDER BY s.number) AS place
        FROM keyfob.states s WHERE s.number = ANY (these)
    ), raised AS (
        UPDATE keyfob.owners o SET sequence = o.sequence + c.many
        FROM (SELECT owner, count(*) AS many FROM chosen GROUP BY owner) c
        WHERE o.realm = in_realm AND o.owner = c.owner
        RETURNING o.owner, o.sequence - c.many AS before
    )
    UPDATE keyfob.states s SET state = 2, ended = how, ended_at = at,
        changed_at = greatest(s.changed_at, at), version = s.version + 1,
        changed_sequence = r.before + c.place
    FROM chosen c JOIN raised r ON r.owner = c.owner
    WHERE s.number = c.number;
$$;

CREATE FUNCTION keyfob.change_token(
    in_realm text, of_id bytea, expects bigint, patch text, cascades boolean, presenter bytea,
    seen bigint, at bigint, event_token bytea, event_owner text, event text
) RETURNS TABLE (outcome text, epoch bigint, cascaded bytea[], token keyfob.records)
LANGUAGE plpgsql AS $$
DECLARE
    minted bigint[];
BEGIN
    PERFORM keyfob.lock_realm(in_realm);
    SELECT * INTO token FROM keyfob.records t WHERE t.realm = in_realm AND t.id = of_id;
    outcome := CASE
        WHEN token.number IS NULL THEN 'missing'
        WHEN token.state = 2 THEN 'revoked'
        WHEN token.version <> expects THEN 'conflict'
        WHEN NOT keyfob.is_presented(in_realm, presenter, seen, at) THEN 'presenter_changed'
        ELSE 'done' END;
    IF outcome <> 'done' THEN
        RETURN NEXT; RETURN;
    END IF;
    token := jsonb_populate_record(token, patch::jsonb);
    token.changed_at := greatest(token.changed_at, at);
    token.changed_sequence := keyfob.next_sequence(in_realm, token.owner);
    token.version := token.version + 1;
    UPDATE keyfob.states s SET
        name = token.name, state = token.state, ended = token.ended, ended_at = token.ended_at,
        changed_at = token.changed_at, changed_sequence = token.changed_sequence,
        version = token.version
    WHERE s.number = token.number;
    IF patch::jsonb - '{name, state, ended, ended_at}'::text[] <> '{}' THEN
        UPDATE keyfob.tokens t SET
            note = token.note, scopes = token.scopes, not_before = token.not_before,
            expires_at = token.expires_at, scheme = token.scheme, digest_key = token.digest_key,
            digest = token.digest, binding = token.binding, generation = token.generation,
            secret_issued_at = token.secret_issued_at, previous_scheme = token.previous_scheme,
            previous_key = token.previous_key, previous_digest = token.previous_digest,
            previous_ends_at = token.previous_ends_at, prefix = token.prefix, hint = token.hint,
            bypasses_two_factor = token.bypasses_two_factor, constraints = token.constraints
        WHERE t.number = token.number;
    END IF;
    cascaded := '{}';
    IF cascades AND token.state = 2 THEN
        WITH RECURSIVE below AS (
            SELECT t.number, t.id FROM keyfob.tokens t WHERE t.realm = in_realm AND t.parent = of_id
            UNION SELECT c.number, c.id FROM keyfob.tokens c JOIN below b ON c.realm = in_realm AND c.parent = b.id)
        SELECT array_agg(b.number), coalesce(array_agg(b.id), '{}') INTO minted, cascaded
            FROM below b JOIN keyfob.states s USING (number) WHERE s.state <> 2;
        PERFORM keyfob.end_tokens(in_realm, minted, token.ended, token.ended_at);
    END IF;
    epoch := keyfob.advance(in_realm, CASE WHEN cascaded = '{}' THEN of_id END, NULL,
        event_token, event_owner, event);
    RETURN NEXT;
END $$;

CREATE FUNCTION keyfob.revoke_tokens(
    in_realm text, of_owner text, of_owners text[], except_owners text[], of_kind text,
    of_name text, of_parent bytea, in_states bigint[], outlives bigint, expired_at bigint,
    created_from bigint, created_before bigint, except_id bytea, how text, at bigint,
    event_token bytea, event_owner text, event text
) RETURNS TABLE (ids bytea[], epoch bigint) LANGUAGE plpgsql AS $$
DECLARE
    these bigint[];
BEGIN
    PERFORM keyfob.lock_realm(in_realm);
    SELECT array_agg(t.number), coalesce(array_agg(t.id), '{}') INTO these, ids FROM keyfob.records t
        WHERE t.realm = in_realm AND t.state <> 2 AND t.id IS DISTINCT FROM except_id
          AND keyfob.selects(t, of_owner, of_owners, except_owners, of_kind, of_name, of_parent,
              in_states, outlives, expired_at, created_from, created_before);
    PERFORM keyfob.end_tokens(in_realm, these, how, at);
    epoch := keyfob.advance(in_realm, NULL, of_owner, event_token, event_owner, event);
    RETURN NEXT;
END $$;

CREATE FUNCTION keyfob.set_owner(
    in_realm text, of_owner text, new_standing bigint, at bigint, presenter bytea, seen bigint,
    how text, event_token bytea, event_owner text, event text
) RETURNS TABLE (outcome text, epoch bigint, standing bigint, generation bigint, sequence bigint, changed_at bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    before keyfob.owners;
    these bigint[];
BEGIN
    PERFORM keyfob.lock_realm(in_realm);
    IF NOT keyfob.is_presented(in_realm, presenter, seen, at) THEN
        outcome := 'presenter_changed'; RETURN NEXT; RETURN;
    END IF;
    SELECT * INTO before FROM keyfob.owners o WHERE o.realm = in_realm AND o.owner = of_owner;
    IF coalesce(before.standing, 0) = new_standing THEN
        outcome := 'same';
        epoch := (SELECT r.epoch FROM keyfob.realms r WHERE r.realm = in_realm);
    ELSE
        INSERT INTO keyfob.owners AS o VALUES (in_realm, of_owner, new_standing, 1, 1, at)
        ON CONFLICT (realm, owner) DO UPDATE SET
            standing = new_standing, changed_at = at, sequence = o.sequence + 1,
            -- Leaving deletion begins the next generation.
            generation = CASE WHEN o.standing = 2 THEN o.generation + 1 ELSE o.generation END;
        IF new_standing = 2 THEN
            SELECT array_agg(s.number) INTO these FROM keyfob.states s
                WHERE s.realm = in_realm AND s.owner = of_owner AND s.state <> 2;
            PERFORM keyfob.end_tokens(in_realm, these, how, at);
        END IF;
        outcome := 'done';
        epoch := keyfob.advance(in_realm, NULL, of_owner, event_token, event_owner, event);
    END IF;
    SELECT o.standing, o.generation, o.sequence, o.changed_at INTO standing, generation, sequence, changed_at
        FROM keyfob.owners o WHERE o.realm = in_realm AND o.owner = of_owner;
    RETURN NEXT;
END $$;

-- The address goes with the latest use, so both move together or not at all.
CREATE FUNCTION keyfob.mark_used(
    in_realm text, ids bytea[], ats bigint[], froms text[], counts bigint[], new_events text[], kept bigint
) RETURNS bytea[] LANGUAGE plpgsql AS $$
DECLARE
    one record;
    met bigint;
    told bytea[] := '{}';
BEGIN
    PERFORM keyfob.lock_realm(in_realm);
    WITH uses AS (
        SELECT id, sum(many) AS many, max(at) AS at, (array_agg("from" ORDER BY at DESC NULLS LAST, place))[1] AS "from"
        FROM unnest(ids, ats, froms, counts) WITH ORDINALITY AS u (id, at, "from", many, place) GROUP BY id)
    UPDATE keyfob.states s SET
        last_used_from = CASE WHEN s.last_used_at IS NULL OR u.at > s.last_used_at THEN u."from" ELSE s.last_used_from END,
        last_used_at = greatest(s.last_used_at, u.at),
        use_count = s.use_count + u.many
    FROM uses u JOIN keyfob.tokens t ON t.realm = in_realm AND t.id = u.id
    WHERE s.number = t.number;
    -- Few are from anywhere new. Each looks again, since two may be from the same place.
    FOR one IN
        SELECT t.number, t.id, u."from", u.event
        FROM unnest(ids, froms, new_events) WITH ORDINALITY AS u (id, "from", event, place)
            JOIN keyfob.tokens t ON t.realm = in_realm AND t.id = u.id
            JOIN keyfob.states s ON s.number = t.number
        WHERE u."from" IS NOT NULL AND u."from" <> ALL (coalesce(s.known_addresses, '{}')) ORDER BY u.place
    LOOP
        UPDATE keyfob.states s SET known_addresses =
            (s.known_addresses || one."from")[greatest(1, cardinality(s.known_addresses) + 2 - kept):]
        WHERE s.number = one.number AND one."from" <> ALL (coalesce(s.known_addresses, '{}'))
        RETURNING cardinality(s.known_addresses) INTO met;
        IF FOUND AND met > 1 AND one.event IS NOT NULL THEN
            PERFORM keyfob.append(in_realm, one.id, one.event::jsonb ->> 'owner', one.event);
            told := told || one.id;
        END IF;
    END LOOP;
    RETURN told;
END $$;

-- The row's own lock orders those who want the last use: each looks at what the one before it left.
CREATE FUNCTION keyfob.spend(in_realm text, of_id bytea, uses bigint) RETURNS bigint LANGUAGE sql AS $$
    WITH spent AS (
        UPDATE keyfob.states s SET spent = s.spent + 1 FROM keyfob.tokens t
        WHERE t.realm = in_realm AND t.id = of_id AND s.number = t.number
            AND s.state = 0 AND s.spent < uses
        RETURNING 1)
    SELECT count(*) FROM spent;
$$;

CREATE FUNCTION keyfob.prune(in_realm text, dead_before bigint, most bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    pruned bigint;
BEGIN
    PERFORM keyfob.lock_realm(in_realm);
    WITH dead AS (
        SELECT t.number FROM keyfob.records t
        WHERE t.realm = in_realm AND (t.expires_at < dead_before OR (t.state = 2 AND t.ended_at < dead_before))
          AND NOT EXISTS (SELECT FROM keyfob.tokens c WHERE c.realm = in_realm AND c.parent = t.id)
        ORDER BY t.number LIMIT most
    ), states AS (
        DELETE FROM keyfob.states s USING dead d WHERE s.number = d.number
    )
    DELETE FROM keyfob.tokens t USING dead d WHERE t.number = d.number;
    GET DIAGNOSTICS pruned = ROW_COUNT;
    RETURN pruned;
END $$;
