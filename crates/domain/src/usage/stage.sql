-- One source's figures of a day for every tenant in scope ($5); $4 is what stands for a tenant without any rows.
INSERT INTO staging.usage_figures (tenant_id, run_id, usage_date, source, figures, impossible)
SELECT scope.tenant_id, $1, $2, $3, $4::jsonb || coalesce(counted.figures::jsonb, '{}'), counted.impossible
  FROM unnest($5::bigint[]) AS scope (tenant_id)
  LEFT JOIN unnest($6::bigint[], $7::text[], $8::text[]) AS counted (tenant_id, figures, impossible) USING (tenant_id)
