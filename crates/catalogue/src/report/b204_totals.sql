SELECT count(*) FILTER (WHERE usage_date = $1), count(*) FILTER (WHERE usage_date = $2),
       coalesce(sum(calls) FILTER (WHERE usage_date = $1), 0)::bigint,
       coalesce(sum(sessions) FILTER (WHERE usage_date = $1), 0)::bigint,
       coalesce(sum(active_users) FILTER (WHERE usage_date = $1), 0)::bigint
  FROM app.usage_statistics
 WHERE usage_date IN ($1, $2)
