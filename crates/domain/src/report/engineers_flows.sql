-- Changes of engineers' states in the months with first days $1, by where from and where to.
SELECT first, from_status, to_status, count(*) AS changes
  FROM unnest($1::date[]) AS month (first)
  JOIN app.engineer_status_history h ON h.status_on >= first AND h.status_on < (first + interval '1 month')::date
 GROUP BY first, from_status, to_status
 ORDER BY from_status, to_status, first
 LIMIT 1000
