-- What lay in the storage at the instant $2: made before it, not deleted before it. A gauge, never summed over days.
SELECT tenant_id, jsonb_build_object('storage_bytes', sum(size_bytes), 'files', count(*))::text AS figures,
       count(*) AS rows_counted, NULL::bigint AS rows_in_source, NULL::text AS impossible
  FROM app.files
 WHERE created_at < $2 AND (deleted_at IS NULL OR deleted_at >= $2)
 GROUP BY tenant_id
 ORDER BY tenant_id
