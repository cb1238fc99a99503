-- Whether the queue is open and any lane of it has ready jobs; and the shared virtual time.
SELECT NOT (q.paused OR c.stopped) AND EXISTS (SELECT FROM yakin.lanes l
                                                WHERE l.queue = q.name AND l.next_id IS NOT NULL),
       c.virtual_now
  FROM yakin.queues q, yakin.control c
 WHERE q.name = $1
