-- In = kept + removed + errored at every step of every source.
select * from {{ ref('funnel') }} where documents_in <> kept + removed + errored or kept < 0
