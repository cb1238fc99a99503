-- Of the tenants $2: how many have no record of day $1 by BATCH-204, none by BATCH-301, and none by either.
SELECT count(*) FILTER (WHERE service.tenant_id IS NULL), count(*) FILTER (WHERE resource.tenant_id IS NULL),
       count(*) FILTER (WHERE service.tenant_id IS NULL AND resource.tenant_id IS NULL)
  FROM unnest($2::bigint[]) AS scope (tenant_id)
  LEFT JOIN app.usage_statistics AS service ON (service.tenant_id, service.usage_date) = (scope.tenant_id, $1)
  LEFT JOIN app.tenant_usage_daily AS resource ON (resource.tenant_id, resource.usage_date) = (scope.tenant_id, $1)
