-- Roles of the walls between tenants, and the schemas. Roles belong to the whole cluster: created once, reused by
-- every database. Nothing here needs more than CREATEROLE; where the roles already stand, not even that.
DO $$
DECLARE wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['yakin_engine', 'yakin_tenant', 'yakin_platform'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I %s NOINHERIT NOBYPASSRLS', wanted,
                               CASE wanted WHEN 'yakin_engine' THEN 'LOGIN' ELSE 'NOLOGIN' END);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; -- another database's migration was first
            END;
        END IF;
    END LOOP;
    IF NOT pg_has_role('yakin_engine', 'yakin_tenant', 'MEMBER')
       OR NOT pg_has_role('yakin_engine', 'yakin_platform', 'MEMBER') THEN
        BEGIN
            GRANT yakin_tenant, yakin_platform TO yakin_engine;
        EXCEPTION WHEN unique_violation THEN NULL;
        END;
    END IF;
    -- CREATE on the database is not needed by anyone after this; sessions wear their roles by SET LOCAL ROLE.
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO yakin_engine', current_database());
END $$;

CREATE SCHEMA IF NOT EXISTS yakin;
CREATE SCHEMA IF NOT EXISTS app;
CREATE SCHEMA IF NOT EXISTS staging;
COMMENT ON SCHEMA yakin IS 'エンジン: 予定・実行・ジョブ・台帳';
COMMENT ON SCHEMA app IS '業務データ: テナントとその持ち物';
COMMENT ON SCHEMA staging IS '実行ごとの中間結果 (prepare が書き、tenant が読む)';

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA yakin TO yakin_engine;
GRANT USAGE ON SCHEMA app, staging TO yakin_tenant, yakin_platform;
GRANT USAGE ON SCHEMA yakin TO yakin_tenant, yakin_platform; -- for current_tenant() alone

-- The tenant of this transaction. Unset or empty is an error, never an empty result.
CREATE FUNCTION yakin.current_tenant() RETURNS bigint
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN current_setting('yakin.tenant')::bigint;

-- Puts a tenant-owned table behind the wall: row security forced, the tenant role sees its own rows, the platform
-- role sees all, and (engine tables only) the engine's role sees all.
CREATE PROCEDURE yakin.wall(relation regclass, tenant_rights text, platform_rights text, engine_rights text DEFAULT NULL)
    LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', relation);
    EXECUTE format('CREATE POLICY tenant ON %s TO yakin_tenant USING (tenant_id = yakin.current_tenant())', relation);
    EXECUTE format('CREATE POLICY platform ON %s TO yakin_platform USING (true)', relation);
    IF tenant_rights IS NOT NULL THEN
        EXECUTE format('GRANT %s ON %s TO yakin_tenant', tenant_rights, relation);
    END IF;
    IF platform_rights IS NOT NULL THEN
        EXECUTE format('GRANT %s ON %s TO yakin_platform', platform_rights, relation);
    END IF;
    IF engine_rights IS NOT NULL THEN
        EXECUTE format('CREATE POLICY engine ON %s TO yakin_engine USING (true)', relation);
        EXECUTE format('GRANT %s ON %s TO yakin_engine', engine_rights, relation);
    END IF;
END $$;
