-- $1 the log · $2 the newest month wanted. Names end in the month; a default partition has none and is left alone.
SELECT to_date(right(p.relname, 6), 'YYYYMM') AS month, greatest(p.reltuples, 0)::bigint AS rows
  FROM pg_inherits i
  JOIN pg_class p ON p.oid = i.inhrelid
  JOIN pg_class l ON l.oid = i.inhparent
  JOIN pg_namespace n ON n.oid = l.relnamespace
 WHERE n.nspname = 'app' AND l.relname = $1 AND p.relname ~ '_[0-9]{6}$'
   AND to_date(right(p.relname, 6), 'YYYYMM') <= $2
 ORDER BY month
 LIMIT 1000
