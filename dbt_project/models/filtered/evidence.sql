-- What is known of each document, one row a signal: the only thing that rules are held against.
{{ config(materialized='view') }}

with signals as (
    select * from {{ source('filtered', 'signals') }}
),

-- Spelled out where `unpivot` would do: column lineage sees through a list, not through a pivot.
measured as (
    select
        doc_id,
        source,
        unnest([{% for name in signals() %}'{{ name }}'{{ ', ' if not loop.last }}{% endfor %}]) as signal,
        unnest([{% for name in signals() %}{{ name }}::double{{ ', ' if not loop.last }}{% endfor %}]) as value
    from signals
),

documents as (
    select doc_id, source, consent from {{ source('raw', 'documents') }}
),

languages as (
    select
        signals.doc_id,
        signals.source,
        unnest(['other_language_score', 'english_stop_words', 'spaced_word_length']) as signal,
        unnest([
            {{ other_language_score('signals.language', 'signals.language_score', 'sources.language') }},
            {{ english_stop_words('signals.stop_word_count', 'signals.language', 'signals.language_score') }},
            {{ spaced_word_length('signals.mean_word_length', 'signals.language', 'signals.language_score') }}
        ]) as value
    from signals
    join {{ source('raw', 'sources') }} as sources using (source)
),

duplicates as (
    select
        documents.doc_id,
        documents.source,
        unnest(['exact_duplicate', 'near_duplicate']) as signal,
        unnest([
            coalesce(found.relation = 'exact' and not found.is_keeper, false),
            coalesce(found.relation = 'near' and not found.is_keeper, false)
        ])::double as value
    from documents
    left join {{ source('filtered', 'duplicates') }} as found using (doc_id)
),

-- Spelled out, for column lineage, as above.
boilerplate as (
    select
        doc_id,
        source,
        unnest(['boilerplate_line_ratio', 'boilerplate_char_ratio', 'boilerplate_para_char_ratio']) as signal,
        unnest([boilerplate_line_ratio, boilerplate_char_ratio, boilerplate_para_char_ratio]) as value
    from {{ source('filtered', 'boilerplate') }}
),

contamination as (
    select
        documents.doc_id,
        documents.source,
        'contamination_overlap' as signal,
        coalesce(max(found.overlap), 0)::double as value
    from documents
    left join {{ source('filtered', 'contamination') }} as found using (doc_id)
    group by all
),

pii as (
    select
        doc_id,
        source,
        unnest(['pii_findings', 'pii_to_drop']) as signal,
        unnest([n_findings, n_to_drop])::double as value
    from {{ source('filtered', 'redacted') }}
),

consent as (
    select doc_id, source, 'opted_out' as signal, (consent = 'opted_out')::double as value
    from documents
)

select doc_id, source, signal, value from measured
union all select doc_id, source, signal, value from {{ source('filtered', 'parity_signals') }}
union all select * from languages
union all select * from duplicates
union all select * from boilerplate
union all select * from contamination
union all select * from pii
union all select * from consent
