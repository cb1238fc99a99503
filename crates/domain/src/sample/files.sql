-- Three quarters of the files are older than the logs, one in five has gone again: in the last weeks, or long before.
-- Sizes are skewed (a product of three dice has a mean of an eighth); four in five files live at any time.
INSERT INTO app.files (tenant_id, key, file_type, owner_id, size_bytes, created_at, deleted_at)
SELECT tenant_id,
       'tenant/' || code || '/' || folder || '/' || to_char(k, 'FM000000') || '.' || extension,
       file_type, first_user + (dice >> 4 & 65535) % established,
       1 + ((dice >> 20 & 1023) * (dice >> 30 & 1023) * (dice >> 40 & 1023)
            * (8 * storage_bytes * 5 / 4 / files) >> 30),
       created_at, CASE WHEN deleted_at < $3 THEN deleted_at END
  FROM jsonb_to_recordset($1) AS tenant (
       n bigint, tenant_id bigint, code text, first_user bigint, established integer, created_on date,
       busy_from date, busy_until date, storage_bytes bigint, files bigint)
 CROSS JOIN generate_series(1, files) AS file (k)
 CROSS JOIN LATERAL (SELECT hashint8extended(k, hashint8extended(n, $2)) AS dice,
                            hashint8extended(k, hashint8extended(n, $2 + 1)) AS moment) AS thrown
 CROSS JOIN LATERAL (SELECT (ARRAY['pdf', 'pdf', 'pdf', 'xlsx', 'xlsx', 'xlsx', 'docx', 'docx', 'pptx', 'pdf',
                                   'png', 'png', 'jpg', 'zip', 'zip', 'csv'])[1 + (dice & 15)] AS extension) AS kind
 CROSS JOIN LATERAL (SELECT
       CASE extension WHEN 'pdf' THEN 'application/pdf' WHEN 'png' THEN 'image/png' WHEN 'jpg' THEN 'image/jpeg'
            WHEN 'zip' THEN 'application/zip' WHEN 'csv' THEN 'text/csv'
            WHEN 'xlsx' THEN 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet'
            WHEN 'docx' THEN 'application/vnd.openxmlformats-officedocument.wordprocessingml.document'
            ELSE 'application/vnd.openxmlformats-officedocument.presentationml.presentation' END AS file_type,
       CASE extension WHEN 'zip' THEN 'exports' WHEN 'csv' THEN 'exports' WHEN 'png' THEN 'images'
            WHEN 'jpg' THEN 'images' ELSE 'skillsheets' END AS folder,
       -- (from + share of the span) in whole seconds; a tenant without busy days made its files before
       CASE WHEN moment & 3 > 0 OR busy_until <= busy_from THEN greatest(created_on, busy_from - 300)
            ELSE busy_from END::timestamp AT TIME ZONE 'Asia/Tokyo' AS span_start,
       CASE WHEN moment & 3 > 0 OR busy_until <= busy_from THEN greatest(busy_from, created_on + 1)
            ELSE busy_until END::timestamp AT TIME ZONE 'Asia/Tokyo' AS span_end) AS span
 CROSS JOIN LATERAL (SELECT span_start + (extract(epoch FROM span_end - span_start)::bigint
                                          * (moment >> 2 & 16777215) >> 24) * interval '1 second') AS made (created_at)
 CROSS JOIN LATERAL (SELECT CASE
       WHEN moment >> 30 & 15 < 2 THEN created_at + (1 + (moment >> 34 & 63)) * interval '1 day 1 hour'
       WHEN moment >> 30 & 15 = 2 AND created_at < $3 - interval '40 days'
            THEN $3 - (1 + (moment >> 34 & 31)) * interval '1 day 2 hours' END AS deleted_at) AS gone
 WHERE created_at < $3
 ORDER BY created_at, n, k;
