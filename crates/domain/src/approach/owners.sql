-- Whoever keeps the offer, if he is still there; else the administrators.
SELECT email
  FROM app.users
 WHERE tenant_id = yakin.current_tenant() AND status = 'active'
   AND CASE WHEN EXISTS (SELECT FROM app.users AS owner
                          WHERE owner.tenant_id = yakin.current_tenant() AND owner.user_id = $1 AND owner.status = 'active')
            THEN user_id = $1 ELSE role = 'admin' END
 ORDER BY user_id
 LIMIT 20
