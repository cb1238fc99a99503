-- A row of each of the tenants 1 and 2 in every table that has a tenant. Business rules are not the subject here:
-- checks are dropped, foreign keys and triggers do not fire.
DO $$
DECLARE
    t record;
    names text;
    pieces text;
BEGIN
    SET LOCAL session_replication_role = replica;
    FOR t IN SELECT conrelid::regclass AS relation, conname FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid
              WHERE contype = 'c' AND coninhcount = 0 AND r.relnamespace::regnamespace::text IN ('app', 'yakin', 'staging') LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', t.relation, t.conname);
    END LOOP;
    FOR t IN SELECT c.oid::regclass AS relation, c.relkind FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
              WHERE c.relnamespace::regnamespace::text IN ('app', 'yakin', 'staging') AND c.relkind IN ('r', 'p')
                AND NOT c.relispartition AND a.attname = 'tenant_id' AND NOT a.attisdropped LOOP
        IF t.relkind = 'p' THEN PERFORM yakin.ensure_month(t.relation, '2026-11-01'); END IF;
        SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum),
               string_agg(CASE WHEN attname = 'tenant_id' THEN 'tenant'
                               WHEN typname IN ('text', 'varchar') THEN $q$'x' || tenant$q$
                               WHEN typname IN ('int2', 'int4', 'int8', 'numeric') THEN 'tenant'
                               WHEN typname IN ('timestamptz', 'date') THEN $q$'2026-11-15'$q$
                               WHEN typname = 'time' THEN $q$'10:00'$q$
                               WHEN typname = 'bool' THEN 'false'
                               WHEN typname IN ('json', 'jsonb') OR typname LIKE '\_%' THEN $q$'{}'$q$
                               WHEN typname = 'bytea' THEN $q$'\x00'$q$
                               ELSE format('''no value for type %s of %s''::integer', typname, t.relation) END,
                          ', ' ORDER BY attnum)
          INTO names, pieces
          FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
         WHERE attrelid = t.relation AND attnum > 0 AND NOT attisdropped
           AND (attname = 'tenant_id' OR attnotnull AND NOT atthasdef AND attidentity = '' AND attgenerated = '');
        EXECUTE format('INSERT INTO %s (%s) SELECT %s FROM generate_series(1, 2) AS tenant', t.relation, names, pieces);
    END LOOP;
END $$;
