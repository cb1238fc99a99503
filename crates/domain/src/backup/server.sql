-- Whom we are on which cluster, and whether no row is hidden from us.
SELECT current_setting('server_version') AS version,
       current_setting('server_version_num')::integer AS number,
       (SELECT system_identifier::text FROM pg_control_system()) AS cluster,
       rolsuper AS superuser,
       rolsuper OR (rolbypassrls AND pg_has_role(session_user, 'pg_read_all_data', 'USAGE')) AS sees_all,
       session_user::text AS login,
       (SELECT oid::bigint FROM pg_database WHERE datname = current_database()) AS database
  FROM pg_roles WHERE rolname = session_user
