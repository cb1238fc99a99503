-- After moments.sql.
INSERT INTO app.feature_usage_logs (tenant_id, user_id, created_at, feature_name, duration_seconds)
SELECT tenant_id, user_id, created_at,
       (ARRAY['skill-search', 'skill-edit', 'skillsheet-view', 'skillsheet-export', 'engineer-list', 'assignment-board',
              'project-edit', 'skill-map', 'report-create', 'bulk-import'])
           [1 + ((value & 255) * (value >> 8 & 255) * 10 >> 16)],
       round((20 + ((value >> 16 & 1023) * (value >> 26 & 1023) >> 7))::numeric / 10, 1)
  FROM moment
 WHERE created_at < $5
 ORDER BY created_at, n, k;
