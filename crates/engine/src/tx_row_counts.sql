-- Row counters of this connection, by table of the business schema.
SELECT schemaname || '.' || relname AS table_name, n_tup_ins, n_tup_upd, n_tup_del
  FROM pg_stat_xact_user_tables
 WHERE schemaname = 'app' AND n_tup_ins + n_tup_upd + n_tup_del > 0
 ORDER BY 1
