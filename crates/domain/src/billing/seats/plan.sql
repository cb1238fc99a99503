SELECT plan_code, valid_from, name, currency, base_fee, max_users, price_per_user, max_engineers, price_per_engineer
  FROM app.plans
 WHERE plan_code = $1 AND valid_from <= $2
 ORDER BY valid_from DESC
 LIMIT 1
