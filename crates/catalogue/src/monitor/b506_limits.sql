-- The run's limits, shortened where the tenant's policy is stricter.
-- $1 idle seconds · $2 greatest age in seconds · $3 sessions per user
SELECT least($1, policy.idle_seconds::bigint) AS idle_seconds,
       least($2, policy.max_age_seconds::bigint) AS max_age_seconds,
       least($3, policy.max_concurrent::bigint) AS max_per_user,
       coalesce(policy.revoke_suspicious, false) AS revoke_suspicious
  FROM (SELECT) AS always
  LEFT JOIN app.session_policies AS policy ON true
