-- Three quarters of the files are older than the logs, one in five has gone again: in the last weeks, or long before.
-- Sizes are skewed (a product of three dice has a mean of an eighth) and depend on the kind, with a mean of ten
-- tenths over all sixteen; four in five files live at any time.
INSERT INTO app.files (tenant_id, key, file_type, owner_id, size_bytes, created_at, deleted_at)
SELECT tenant_id,
       'tenant/' || code || '/' || folder || '/' || to_char(k, 'FM000000') || '.' || extension,
       file_type, first_user + (dice >> 4 & 65535) % established,
       1 + ((dice >> 20 & 1023) * (dice >> 30 & 1023) * (dice >> 40 & 1023) * (storage_bytes * tenths / files) >> 30),
       created_at, CASE WHEN deleted_at < $3 THEN deleted_at END
  FROM jsonb_to_recordset($1) AS tenant (
       n bigint, tenant_id bigint, code text, first_user bigint, established integer, created_on date,
       busy_from date, busy_until date, storage_bytes bigint, files bigint)
 CROSS JOIN generate_series(1, files) AS file (k)
 CROSS JOIN LATERAL (SELECT hashint8extended(k, hashint8extended(n, $2)) AS dice,
                            hashint8extended(k, hashint8extended(n, $2 + 1)) AS moment) AS thrown
  JOIN (VALUES (0, 'pdf', 'skillsheets', 8, 'application/pdf'), (1, 'pdf', 'skillsheets', 8, 'application/pdf'),
               (2, 'pdf', 'skillsheets', 8, 'application/pdf'), (3, 'pdf', 'contracts', 8, 'application/pdf'),
               (4, 'xlsx', 'skillsheets', 8, 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet'),
               (5, 'xlsx', 'skillsheets', 8, 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet'),
               (6, 'xlsx', 'skillsheets', 8, 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet'),
               (7, 'docx', 'skillsheets', 8, 'application/vnd.openxmlformats-officedocument.wordprocessingml.document'),
               (8, 'docx', 'reports', 8, 'application/vnd.openxmlformats-officedocument.wordprocessingml.document'),
               (9, 'pptx', 'reports', 8, 'application/vnd.openxmlformats-officedocument.presentationml.presentation'),
               (10, 'png', 'images', 4, 'image/png'), (11, 'png', 'images', 4, 'image/png'),
               (12, 'jpg', 'images', 4, 'image/jpeg'), (13, 'zip', 'exports', 30, 'application/zip'),
               (14, 'zip', 'exports', 30, 'application/zip'), (15, 'csv', 'exports', 8, 'text/csv'))
       AS kind (number, extension, folder, tenths, file_type) ON number = dice & 15
 -- a tenant without busy days made all its files before them
 CROSS JOIN LATERAL (SELECT moment & 3 > 0 OR busy_until <= busy_from AS old) AS age
 CROSS JOIN LATERAL (SELECT CASE WHEN old THEN greatest(created_on, busy_from - 300) ELSE busy_from END AS since,
                            CASE WHEN old THEN greatest(busy_from, created_on + 1) ELSE busy_until END AS until) AS span
 CROSS JOIN LATERAL (SELECT (since + ((until - since) * (moment >> 2 & 1048575) >> 20)::integer)::timestamp
                            AT TIME ZONE 'Asia/Tokyo' + interval '8 hours'
                            + (moment >> 22 & 65535) * 10 / 16 * interval '1 second' AS created_at) AS made
 CROSS JOIN LATERAL (SELECT CASE
       WHEN moment >> 40 & 15 < 2 THEN created_at + (1 + (moment >> 44 & 63)) * interval '1 day' + interval '1 hour'
       WHEN moment >> 40 & 15 = 2 AND created_at < $3 - interval '40 days'
            THEN $3 - (1 + (moment >> 44 & 31)) * interval '1 day' END AS deleted_at) AS gone
 WHERE created_at < $3
 ORDER BY created_at, n, k;
