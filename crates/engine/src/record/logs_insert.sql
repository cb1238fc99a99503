INSERT INTO yakin.run_logs (run_id, tenant_id, job_id, attempt, line, logged_at, level, message, metadata)
SELECT $1, $2, $3, $4, line.no, line.logged_at, line.level, line.message, line.metadata
  FROM unnest($5::timestamptz[], $6::text[], $7::text[], $8::jsonb[])
       WITH ORDINALITY AS line (logged_at, level, message, metadata, no)
ON CONFLICT DO NOTHING
