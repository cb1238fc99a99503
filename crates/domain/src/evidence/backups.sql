-- The backup sets of a month's business dates, with what was proven of each.
SELECT backup_id, kind, business_date::text, state, array_to_string(databases, ' '), files::text, bytes::text,
       to_char(begun_at AT TIME ZONE 'Asia/Tokyo', 'YYYY-MM-DD"T"HH24:MI:SS"+09:00"'),
       to_char(ended_at AT TIME ZONE 'Asia/Tokyo', 'YYYY-MM-DD"T"HH24:MI:SS"+09:00"'), manifest_sha256,
       to_char(verified_at AT TIME ZONE 'Asia/Tokyo', 'YYYY-MM-DD"T"HH24:MI:SS"+09:00"'),
       to_char(recovery_tested_at AT TIME ZONE 'Asia/Tokyo', 'YYYY-MM-DD"T"HH24:MI:SS"+09:00"'),
       to_char(copied_at AT TIME ZONE 'Asia/Tokyo', 'YYYY-MM-DD"T"HH24:MI:SS"+09:00"'), copied_to, expires_on::text, error,
       run_id::text
  FROM app.backup_sets
 WHERE business_date >= $1::date AND business_date < $2::date
 ORDER BY business_date, backup_id
