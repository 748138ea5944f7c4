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

counted as (
    select
        steps.source,
        steps.step,
        steps.priority,
        coalesce(sum(decisions.documents) filter (where decisions.verdict = 'removed'), 0)::bigint as removed,
        coalesce(sum(decisions.documents) filter (where decisions.verdict = 'errored'), 0)::bigint as errored
    from steps
    left join decisions
        on decisions.source = steps.source and decisions.reason = steps.step and decisions.verdict <> 'kept'
    group by all
),

-- What came in is counted where it came in, so that a decision that got lost leaves a gap.
read as (
    select source, count(*) as documents from {{ source('raw', 'documents') }} group by source
)

select
    counted.source,
    counted.step,
    row_number() over through_rules as position,
    (read.documents - sum(removed + errored) over through_rules + removed + errored)::bigint as documents_in,
    counted.removed,
    counted.errored,
    (read.documents - sum(removed + errored) over through_rules)::bigint as kept,
    {{ run_id() }} as run_id
from counted
join read using (source)
window through_rules as (partition by counted.source order by counted.priority, counted.step)
order by source, position
