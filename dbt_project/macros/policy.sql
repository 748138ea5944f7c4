{#- What it means to break a rule and to be removed by a policy. The models call these macros, and so does
    assets/governance/policy.py: a what-if and a golden text are judged by the same SQL as the lake. -#}

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

{# Confidence that a text is in another language than its source declares; 0 where it declares none. #}
{% macro other_language_score(language, score, declared) -%}
    case when {{ language }} <> {{ declared }} then {{ score }} else 0 end::double
{%- endmacro %}

{# The commonest English words say nothing of a text in another language: there no rule has a value to judge. #}
{% macro english_stop_words(stop_words, language, score) -%}
    case when {{ language }} = 'und' or ({{ language }} = 'en' and {{ score }} >= 0.3) then {{ stop_words }} end::double
{%- endmacro %}

{# Of scripts without spaces every character counts as a word, so that the length of a word says nothing. #}
{% macro spaced_word_length(mean_word_length, language, score) -%}
    case
        when {{ language }} in ('zh', 'yue', 'wuu', 'ja', 'th', 'lo', 'km', 'my', 'bo') and {{ score }} >= 0.3 then null
        else {{ mean_word_length }}
    end::double
{%- endmacro %}

{# One row a document from one row a rule: whether it is removed, by which rule first, and all that it failed. #}
{% macro judged(verdicts) -%}
    select
        doc_id,
        count(*) as rules_applied,
        coalesce(bool_or(failed and action = 'drop'), false) as dropped,
        arg_min(rule, priority) filter (where failed and action = 'drop') as reason,
        list(
            {rule: rule, signal: signal, value: value, comparison: comparison, threshold: threshold, action: action}
            order by priority
        ) filter (where failed) as failed
    from {{ verdicts }}
    group by doc_id
{%- endmacro %}

{# Each document of an evidence table held against each rule of its stage and of its source's profile. #}
{% macro verdicts(evidence, stage) -%}
    select
        evidence.doc_id,
        evidence.source,
        sources.profile,
        rules.priority,
        rules.rule,
        rules.version,
        evidence.signal,
        evidence.value,
        rules.comparison,
        rules.threshold,
        rules.action,
        {{ breaks('evidence.value', 'rules.comparison', 'rules.threshold') }} as failed,
        {{ run_id() }} as run_id
    from {{ evidence }} as evidence
    join {{ source('raw', 'sources') }} as sources using (source)
    join {{ ref('rules') }} as rules
        on rules.signal = evidence.signal
        and rules.stage = '{{ stage }}'
        and rules.profile in ('all', sources.profile)
    order by source, doc_id, priority
{%- endmacro %}
