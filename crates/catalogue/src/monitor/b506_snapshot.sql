-- How the tenant's sessions stand at the run, kept under its hour. A suspicion once found stays.
-- $1 now · $2 the tenant · $3 suspicious sessions found
INSERT INTO app.session_stat_hourly AS stat
       (tenant_id, hour, active, started, ended_expired, ended_limit, ended_admin, ended_security,
        removed, suspicious, max_per_user)
SELECT $2, date_trunc('hour', $1, 'Asia/Tokyo'), coalesce(sum(sessions), 0), 0, 0, 0, 0, 0, 0, $3,
       coalesce(max(sessions), 0)
  FROM (SELECT count(*) AS sessions
          FROM app.tokens
         WHERE tenant_id = $2 AND NOT is_revoked AND token_type = 'SESSION'
         GROUP BY user_id) AS users
ON CONFLICT (tenant_id, hour) DO UPDATE
   SET active = excluded.active,
       suspicious = greatest(stat.suspicious, excluded.suspicious),
       max_per_user = excluded.max_per_user
