-- Whether the login may act as who owns our tables, and sees the statistics of tables behind row security. (By the
-- catalogue alone: one without rights may not even name the tables.)
SELECT session_user::text AS login,
       pg_has_role(c.relowner, 'USAGE') AND (r.rolsuper OR r.rolbypassrls) AS may
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_roles r ON r.rolname = session_user
 WHERE n.nspname = 'app' AND c.relname = 'tenants'
