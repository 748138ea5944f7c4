-- What each rule does where it applies: how much it removes alone, first, and together with others.
{{ config(schema='filtered', tags=['filtered']) }}

with held as (
    select
        verdicts.doc_id,
        verdicts.source,
        verdicts.profile,
        verdicts.priority,
        verdicts.rule,
        verdicts.comparison,
        verdicts.threshold,
        verdicts.action,
        verdicts.failed,
        coalesce(verdicts.failed, false) as broken,
        count_if(verdicts.failed and verdicts.action = 'drop') over (partition by verdicts.doc_id) as removing
    from {{ ref('verdicts') }} as verdicts
),

counted as (
    select
        held.source,
        signals.language,
        held.profile,
        held.priority,
        held.rule,
        held.comparison,
        held.threshold,
        held.action,
        count(*) as documents,
        count_if(held.broken)::bigint as failed,
        count_if(held.broken and held.action = 'drop' and held.removing = 1)::bigint as removed_alone,
        count_if(held.broken and decisions.reason = held.rule)::bigint as removed_first,
        count_if(held.broken and held.action = 'drop' and held.removing > 1)::bigint as removed_also,
        coalesce(list(held.doc_id order by held.doc_id) filter (where held.broken), [])[1:5] as examples
    from held
    join {{ ref('decisions') }} as decisions on decisions.doc_id = held.doc_id
    join {{ source('filtered', 'signals') }} as signals on signals.doc_id = held.doc_id
    -- Where there is no value the rule has nothing to say.
    where held.failed is not null
    group by all
),

-- The limits of a rule in a source: those that name the rule before those that name the source, before all.
limited as (
    select
        counted.*,
        limits.least_documents,
        limits.share_below,
        limits.jump_below
    from counted
    join {{ ref('effect_limits') }} as limits
        on limits.rule in ('*', counted.rule) and limits.source in ('*', counted.source)
    qualify row_number() over (
        partition by counted.source, counted.language, counted.rule
        order by limits.rule = '*', limits.source = '*'
    ) = 1
)

select
    limited.*,
    limited.failed / limited.documents as share,
    {{ wilson('limited.failed', 'limited.documents', 'low') }} as low,
    {{ wilson('limited.failed', 'limited.documents', 'high') }} as high,
    -- Other languages than the source declares are there to be removed; too little text has none.
    limited.language <> 'und' and coalesce(limited.language = sources.language, true) as expected,
    {{ policy_version() }} as policy_version,
    {{ run_id() }} as run_id
from limited
join {{ source('raw', 'sources') }} as sources on sources.source = limited.source
order by limited.source, limited.priority, limited.rule, limited.language
