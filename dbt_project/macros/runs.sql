{# The orchestrator's run, a column of every table; `manual` when dbt is run by hand. It comes by the
   environment variable DBT_ENV_CUSTOM_ENV_WINNOW_RUN_ID: one read with `env_var` would have dbt parse
   the project anew for every run. #}
{% macro run_id() -%}
    '{{ dbt_metadata_envs.get("WINNOW_RUN_ID", "manual") }}'
{%- endmacro %}

{% macro name_the_run(relation) -%}
    call lake.set_commit_message('winnow', 'replace {{ relation.schema }}.{{ relation.identifier }}', extra_info => {{ run_id() }})
{%- endmacro %}
