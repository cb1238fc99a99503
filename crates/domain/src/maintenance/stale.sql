-- Tables of which a twentieth or more has changed since their statistics were taken.
SELECT format('%I.%I', s.schemaname, s.relname)
  FROM pg_stat_user_tables s
  JOIN pg_class c ON c.oid = s.relid
 WHERE c.relkind = 'r' AND pg_has_role(c.relowner, 'USAGE')
   AND s.n_mod_since_analyze >= 50 AND s.n_mod_since_analyze * 20 >= s.n_live_tup
 ORDER BY s.n_mod_since_analyze DESC, 1
 LIMIT 2000
