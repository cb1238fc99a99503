-- After moments.sql. Now and then a row lacks its tenant: such rows must be counted and reported.
INSERT INTO app.api_call_logs (tenant_id, user_id, created_at, response_status, response_ms, request_bytes,
                               response_bytes, method, endpoint)
SELECT CASE WHEN value >> 40 & 32767 > 0 THEN tenant_id END, user_id, created_at, response_status,
       8 + ((value >> 10 & 255) * (value >> 18 & 255) >> 8)
         + CASE WHEN value >> 26 & 127 = 0 THEN 200 + (value >> 33 & 4095) ELSE 0 END,
       180 + (value >> 34 & 2047),
       CASE WHEN response_status IN (204, 304) THEN 0
            ELSE 300 + ((value >> 24 & 1023) * (value >> 44 & 1023) >> 5) END,
       split_part(called, ' ', 1), split_part(called, ' ', 2)
  FROM moment
 CROSS JOIN LATERAL (SELECT CASE WHEN value & 1023 < 860 THEN 200 WHEN value & 1023 < 905 THEN 201
                                 WHEN value & 1023 < 940 THEN 204 WHEN value & 1023 < 970 THEN 304
                                 WHEN value & 1023 < 985 THEN 404 WHEN value & 1023 < 995 THEN 400
                                 WHEN value & 1023 < 1003 THEN 401 WHEN value & 1023 < 1009 THEN 403
                                 WHEN value & 1023 < 1013 THEN 422 WHEN value & 1023 < 1017 THEN 429
                                 WHEN value & 1023 < 1021 THEN 500 ELSE 503 END AS response_status) AS answer
 -- the slow ones are few; since the last whole week the search is more often among them
 CROSS JOIN LATERAL (SELECT CASE WHEN value >> 26 & 127 = 0 THEN
                                 CASE WHEN created_at AT TIME ZONE 'Asia/Tokyo' >= date_trunc('week', $5::timestamptz
                                               AT TIME ZONE 'Asia/Tokyo') - interval '7 days' AND value >> 50 & 3 > 0
                                      THEN 'GET /api/v1/engineers/search'
                                      ELSE (ARRAY['POST /api/v1/reports', 'GET /api/v1/skillsheets/{id}/pdf',
                                                  'POST /api/v1/imports', 'GET /api/v1/engineers/search'])
                                           [1 + (value >> 52 & 3)] END
                                 WHEN response_status = 201 THEN (ARRAY['POST /api/v1/engineers',
                                      'POST /api/v1/assignments', 'POST /api/v1/approaches', 'POST /api/v1/projects'])
                                      [1 + (value >> 52 & 3)]
                                 WHEN response_status = 204 THEN (ARRAY['PUT /api/v1/engineers/{id}',
                                      'PUT /api/v1/engineers/{id}/skills', 'DELETE /api/v1/assignments/{id}',
                                      'PUT /api/v1/projects/{id}'])[1 + (value >> 52 & 3)]
                                 WHEN response_status = 401 THEN 'POST /api/v1/login'
                                 WHEN value >> 10 & 255 > 200 THEN (ARRAY['GET /api/v1/engineers/search',
                                      'GET /api/v1/matching', 'GET /api/v1/dashboard',
                                      'GET /api/v1/skillsheets/{id}/pdf'])[1 + (value >> 52 & 3)]
                                 ELSE (ARRAY['GET /api/v1/engineers', 'GET /api/v1/engineers',
                                      'GET /api/v1/engineers/{id}', 'GET /api/v1/engineers/{id}',
                                      'GET /api/v1/engineers/{id}/skills', 'GET /api/v1/projects',
                                      'GET /api/v1/assignments', 'GET /api/v1/notifications'])[1 + (value >> 52 & 7)]
                            END AS called) AS call
 WHERE created_at < $5
 ORDER BY created_at, n, k;
