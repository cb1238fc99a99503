-- Whether one of the tenants $2, of those a run is limited to ($3, NULL for all), has no row of day $1.
SELECT EXISTS (SELECT FROM unnest($2::bigint[]) AS scope (tenant_id)
                WHERE ($3::bigint[] IS NULL OR tenant_id = ANY ($3))
                  AND NOT EXISTS (SELECT FROM app.tenant_usage_daily AS day
                                   WHERE (day.tenant_id, day.usage_date) = (scope.tenant_id, $1)))
