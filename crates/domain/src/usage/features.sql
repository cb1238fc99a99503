-- Uses of each feature between $1 and $2, and of all features together.
WITH used AS (
    SELECT tenant_id, feature_name, user_id >> 6 AS block, bit_or(1::bigint << (user_id & 63)::integer) AS users,
           count(*) AS uses, sum(duration_seconds) AS seconds, min(duration_seconds) AS shortest,
           max(duration_seconds) AS longest
      FROM app.feature_usage_logs WHERE created_at >= $1 AND created_at < $2
     GROUP BY tenant_id, feature_name, block
), feature AS (
    SELECT coalesce(tenant_id, 0) AS tenant_id, feature_name, sum(uses)::bigint AS uses,
           coalesce(sum(bit_count(users::bit(64))), 0)::bigint AS users, sum(seconds) AS total_seconds,
           min(shortest) AS shortest, max(longest) AS longest
      FROM used GROUP BY tenant_id, feature_name
), person AS (
    SELECT coalesce(tenant_id, 0) AS tenant_id, coalesce(sum(bit_count(users::bit(64))), 0)::bigint AS users
      FROM (SELECT tenant_id, bit_or(users) AS users FROM used GROUP BY tenant_id, block) AS seen
     GROUP BY tenant_id
)
SELECT tenant_id,
       jsonb_build_object(
           'feature_uses', sum(feature.uses), 'feature_users', max(person.users),
           'feature_seconds', sum(total_seconds),
           'features', jsonb_agg(jsonb_build_object(
               'feature_name', feature_name, 'uses', feature.uses, 'users', feature.users,
               'total_seconds', total_seconds, 'mean_seconds', round(total_seconds / feature.uses, 3))
               ORDER BY feature_name))::text AS figures,
       sum(feature.uses)::bigint AS rows_counted,
       (SELECT count(*) FROM app.feature_usage_logs WHERE created_at >= $1 AND created_at < $2) AS rows_in_source,
       CASE WHEN min(shortest) < 0 THEN 'feature_usage_logs has duration_seconds ' || min(shortest)
            WHEN max(longest) >= 'Infinity' THEN 'feature_usage_logs has duration_seconds ' || max(longest)
       END AS impossible
  FROM feature JOIN person USING (tenant_id)
 GROUP BY tenant_id
 ORDER BY tenant_id
