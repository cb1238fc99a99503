-- What lay in the storage at the instant $2, by kind; "other" is what is neither document nor image, so that the parts
-- add up. The last upload is the newest of the files that lay there.
WITH kept AS (
    SELECT tenant_id, owner_id >> 6 AS block, file_type, bit_or(1::bigint << (owner_id & 63)::integer) AS owners,
           sum(size_bytes) AS bytes, count(*) AS files, max(created_at) AS last_upload_at
      FROM app.files
     WHERE created_at < $2 AND (deleted_at IS NULL OR deleted_at >= $2)
     GROUP BY tenant_id, block, file_type
), owned AS (
    SELECT tenant_id, bit_or(owners) AS owners, sum(bytes) AS bytes, sum(files) AS files,
           sum(bytes) FILTER (WHERE kind = 'document') AS document_bytes,
           sum(bytes) FILTER (WHERE kind = 'image') AS image_bytes,
           sum(bytes) FILTER (WHERE kind = 'other') AS other_bytes, max(last_upload_at) AS last_upload_at
      FROM kept, LATERAL (SELECT
           CASE WHEN file_type ~* '^(image(/|$)|(bmp|gif|heic|jpe?g|png|svg|tiff?|webp)$)' THEN 'image'
                WHEN file_type ~* '^(text/|application/(pdf|rtf|msword|vnd\.(ms-|oasis|openxml)))'
                  OR file_type ~* '^(document|text|csv|docx?|od[pst]|pdf|pptx?|rtf|txt|xlsx?)$' THEN 'document'
                ELSE 'other' END AS kind) AS sorted
     GROUP BY tenant_id, block
)
SELECT tenant_id,
       jsonb_strip_nulls(jsonb_build_object(
           'storage_bytes', sum(bytes), 'storage_files', sum(files),
           'storage_owners', coalesce(sum(bit_count(owners::bit(64))), 0),
           'storage_document_bytes', coalesce(sum(document_bytes), 0),
           'storage_image_bytes', coalesce(sum(image_bytes), 0),
           'storage_other_bytes', coalesce(sum(other_bytes), 0),
           'last_upload_at', max(last_upload_at)))::text AS figures,
       sum(files)::bigint AS rows_counted, NULL::bigint AS rows_in_source, NULL::text AS impossible
  FROM owned
 GROUP BY tenant_id
 ORDER BY tenant_id
