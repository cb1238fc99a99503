-- The newest first, behind the place $5 to $7; at most $8.
) AS report
 WHERE $5::timestamptz IS NULL OR (created_at, place, key) < ($5, $6, $7)
 ORDER BY created_at DESC, place DESC, key DESC
 LIMIT $8
