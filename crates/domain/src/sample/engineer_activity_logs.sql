-- What people did with profiles and skillsheets: each use of the three features that touch an engineer is one of these.
INSERT INTO app.engineer_activity_logs (tenant_id, engineer_id, user_id, created_at, action)
SELECT used.tenant_id, first_engineer + (dice & 1048575) % engineers, user_id, created_at,
       CASE feature_name WHEN 'skill-edit' THEN 'profile_updated' WHEN 'skillsheet-view' THEN 'sheet_viewed'
            ELSE 'sheet_downloaded' END
  FROM app.feature_usage_logs AS used
  JOIN (SELECT tenant_id, min(engineer_id) AS first_engineer, count(*) AS engineers
          FROM app.engineers GROUP BY tenant_id) AS staff USING (tenant_id)
 CROSS JOIN LATERAL (SELECT hashint8extended(user_id # (extract(epoch FROM created_at) * 1000)::bigint, $1)
                            AS dice) AS thrown
 WHERE feature_name IN ('skill-edit', 'skillsheet-view', 'skillsheet-export')
 ORDER BY created_at, used.tenant_id, user_id
