-- Of the tenants $2 (of those a run is limited to, $3, NULL for all): how many have their figures of day $1 counted, all
-- with $4, else those without a whole row; and how many of these have no record by BATCH-204, and none by BATCH-301.
SELECT count(*), count(*) FILTER (WHERE service.tenant_id IS NULL), count(*) FILTER (WHERE resource.tenant_id IS NULL)
  FROM unnest($2::bigint[]) AS scope (tenant_id)
  LEFT JOIN app.company_usage_daily AS day ON (day.tenant_id, day.usage_date) = (scope.tenant_id, $1)
  LEFT JOIN app.engineer_activity_daily AS activity
         ON (activity.tenant_id, activity.usage_date) = (scope.tenant_id, $1)
  LEFT JOIN app.usage_statistics AS service ON (service.tenant_id, service.usage_date) = (scope.tenant_id, $1)
  LEFT JOIN app.tenant_usage_daily AS resource ON (resource.tenant_id, resource.usage_date) = (scope.tenant_id, $1)
 WHERE ($3::bigint[] IS NULL OR scope.tenant_id = ANY ($3))
   AND ($4 OR activity.tenant_id IS NULL
        OR num_nulls(day.active_users, day.api_calls, day.logins, day.feature_uses, day.active_engineers) > 0)
