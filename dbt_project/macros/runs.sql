{# The orchestrator's run, a column of every table; `manual` when dbt is run by hand. #}
{% macro run_id() -%}
    '{{ env_var("WINNOW_RUN_ID", "manual") }}'
{%- endmacro %}

{% macro name_the_run(relation) -%}
    call lake.set_commit_message('winnow', 'replace {{ relation.schema }}.{{ relation.identifier }}', extra_info => {{ run_id() }})
{%- endmacro %}
