-- In = kept + removed at every step of every source.
select * from {{ ref('funnel') }} where documents_in <> kept + removed or kept < 0
