-- What was done with engineers in the months with first days $1. A month without any day is no row.
SELECT first, count(DISTINCT d.usage_date) AS days, sum(d.profile_updates)::bigint AS profile_updates,
       sum(d.sheets_viewed)::bigint AS sheets_viewed, sum(d.sheets_downloaded)::bigint AS sheets_downloaded,
       sum(d.status_changes)::bigint AS status_changes
  FROM unnest($1::date[]) AS month (first)
  JOIN app.engineer_activity_daily d ON d.usage_date >= first AND d.usage_date < (first + interval '1 month')::date
 GROUP BY first
 ORDER BY first
