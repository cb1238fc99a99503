WITH withdrawn AS (
    UPDATE yakin.firings f
       SET state = 'ended', outcome = 'withdrawn', ended_at = $2,
           reason = CASE WHEN b.enabled THEN 'the schedule was changed' ELSE 'the batch was disabled' END
      FROM yakin.batches b
     WHERE b.id = $1 AND f.batch_id = b.id AND f.state IN ('planned', 'held')
       AND (f.planned_at > $2 OR NOT b.enabled)
), nobodys AS (
    DELETE FROM yakin.arrivals a
     WHERE NOT EXISTS (SELECT FROM yakin.batches b WHERE b.enabled AND b.schedule = 'on ' || a.topic)
)
UPDATE yakin.batches SET planned_until = $2 WHERE id = $1
