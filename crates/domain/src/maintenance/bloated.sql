-- Indexes that are invalid, or larger than their rows need by $1 percent and at least $2 bytes large; largest gain first.
-- What a B-tree needs follows from its page layout (PostgreSQL's manual, "Database Page Layout" and "B-Tree Indexes"): a
-- page of block_size bytes has a header of 24 and 16 of its own; a tuple has a header of 8, one more for NULLs, its keys
-- padded to 8, and a line pointer of 4; leaf pages are filled by fillfactor (90), and every so many leaves have a page
-- above. The keys' widths are those of ANALYZE. Equal keys that B-trees fold together are not reckoned with: so an index
-- with many looks better than it is, never worse.
WITH tree AS (
    SELECT c.oid, i.indrelid, i.indkey, i.indnkeyatts, i.indnatts, i.indisvalid, c.reltuples,
           format('%I.%I', n.nspname, c.relname) AS name, pg_relation_size(c.oid) AS bytes,
           coalesce((SELECT option_value::integer FROM pg_options_to_table(c.reloptions)
                      WHERE option_name = 'fillfactor'), 90) AS fill,
           current_setting('block_size')::integer AS page
      FROM pg_index i
      JOIN pg_class c ON c.oid = i.indexrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_am a ON a.oid = c.relam
     WHERE c.relkind = 'i' AND c.relpersistence = 'p' AND i.indislive AND NOT i.indisexclusion
       AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND pg_has_role(c.relowner, 'USAGE')
       AND (a.amname = 'btree' OR NOT i.indisvalid)
       AND NOT (NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$')
), width AS ( -- an expression's statistics are those of the index itself
    SELECT t.oid, count(*) = count(s.avg_width) AS known, sum(s.avg_width) AS keys, max(s.null_frac) > 0 AS nulls
      FROM tree t
     CROSS JOIN LATERAL unnest(t.indkey::int2[]) WITH ORDINALITY AS k (attribute, place)
      JOIN pg_class c ON c.oid = CASE k.attribute WHEN 0 THEN t.oid ELSE t.indrelid END
      JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_attribute a ON a.attrelid = c.oid
                         AND a.attnum = CASE k.attribute WHEN 0 THEN k.place ELSE k.attribute END
      LEFT JOIN pg_stats s ON (s.schemaname, s.tablename, s.attname) = (n.nspname, c.relname, a.attname)
                          AND NOT s.inherited
     WHERE t.bytes >= $2
     GROUP BY t.oid
), needed AS (
    SELECT t.oid, ceil(t.reltuples / greatest(1, floor((t.page - 40) * t.fill / 100.0
                       / (12 + CASE WHEN w.nulls THEN 8 ELSE 0 END + ceil(w.keys / 8.0) * 8)))) AS leaves
      FROM tree t JOIN width w USING (oid)
     WHERE w.known AND t.reltuples >= 0
), judged AS (
    SELECT t.name, t.indisvalid AS valid, t.bytes, ((n.leaves * 1.01 + 2) * t.page)::bigint AS expected
      FROM tree t LEFT JOIN needed n USING (oid)
)
SELECT name, valid, bytes,
       CASE WHEN valid THEN floor(100.0 * (bytes - expected) / bytes)::integer END AS bloat_percent
  FROM judged
 WHERE NOT valid OR bytes >= $2 AND 100.0 * (bytes - expected) / bytes >= $1
 ORDER BY valid, bytes - expected DESC NULLS LAST, name
 LIMIT 1000
