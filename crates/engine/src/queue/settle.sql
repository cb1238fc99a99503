WITH lines AS (
    INSERT INTO yakin.run_logs (run_id, tenant_id, job_id, attempt, token, line, logged_at, level, message, metadata)
    SELECT * FROM jsonb_to_recordset($3::text::jsonb)
        AS l (run_id bigint, tenant_id bigint, job_id bigint, attempt integer, token bigint, line integer,
              logged_at timestamptz, level text, message text, metadata jsonb)
    ON CONFLICT DO NOTHING
)
SELECT yakin.settle($1::text::jsonb, $2)
