-- Waits that ended in the months with first days $1: how many, and their mean days from the change into waiting to the
-- change out of it. A wait whose beginning was never recorded is not counted.
WITH change AS (
    SELECT tenant_id, engineer_id, status_on, from_status, to_status,
           lag(status_on) OVER engineer AS since, lag(to_status) OVER engineer AS since_status
      FROM app.engineer_status_history
    WINDOW engineer AS (PARTITION BY tenant_id, engineer_id ORDER BY status_on, changed_at, change_id)
)
SELECT first, count(*) AS waits, avg(status_on - since) AS mean_days
  FROM unnest($1::date[]) AS month (first)
  JOIN change ON status_on >= first AND status_on < (first + interval '1 month')::date
 WHERE from_status = 'waiting' AND since_status = 'waiting'
 GROUP BY first
 ORDER BY first
