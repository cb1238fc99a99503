-- What the admin API stands on: the audit's chain, tokens, keys of repeated calls, live events, acknowledged alerts.
SET LOCAL lock_timeout = '10s';

-- What must be numbered in the order of its commits is numbered at the commit: the triggers are deferred, and this lock
-- is the last that a transaction takes, so that nobody waits in a circle.
CREATE FUNCTION yakin.in_commit_order() RETURNS void
    LANGUAGE sql SET search_path = pg_catalog
BEGIN ATOMIC
    SELECT pg_advisory_xact_lock(7284417);
END;
REVOKE ALL ON FUNCTION yakin.in_commit_order() FROM PUBLIC;

-- The audit's chain: each act's digest covers the one before. Whoever keeps a digest (the month's evidence does) can
-- show that nothing before it was changed, added or removed.
CREATE TABLE yakin.audit_chain (
    seq bigint PRIMARY KEY CHECK (seq > 0),
    audit_id bigint NOT NULL UNIQUE,
    digest bytea NOT NULL CHECK (length(digest) = 32)
);
COMMENT ON TABLE yakin.audit_chain IS '監査の鎖: 各行の要約値は前の行を含む (欠番なし、追記のみ)';
CREATE TRIGGER audit_chain_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON yakin.audit_chain
    FOR EACH STATEMENT EXECUTE FUNCTION yakin.refuse_change();
GRANT SELECT ON yakin.audit_chain TO yakin_engine;

-- SHA-256 over the digest before and the act as a JSON array: id, microseconds since 1970, actor, action, subject,
-- reason, details.
CREATE FUNCTION yakin.audit_digest(before bytea, act yakin.audit) RETURNS bytea
    LANGUAGE sql STABLE SET search_path = pg_catalog
BEGIN ATOMIC
    SELECT sha256(before || convert_to(jsonb_build_array(
        act.id, (extract(epoch FROM act.real_time) * 1000000)::bigint, act.actor, act.action, act.subject, act.reason,
        act.details)::text, 'UTF8'));
END;

CREATE FUNCTION yakin.chain_act() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    last yakin.audit_chain;
BEGIN
    PERFORM yakin.in_commit_order();
    SELECT * INTO last FROM yakin.audit_chain ORDER BY seq DESC LIMIT 1;
    INSERT INTO yakin.audit_chain (seq, audit_id, digest)
    VALUES (coalesce(last.seq, 0) + 1, NEW.id, yakin.audit_digest(coalesce(last.digest, ''), NEW));
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION yakin.chain_act() FROM PUBLIC;
DO $$
DECLARE
    act yakin.audit;
    so_far bytea := '';
    n bigint := 0;
BEGIN
    FOR act IN SELECT * FROM yakin.audit ORDER BY id LOOP
        n := n + 1;
        so_far := yakin.audit_digest(so_far, act);
        INSERT INTO yakin.audit_chain (seq, audit_id, digest) VALUES (n, act.id, so_far);
    END LOOP;
END $$;
CREATE CONSTRAINT TRIGGER audit_chained AFTER INSERT ON yakin.audit
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION yakin.chain_act();

-- Who may ask over HTTP. Of the token itself only the digest is kept.
CREATE TABLE yakin.api_tokens (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    role text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    tenants bigint[] CHECK (cardinality(tenants) > 0),
    sha256 bytea NOT NULL CHECK (length(sha256) = 32),
    created_by text NOT NULL,
    real_created timestamptz NOT NULL DEFAULT clock_timestamp(),
    real_expires timestamptz NOT NULL,
    real_revoked timestamptz,
    real_used timestamptz,
    CHECK (tenants IS NULL OR role <> 'admin')
);
COMMENT ON TABLE yakin.api_tokens IS '管理 API のトークン (要約値だけを持つ)';
COMMENT ON COLUMN yakin.api_tokens.tenants IS 'このテナントだけを扱える (NULL = すべて)';
GRANT SELECT, INSERT, UPDATE ON yakin.api_tokens TO yakin_engine;

-- A call that starts a run may be repeated under the same key and starts none again.
CREATE TABLE yakin.start_keys (
    caller text NOT NULL,
    key text NOT NULL,
    request_sha256 bytea NOT NULL CHECK (length(request_sha256) = 32),
    run_id bigint NOT NULL REFERENCES yakin.runs (id) ON DELETE CASCADE,
    real_created timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (caller, key)
);
COMMENT ON TABLE yakin.start_keys IS '実行を始める呼び出しのべき等キー (7日)';
CREATE INDEX start_keys_old ON yakin.start_keys (real_created);
CREATE INDEX start_keys_run ON yakin.start_keys (run_id);
GRANT SELECT, INSERT, DELETE ON yakin.start_keys TO yakin_engine;

-- An end of an attempt asks which of its lanes have a cap: few have, and it should not read the others.
CREATE INDEX lanes_capped ON yakin.lanes (queue, tenant_id) WHERE cap IS NOT NULL;

ALTER TABLE yakin.alerts
    ADD COLUMN acknowledged_at timestamptz,
    ADD COLUMN acknowledged_by text;
COMMENT ON COLUMN yakin.alerts.acknowledged_at IS '人が引き受けた時刻 (以後、思い出させない)';

-- What people watch live, numbered in the order of commits.
CREATE TABLE yakin.events (
    id bigint PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('run', 'firing', 'alert')),
    batch_id text,
    data jsonb NOT NULL,
    real_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE yakin.events IS '実況: 実行・予定・アラートの変化 (1日)';
CREATE INDEX events_old ON yakin.events (real_at);
GRANT SELECT, DELETE ON yakin.events TO yakin_engine;
CREATE SEQUENCE yakin.event_numbers;

CREATE FUNCTION yakin.tell() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    now_is jsonb := to_jsonb(NEW);
    told jsonb;
BEGIN
    told := CASE TG_TABLE_NAME
        WHEN 'runs' THEN jsonb_build_object(
            'run_id', now_is -> 'id', 'state', now_is -> 'state', 'phase', now_is -> 'phase',
            'waiting_for', now_is -> 'waiting_for', 'outcome', now_is -> 'outcome',
            'dry_run', now_is -> 'dry_run')
        WHEN 'firings' THEN jsonb_build_object(
            'planned_at', now_is -> 'planned_at', 'due_at', now_is -> 'due_at',
            'state', now_is -> 'state', 'outcome', now_is -> 'outcome', 'run_id', now_is -> 'run_id')
        ELSE jsonb_build_object(
            'alert_id', now_is -> 'id', 'rule', now_is -> 'rule', 'subject', now_is -> 'subject',
            'severity', now_is -> 'severity', 'message', now_is -> 'message',
            'state', CASE WHEN now_is ->> 'resolved_at' IS NOT NULL THEN 'resolved'
                          WHEN now_is ->> 'acknowledged_at' IS NOT NULL THEN 'acknowledged'
                          ELSE 'open' END)
    END;
    PERFORM yakin.in_commit_order();
    INSERT INTO yakin.events (id, kind, batch_id, data)
    VALUES (nextval('yakin.event_numbers'), rtrim(TG_TABLE_NAME, 's'), NEW.batch_id, told);
    PERFORM pg_notify('yakin_events', '');
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION yakin.tell() FROM PUBLIC;
CREATE CONSTRAINT TRIGGER run_begins AFTER INSERT ON yakin.runs
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION yakin.tell();
CREATE CONSTRAINT TRIGGER run_moves AFTER UPDATE ON yakin.runs
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((OLD.state, OLD.phase, OLD.waiting_for, OLD.outcome) IS DISTINCT FROM (NEW.state, NEW.phase, NEW.waiting_for, NEW.outcome))
    EXECUTE FUNCTION yakin.tell();
CREATE CONSTRAINT TRIGGER firing_moves AFTER UPDATE ON yakin.firings
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((OLD.state, OLD.due_at) IS DISTINCT FROM (NEW.state, NEW.due_at) AND NEW.outcome IS DISTINCT FROM 'withdrawn')
    EXECUTE FUNCTION yakin.tell();
CREATE CONSTRAINT TRIGGER alert_opens AFTER INSERT ON yakin.alerts
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION yakin.tell();
CREATE CONSTRAINT TRIGGER alert_moves AFTER UPDATE ON yakin.alerts
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((OLD.resolved_at, OLD.acknowledged_at) IS DISTINCT FROM (NEW.resolved_at, NEW.acknowledged_at))
    EXECUTE FUNCTION yakin.tell();
