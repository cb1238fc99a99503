-- Writes the service's day $1 for run $2 where it differs: the sums of the companies' rows of the tenants $3, and how the
-- service answered ($4, a JSON object), which is counted again only with $5, and probes where there were
-- none. Returns whether it was written, how many companies are missing.
WITH company AS (
    SELECT count(*) AS companies,
           count(*) FILTER (WHERE num_nulls(c.total_users, c.active_users, c.total_engineers, c.active_engineers) = 0)
               AS whole,
           sum(c.total_users)::bigint AS total_users, sum(c.active_users)::bigint AS active_users,
           sum(c.total_engineers)::bigint AS total_engineers, sum(c.active_engineers)::bigint AS active_engineers,
           sum(c.approaches)::bigint AS approaches
      FROM unnest($3::bigint[]) AS scope (tenant_id)
      LEFT JOIN app.company_usage_daily c ON (c.tenant_id, c.usage_date) = (scope.tenant_id, $1)
), answer AS (
    SELECT coalesce(CASE WHEN $5 THEN NULL ELSE to_jsonb(s) END, $4::text::jsonb) AS figures,
           CASE WHEN s.probes IS NULL OR $5 AND $4::text::jsonb ? 'probes' THEN $4::text::jsonb ELSE to_jsonb(s) END AS seen
      FROM (SELECT 1) AS one LEFT JOIN app.system_stats_daily s ON s.usage_date = $1
), written AS (
    INSERT INTO app.system_stats_daily AS recorded (
           usage_date, complete, total_companies, companies_missing, total_users, active_users, total_engineers,
           active_engineers, requests, server_errors, error_percent, response_ms_mean, response_ms_p50, response_ms_p95,
           approaches, probes, probes_good, run_id)
    SELECT $1, whole = companies, companies, companies - whole, total_users, active_users, total_engineers,
           active_engineers, (figures ->> 'requests')::bigint, (figures ->> 'server_errors')::bigint,
           (figures ->> 'error_percent')::numeric, (figures ->> 'response_ms_mean')::numeric,
           (figures ->> 'response_ms_p50')::integer, (figures ->> 'response_ms_p95')::integer,
           approaches, (seen ->> 'probes')::bigint, (seen ->> 'probes_good')::bigint, $2
      FROM company, answer
        ON CONFLICT (usage_date) DO UPDATE SET
           (complete, total_companies, companies_missing, total_users, active_users, total_engineers, active_engineers,
            requests, server_errors, error_percent, response_ms_mean, response_ms_p50, response_ms_p95, approaches,
            probes, probes_good, run_id)
         = (excluded.complete, excluded.total_companies, excluded.companies_missing, excluded.total_users,
            excluded.active_users, excluded.total_engineers, excluded.active_engineers, excluded.requests,
            excluded.server_errors, excluded.error_percent, excluded.response_ms_mean, excluded.response_ms_p50,
            excluded.response_ms_p95, excluded.approaches, excluded.probes, excluded.probes_good, excluded.run_id)
         WHERE to_jsonb(recorded) - 'run_id' <> to_jsonb(excluded) - 'run_id'
    RETURNING usage_date
)
SELECT (SELECT count(*) FROM written) AS written, companies - whole AS missing FROM company
