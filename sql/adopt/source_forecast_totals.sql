-- Run on the source: count the forecast values and sum up their power, as real, the type in which it is stored.
--
-- Parameters: none
-- Result: row
--   rows      bigint
--   power_kw  numeric
-- Index: none (all values)
-- Touches: forecast_values
SELECT
    count(*) AS rows,
    COALESCE(
        sum(
            CASE
                WHEN abs(v.forecast_power_kw) < 1e-37 THEN 0
                WHEN abs(v.forecast_power_kw) <= 3.4e38 THEN v.forecast_power_kw::real::numeric
            END
        ),
        0
    ) AS power_kw
FROM forecast_values AS v;
