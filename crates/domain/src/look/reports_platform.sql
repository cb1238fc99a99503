-- And those of the service itself, which no tenant may read: only where no tenant is asked for.
UNION ALL
SELECT NULL, 0, report_key, period_start, format, key, size_bytes, sha256, incomplete, created_at, run_id
  FROM app.platform_reports
 WHERE $2::text IS NULL AND ($3::date IS NULL OR period_start >= $3 AND period_start < $4)
