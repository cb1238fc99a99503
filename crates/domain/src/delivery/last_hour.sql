-- What ended within the hour, whoever sent it. What was sent is counted only where something failed.
WITH failed AS (
    SELECT count(*) AS n FROM app.deliveries
     WHERE failed_at > $2 - interval '1 hour' AND failed_at <= $2 AND channel = ANY ($1)
)
SELECT CASE WHEN failed.n > 0 THEN
            (SELECT count(*) FROM app.deliveries
              WHERE sent_at > $2 - interval '1 hour' AND sent_at <= $2 AND state = 'sent'
                AND channel IN ('email', 'sms') AND channel = ANY ($1))
            ELSE 0 END AS sent,
       failed.n AS failed
  FROM failed
