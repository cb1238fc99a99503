-- Ends the backends of attempts (jobs $1, tokens $2) and of earlier ones of the same jobs; see Job::label.
SELECT pg_terminate_backend(b.pid)
  FROM (SELECT pid, regexp_match(application_name, '^yakin job (\d{1,18}) token (\d{1,18})$') AS label
          FROM pg_stat_activity WHERE datname = current_database()) AS b
  JOIN unnest($1::bigint[], $2::bigint[]) AS lost (job, token)
    ON b.label[1]::bigint = lost.job AND b.label[2]::bigint <= lost.token
