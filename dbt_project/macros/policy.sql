{# A version made of content: the same rules give the same version on every machine. #}
{% macro policy_version() -%}
    (select left(md5(string_agg(rules::varchar, chr(10) order by rules::varchar)), 12) from {{ ref('rules') }} as rules)
{%- endmacro %}

{# Whether a value breaks a rule: rules say when a document fails, never when it passes. #}
{% macro breaks(value, comparison, threshold) -%}
    case {{ comparison }}
        when '<' then {{ value }} < {{ threshold }}
        when '<=' then {{ value }} <= {{ threshold }}
        when '>' then {{ value }} > {{ threshold }}
        when '>=' then {{ value }} >= {{ threshold }}
    end
{%- endmacro %}
