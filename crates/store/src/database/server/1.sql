CREATE TABLE chain (
    number BIGINT PRIMARY KEY,
    replica TEXT NOT NULL,
    begun_ms BIGINT NOT NULL,
    origin BYTEA NOT NULL,
    link BIGINT NOT NULL,
    hash BYTEA NOT NULL
);

CREATE TABLE audit (
    seq BIGINT GENERATED ALWAYS AS IDENTITY,
    chain BIGINT NOT NULL,
    link BIGINT NOT NULL,
    day BIGINT NOT NULL,
    id TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    trace TEXT,
    authority TEXT NOT NULL,
    subject TEXT NOT NULL,
    roles TEXT NOT NULL,
    address TEXT,
    door TEXT NOT NULL,
    client TEXT,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    outcome TEXT NOT NULL,
    code TEXT,
    reason TEXT,
    duration_us BIGINT NOT NULL,
    argument_bytes BIGINT NOT NULL,
    output_bytes BIGINT,
    digest TEXT,
    arguments TEXT,
    hash BYTEA NOT NULL,
    PRIMARY KEY (chain, link, day)
) PARTITION BY RANGE (day);

CREATE INDEX audit_seq ON audit (seq);
CREATE INDEX audit_at ON audit (at_ms);

CREATE TABLE checkpoint (
    chain BIGINT NOT NULL,
    link BIGINT NOT NULL,
    kind TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    signature BYTEA NOT NULL,
    PRIMARY KEY (chain, link)
);

CREATE TABLE api_key (
    id TEXT PRIMARY KEY,
    mac BYTEA NOT NULL,
    subject TEXT NOT NULL,
    roles TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT,
    revoked_ms BIGINT,
    used_ms BIGINT
);

CREATE TABLE secret (
    name TEXT NOT NULL,
    principal TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    updated_ms BIGINT NOT NULL,
    PRIMARY KEY (name, principal)
);

CREATE TABLE vault (
    name TEXT NOT NULL,
    principal TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    updated_ms BIGINT NOT NULL,
    holder BIGINT,
    held_until_ms BIGINT,
    PRIMARY KEY (name, principal)
);

CREATE TABLE listing (
    server TEXT NOT NULL,
    defined_as TEXT NOT NULL,
    lists TEXT NOT NULL,
    updated_ms BIGINT NOT NULL,
    PRIMARY KEY (server, defined_as)
);

-- Counts the changes of API keys that matter, so that replicas need not read them all to see whether there are any.
CREATE TABLE api_key_changes (number BIGINT NOT NULL);
INSERT INTO api_key_changes VALUES (0);

CREATE FUNCTION count_api_key_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE toolcrib.api_key_changes SET number = number + 1;
    RETURN NULL;
END
$$;

CREATE TRIGGER api_key_changed AFTER INSERT OR DELETE OR UPDATE OF mac, subject, roles, expires_ms, revoked_ms ON api_key
    FOR EACH STATEMENT EXECUTE FUNCTION count_api_key_change();
