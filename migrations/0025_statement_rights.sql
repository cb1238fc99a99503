-- An owner who may not read others' statements sees none: that is "not configured", not "nothing happened".
CREATE OR REPLACE FUNCTION app.statement_figures() RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE place name; figures jsonb;
BEGIN
    SELECT nspname INTO place FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
     WHERE extname = 'pg_stat_statements';
    IF place IS NULL OR NOT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') THEN
        RETURN NULL;
    END IF;
    EXECUTE format($query$
        SELECT coalesce(jsonb_agg(to_jsonb(s) ORDER BY s.total_ms DESC), '[]')
          FROM (SELECT queryid::text AS id, left(min(query), 300) AS query, sum(calls)::bigint AS calls,
                       round(sum(total_exec_time)::numeric, 3) AS total_ms, sum(rows)::bigint AS rows
                  FROM %I.pg_stat_statements
                 WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND queryid IS NOT NULL
                   AND query ~* '^\s*(/\*.*?\*/\s*)?(select|insert|update|delete|with|merge)\y'
                 GROUP BY queryid ORDER BY sum(total_exec_time) DESC, queryid LIMIT 500) AS s
        $query$, place) INTO figures;
    RETURN figures;
EXCEPTION
    -- the extension is there and its library was not loaded at the server's start
    WHEN object_not_in_prerequisite_state THEN RETURN NULL;
END $$;
