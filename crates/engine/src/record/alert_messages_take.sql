-- The next due message of a route that no living sender has taken within two minutes; counts the attempt.
UPDATE yakin.alert_messages m
   SET real_taken = clock_timestamp(), attempts = m.attempts + 1
 WHERE m.message_id = (
       SELECT message_id FROM yakin.alert_messages
        WHERE state = 'pending' AND route = $1 AND due_at <= $2
          AND (real_taken IS NULL OR real_taken < clock_timestamp() - interval '2 minutes')
        ORDER BY due_at, message_id LIMIT 1
          FOR UPDATE SKIP LOCKED)
RETURNING m.message_id, m.alert_id, m.what, m.route, m.severity, m.subject, m.message, m.attempts
