-- Where each tenant's rows begin. They were inserted in order of tenants into tables nobody else can fill (without
-- tenants there is nothing to own a row), so a tenant's ids follow one another.
SELECT tenant_id,
       (SELECT min(user_id) FROM app.users WHERE users.tenant_id = tenants.tenant_id),
       (SELECT min(department_id) FROM app.departments WHERE departments.tenant_id = tenants.tenant_id),
       (SELECT min(position_id) FROM app.positions WHERE positions.tenant_id = tenants.tenant_id),
       (SELECT min(project_id) FROM app.projects WHERE projects.tenant_id = tenants.tenant_id)
  FROM app.tenants
 ORDER BY tenant_id;
