-- The roles that a database's owners and rights name. The first superuser stands in no list of them: it owns much, and
-- may have another name on another server. Subscriptions belong to the cluster, and are dumped with their database.
WITH here AS (SELECT oid FROM pg_database WHERE datname = current_database())
SELECT rolname::text
  FROM pg_roles
 WHERE oid = 10
    OR oid IN (SELECT refobjid FROM pg_shdepend
                WHERE refclassid = 'pg_authid'::regclass AND dbid = (SELECT oid FROM here))
    OR oid IN (SELECT subowner FROM pg_subscription WHERE subdbid = (SELECT oid FROM here))
 ORDER BY 1
 LIMIT 100000
