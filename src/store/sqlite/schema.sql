-- Version 1. Instants are microseconds since 1970; ids and digests are bytes; the rest is text.

CREATE TABLE realms (
    realm      TEXT PRIMARY KEY,
    -- The last change's number. One row, raised in the change's own transaction: the order of
    -- epochs is the order of commits.
    epoch      INTEGER NOT NULL DEFAULT 0,
    last_event INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE owners (
    realm      TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    -- Not `IN (0, 1, 2)`: SQLite makes a table of a list of three, anew for each row.
    standing   INTEGER NOT NULL CHECK (standing BETWEEN 0 AND 2),
    -- Generation 0 would be an owner that tokens can be bound to before it exists.
    generation INTEGER NOT NULL CHECK (generation >= 1),
    sequence   INTEGER NOT NULL CHECK (sequence >= 0),
    changed_at INTEGER,
    PRIMARY KEY (realm, owner)
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
    -- AUTOINCREMENT: a pruned token's number is never given to another one.
    number              INTEGER PRIMARY KEY AUTOINCREMENT,
    realm               TEXT    NOT NULL,
    id                  BLOB    NOT NULL CHECK (length(id) = 16),
    owner               TEXT    NOT NULL,
    owner_generation    INTEGER NOT NULL CHECK (owner_generation >= 1),
    creator             TEXT    NOT NULL,
    parent              BLOB             CHECK (length(parent) = 16),
    kind                TEXT    NOT NULL,
    prefix              TEXT    NOT NULL,
    name                TEXT    NOT NULL,
    note                TEXT    NOT NULL,
    scopes              TEXT    NOT NULL,
    state               INTEGER NOT NULL CHECK (state BETWEEN 0 AND 2),
    ended               TEXT,
    ended_at            INTEGER,
    not_before          INTEGER,
    -- NULL is "never": no number may mean that.
    expires_at          INTEGER,
    created_at          INTEGER NOT NULL,
    changed_at          INTEGER NOT NULL,
    changed_sequence    INTEGER NOT NULL CHECK (changed_sequence >= 1),
    scheme              TEXT    NOT NULL,
    digest_key          TEXT,
    digest              BLOB    NOT NULL CHECK (length(digest) = 32),
    binding             BLOB    NOT NULL CHECK (length(binding) = 32),
    generation          INTEGER NOT NULL CHECK (generation >= 1),
    secret_issued_at    INTEGER NOT NULL,
    previous_scheme     TEXT,
    previous_key        TEXT,
    previous_digest     BLOB             CHECK (length(previous_digest) = 32),
    previous_ends_at    INTEGER,
    bypasses_two_factor INTEGER NOT NULL CHECK (bypasses_two_factor IN (0, 1)),
    constraints         TEXT    NOT NULL,
    spent               INTEGER NOT NULL CHECK (spent >= 0),
    hint                TEXT    NOT NULL,
    last_used_at        INTEGER,
    last_used_from      TEXT,
    -- The addresses that it was used from, the oldest first, with spaces between them.
    known_addresses     TEXT    NOT NULL DEFAULT '',
    use_count           INTEGER NOT NULL DEFAULT 0 CHECK (use_count >= 0),
    version             INTEGER NOT NULL CHECK (version >= 1),
    -- A row that says it ended must say how, and one that is active must not.
    CHECK ((state = 0) = (ended IS NULL AND ended_at IS NULL)),
    CHECK ((previous_digest IS NULL) = (previous_ends_at IS NULL)),
    CHECK ((previous_digest IS NULL) = (previous_scheme IS NULL))
) STRICT;

CREATE UNIQUE INDEX tokens_by_id ON tokens (realm, id);
-- A key that is absent is written as the empty text: NULLs are distinct, and two rows with the
-- same unkeyed digest must not be.
CREATE UNIQUE INDEX tokens_by_digest ON tokens (realm, digest, scheme, coalesce(digest_key, ''));
-- Every index ends with the row's number by itself: lists break ties by it. Those of one owner and
-- those of the whole realm are each read in their order, from wherever a page begins. There is one
-- exception: every change of every token would have to rewrite an index of the realm by change.
CREATE INDEX tokens_by_realm ON tokens (realm);
CREATE INDEX tokens_by_owner ON tokens (realm, owner);
CREATE INDEX tokens_by_owner_created ON tokens (realm, owner, created_at);
CREATE INDEX tokens_by_owner_changed ON tokens (realm, owner, changed_at);
CREATE INDEX tokens_by_owner_expiry ON tokens (realm, owner, coalesce(expires_at, 9223372036854775807));
CREATE INDEX tokens_by_created ON tokens (realm, created_at);
CREATE INDEX tokens_by_expiry ON tokens (realm, coalesce(expires_at, 9223372036854775807));
CREATE INDEX tokens_by_name ON tokens (realm, owner, kind, name) WHERE state <> 2;
CREATE INDEX tokens_by_parent ON tokens (realm, parent) WHERE parent IS NOT NULL;

CREATE TABLE issued (
    realm           TEXT NOT NULL,
    owner           TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    id              BLOB NOT NULL CHECK (length(id) = 16),
    PRIMARY KEY (realm, owner, idempotency_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    realm    TEXT    NOT NULL,
    sequence INTEGER NOT NULL,
    token    BLOB,
    owner    TEXT,
    event    TEXT    NOT NULL,
    PRIMARY KEY (realm, sequence)
) STRICT, WITHOUT ROWID;

CREATE INDEX events_by_token ON events (realm, token, sequence) WHERE token IS NOT NULL;
CREATE INDEX events_by_owner ON events (realm, owner, sequence) WHERE owner IS NOT NULL;

CREATE TABLE changes (
    realm TEXT    NOT NULL,
    epoch INTEGER NOT NULL,
    -- One of the two, or neither: then everything was touched.
    token BLOB    CHECK (length(token) = 16),
    owner TEXT,
    -- When it was made.
    at    INTEGER NOT NULL,
    PRIMARY KEY (realm, epoch),
    CHECK (token IS NULL OR owner IS NULL)
) STRICT, WITHOUT ROWID;

-- Who remembers what it read here, and up to which epoch it has forgotten what changed.
CREATE TABLE nodes (
    realm   TEXT    NOT NULL,
    node    BLOB    NOT NULL CHECK (length(node) = 16),
    applied INTEGER NOT NULL,
    bound   INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (realm, node)
) STRICT, WITHOUT ROWID;

CREATE TABLE factors (
    realm   TEXT    NOT NULL,
    owner   TEXT    NOT NULL,
    method  TEXT    NOT NULL,
    version INTEGER NOT NULL CHECK (version >= 1),
    -- NULL is a factor that was removed: its version is never given again.
    sealed  BLOB,
    PRIMARY KEY (realm, owner, method)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempts (
    realm   TEXT NOT NULL,
    owner   TEXT NOT NULL,
    counter TEXT NOT NULL,
    made    TEXT NOT NULL,
    PRIMARY KEY (realm, owner, counter)
) STRICT, WITHOUT ROWID;

CREATE TABLE marks (
    realm TEXT NOT NULL,
    owner TEXT NOT NULL,
    mark  TEXT NOT NULL,
    -- Eight bytes, the first the greatest: they compare like the numbers, and hold every one.
    value BLOB NOT NULL CHECK (length(value) = 8),
    PRIMARY KEY (realm, owner, mark)
) STRICT, WITHOUT ROWID;
