-- Within a profile and stage two rules of one priority would leave the first reason to chance, and two rules
-- of one name would hold a document twice.
{{ config(meta={'dagster': {'ref': {'name': 'rules'}}}) }}
with applied as (
    select profiles.profile, rules.stage, rules.priority, rules.rule
    from (select distinct profile from {{ ref('rules') }}) as profiles
    join {{ ref('rules') }} as rules on rules.profile in ('all', profiles.profile)
    where profiles.profile <> 'all'
)

select profile, stage, priority, list(rule order by rule) as rules from applied group by all having count(*) > 1
union all
select profile, stage, null, [rule] from applied group by profile, stage, rule having count(*) > 1
