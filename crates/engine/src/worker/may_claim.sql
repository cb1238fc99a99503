-- Whether the queue is open, the shared virtual time, and whether any lane of the queue has ready jobs.
SELECT NOT (q.paused OR c.stopped), c.virtual_now,
       EXISTS (SELECT FROM yakin.lanes l WHERE l.queue = q.name AND l.next_id IS NOT NULL)
  FROM yakin.queues q, yakin.control c
 WHERE q.name = $1
