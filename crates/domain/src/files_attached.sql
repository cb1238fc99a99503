SELECT file_id, key, file_type, size_bytes
  FROM app.files
 WHERE tenant_id = yakin.current_tenant() AND file_id = ANY ($1) AND deleted_at IS NULL
 ORDER BY array_position($1, file_id)
 LIMIT 50
