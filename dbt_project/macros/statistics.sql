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

{# How many of `documents` are expected to hold a value that was not found, where one was found in `affected` of
   them and a share `recall` of such values, above 0, is found: `missed` of assets/evals/report.py, held equal by a
   test. Null where no recall was measured; of a null `least` would make all documents. #}
{% macro missed(affected, recall, documents) -%}
    case
        when {{ recall }} is not null
            then least({{ documents }}, {{ affected }} * (1 - {{ recall }}) / {{ recall }})
    end::double
{%- endmacro %}
