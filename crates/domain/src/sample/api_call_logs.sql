-- After moments.sql. Now and then a row lacks its tenant: such rows must be counted and reported.
INSERT INTO app.api_call_logs (tenant_id, user_id, created_at, response_status, response_ms, request_bytes,
                               response_bytes)
SELECT CASE WHEN value >> 40 & 32767 > 0 THEN tenant_id END, user_id, created_at, response_status,
       8 + ((value >> 10 & 255) * (value >> 18 & 255) >> 8)
         + CASE WHEN value >> 26 & 127 = 0 THEN 200 + (value >> 33 & 4095) ELSE 0 END,
       180 + (value >> 34 & 2047),
       CASE WHEN response_status IN (204, 304) THEN 0
            ELSE 300 + ((value >> 24 & 1023) * (value >> 44 & 1023) >> 5) END
  FROM moment
 CROSS JOIN LATERAL (SELECT CASE WHEN value & 1023 < 860 THEN 200 WHEN value & 1023 < 905 THEN 201
                                 WHEN value & 1023 < 940 THEN 204 WHEN value & 1023 < 970 THEN 304
                                 WHEN value & 1023 < 985 THEN 404 WHEN value & 1023 < 995 THEN 400
                                 WHEN value & 1023 < 1003 THEN 401 WHEN value & 1023 < 1009 THEN 403
                                 WHEN value & 1023 < 1013 THEN 422 WHEN value & 1023 < 1017 THEN 429
                                 WHEN value & 1023 < 1021 THEN 500 ELSE 503 END AS response_status) AS answer
 WHERE created_at < $5
 ORDER BY created_at, n, k;
