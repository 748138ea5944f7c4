{# The bounds of the 95 % Wilson score interval of a proportion: `wilson` of assets/intervals.py, held equal by a test. #}
{% macro wilson(successes, n, bound) -%}
    case
        when {{ n }} = 0 then {{ 1 if bound == 'high' else 0 }}
        when {{ successes }} = {{ n if bound == 'high' else 0 }} then {{ 1 if bound == 'high' else 0 }}
        else (
            ({{ successes }} / {{ n }}) + 1.9599639845400536 ** 2 / (2 * {{ n }})
            {{ '+' if bound == 'high' else '-' }} 1.9599639845400536 * sqrt(
                ({{ successes }} / {{ n }}) * (1 - {{ successes }} / {{ n }}) / {{ n }}
                + 1.9599639845400536 ** 2 / (4.0 * {{ n }} * {{ n }})
            )
        ) / (1 + 1.9599639845400536 ** 2 / {{ n }})
    end::double
{%- endmacro %}
