-- What the database looks like now. Partitions count as their table; statements are NULL where nobody counts them.
WITH size AS (
    SELECT coalesce(pg_partition_root(s.relid), s.relid) AS root, pg_total_relation_size(s.relid) AS bytes, s.n_live_tup,
           s.n_dead_tup
      FROM pg_stat_user_tables s
), tables AS (
    SELECT n.nspname || '.' || c.relname AS name, sum(bytes)::bigint AS bytes, sum(n_live_tup)::bigint AS live,
           sum(n_dead_tup)::bigint AS dead
      FROM size JOIN pg_class c ON c.oid = size.root JOIN pg_namespace n ON n.oid = c.relnamespace
     GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 500
), indexes AS (
    SELECT i.schemaname || '.' || i.indexrelname AS name, i.schemaname || '.' || i.relname AS on_table,
           pg_relation_size(i.indexrelid) AS bytes, i.idx_scan AS scans
      FROM pg_stat_user_indexes i JOIN pg_index x USING (indexrelid)
     WHERE NOT x.indisunique AND NOT x.indisexclusion AND pg_relation_size(i.indexrelid) >= $1
     ORDER BY bytes DESC, name LIMIT 500
)
SELECT jsonb_build_object(
           'tables', (SELECT coalesce(jsonb_agg(to_jsonb(t) ORDER BY t.bytes DESC, t.name), '[]') FROM tables t),
           'indexes', (SELECT coalesce(jsonb_agg(to_jsonb(i) ORDER BY i.bytes DESC, i.name), '[]') FROM indexes i),
           'hits', d.blks_hit, 'reads', d.blks_read, 'stats_reset', extract(epoch FROM d.stats_reset)::bigint,
           'statements', app.statement_figures())
  FROM pg_stat_database d WHERE d.datname = current_database()
