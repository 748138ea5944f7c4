-- Where documents go, per source: what came in, what each rule removed first, what is kept.
{{ config(schema='filtered', tags=['filtered']) }}

with decisions as (
    select source, verdict, reason, count(*) as documents
    from {{ ref('decisions') }}
    group by all
),

-- Every rule of the source's profile is a step, so that a rule that removed nothing shows as such.
steps as (
    select sources.source, rules.rule as step, rules.priority
    from {{ source('raw', 'sources') }} as sources
    join {{ ref('rules') }} as rules
        on rules.stage = 'filtered' and rules.action = 'drop' and rules.profile in ('all', sources.profile)
    union all
    select source, 'not_measured', 0 from {{ source('raw', 'sources') }}
),

removed as (
    select
        steps.source,
        steps.step,
        steps.priority,
        coalesce(decisions.documents, 0) as removed
    from steps
    left join decisions
        on decisions.source = steps.source and decisions.reason = steps.step and decisions.verdict <> 'kept'
),

totals as (
    select source, sum(documents)::bigint as documents_in from decisions group by source
)

select
    removed.source,
    removed.step,
    row_number() over through_rules as position,
    (totals.documents_in - sum(removed.removed) over through_rules + removed.removed)::bigint as documents_in,
    removed.removed,
    (totals.documents_in - sum(removed.removed) over through_rules)::bigint as kept,
    {{ run_id() }} as run_id
from removed
join totals using (source)
window through_rules as (partition by removed.source order by removed.priority, removed.step)
order by source, position
