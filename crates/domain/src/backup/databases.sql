-- What can be dumped: all databases but templates, those of restores ($1: how their names begin), and what an
-- interrupted DROP DATABASE left. Sizes are not asked for here: a database that goes meanwhile would fail the statement.
SELECT datname::text AS name, pg_encoding_to_char(encoding)::text AS encoding,
       datcollate::text AS collate, datctype::text AS ctype
  FROM pg_database
 WHERE NOT datistemplate AND datallowconn AND datconnlimit <> -2
   AND NOT EXISTS (SELECT FROM unnest($1::text[]) AS prefix WHERE starts_with(datname, prefix))
 ORDER BY datname
 LIMIT 10000
