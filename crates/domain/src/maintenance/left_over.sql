-- Half-made and half-removed twins of REINDEX CONCURRENTLY.
SELECT format('%I.%I', n.nspname, c.relname)
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE NOT i.indisvalid AND c.relkind = 'i' AND c.relname ~ '_cc(new|old)[0-9]*$'
   AND n.nspname NOT IN ('pg_catalog', 'pg_toast') AND pg_has_role(c.relowner, 'USAGE')
 ORDER BY 1
 LIMIT 1000
