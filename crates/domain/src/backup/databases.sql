-- What can be dumped: all databases but templates and scratch ones. One that is dropped just now has no size.
SELECT datname::text AS name, coalesce(pg_database_size(oid), 0) AS bytes, pg_encoding_to_char(encoding)::text AS encoding,
       datcollate::text AS collate, datctype::text AS ctype
  FROM pg_database
 WHERE NOT datistemplate AND datallowconn AND NOT starts_with(datname, $1)
 ORDER BY datname
 LIMIT 10000
